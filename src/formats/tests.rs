// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Files of every format, made by hand: whole, cut at every byte, and hostile.

use std::io;

use proptest::prelude::*;

use super::fuzz_formats::fuzz_format;
use super::*;

/// Bytes in memory.
pub(super) struct Held<'a>(pub(super) &'a [u8]);

impl ByteSource for Held<'_> {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap();
        buffer.copy_from_slice(&self.0[start..start + buffer.len()]);
        Ok(())
    }
}

fn told(name: &str, bytes: &[u8]) -> Option<ModelHeader> {
    header_of(&name.parse().unwrap(), &mut Held(bytes), UNBOUNDED).unwrap()
}

#[track_caller]
fn flaw(name: &str, bytes: &[u8]) -> String {
    let told = told(name, bytes).expect("a header");
    told.flaw.unwrap_or_else(|| panic!("{name} is taken"))
}

fn safetensors(json: &str, content: usize) -> Vec<u8> {
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    bytes.extend(json.as_bytes());
    bytes.resize(bytes.len() + content, 7);
    bytes
}

const TENSORS: &str = r#"{"__metadata__":{"format":"pt","license":"MIT \u00e9\"x"},
 "a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},
 "b":{"data_offsets":[24,28],"shape":[],"dtype":"BF16X","more":[1,{"x":null}]}}"#;

fn gguf_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text.as_bytes());
}

fn gguf_key(bytes: &mut Vec<u8>, key: &str, kind: u32, value: &[u8]) {
    gguf_text(bytes, key);
    bytes.extend(kind.to_le_bytes());
    bytes.extend(value);
}

fn gguf() -> Vec<u8> {
    let mut bytes = b"GGUF\x03\0\0\0".to_vec();
    bytes.extend(2_u64.to_le_bytes());
    bytes.extend(7_u64.to_le_bytes());

    let text = |text: &str| {
        let mut bytes = Vec::new();
        gguf_text(&mut bytes, text);
        bytes
    };
    gguf_key(&mut bytes, "general.architecture", 8, &text("llama"));
    gguf_key(&mut bytes, "general.name", 8, &text("Tiny"));
    gguf_key(&mut bytes, "general.license", 8, &text("apache-2.0"));
    gguf_key(&mut bytes, "general.file_type", 4, &15_u32.to_le_bytes());
    gguf_key(
        &mut bytes,
        "llama.context_length",
        4,
        &4096_u32.to_le_bytes(),
    );
    let words = [
        &[8, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0][..],
        &text("one"),
        &text(""),
    ]
    .concat();
    gguf_key(&mut bytes, "tokenizer.ggml.tokens", 9, &words);
    let scores = [&[6, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0][..], &[0; 4]].concat();
    gguf_key(&mut bytes, "tokenizer.ggml.scores", 9, &scores);

    for (name, shape, kind, place) in [("a", [256_u64, 2], 12_u32, 0_u64), ("b", [4, 1], 0, 288)] {
        gguf_text(&mut bytes, name);
        bytes.extend(2_u32.to_le_bytes());
        bytes.extend(shape.iter().flat_map(|number| number.to_le_bytes()));
        bytes.extend(kind.to_le_bytes());
        bytes.extend(place.to_le_bytes());
    }
    bytes.resize(bytes.len().next_multiple_of(32) + 288 + 16, 0);
    bytes
}

/// A field with content, of fewer than 128 bytes or with a length of two bytes.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap();
    let low = u8::try_from(length & 0x7f).unwrap() | 0x80;
    let head = [number << 3 | 2, low, u8::try_from(length >> 7).unwrap()];
    [&head[..], content].concat()
}

fn onnx_tensor(name: &str, dimensions: &[u8], kind: u8, raw: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for dimension in dimensions {
        bytes.extend([0x08, *dimension]);
    }
    bytes.extend([0x10, kind]);
    bytes.extend(field(8, name.as_bytes()));
    bytes.extend(field(9, &vec![0; raw]));
    bytes
}

fn onnx() -> Vec<u8> {
    let constant = field(5, &onnx_tensor("", &[2], 7, 16));
    let inner = field(5, &onnx_tensor("inner", &[4], 22, 2));
    let branch = field(6, &inner);
    let node = [field(5, &constant), field(5, &branch)].concat();
    let graph = [
        field(1, &node),
        field(2, b"main"),
        field(5, &onnx_tensor("w", &[10, 10], 1, 400)),
    ]
    .concat();
    let pair = [field(1, b"license"), field(2, b"MIT")].concat();
    [
        &[0x08, 9][..],
        &field(2, b"made by hand"),
        &field(7, &graph),
        &field(14, &pair),
    ]
    .concat()
}

pub(super) fn zip(members: &[(&str, &[u8])], is_large: bool) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in members {
        let place = u32::try_from(bytes.len()).unwrap().to_le_bytes();
        let size = u32::try_from(content.len()).unwrap().to_le_bytes();
        let length = u16::try_from(name.len()).unwrap().to_le_bytes();
        let middle = [&[0; 16][..], &size, &size, &length, &[0; 2]].concat();
        bytes.extend(b"PK\x03\x04");
        // What is in a local header but its lengths counts nothing.
        bytes.extend(&middle[2..]);
        bytes.extend(name.as_bytes());
        bytes.extend(*content);
        directory.extend(b"PK\x01\x02");
        directory.extend(&middle);
        directory.extend([0; 10]);
        directory.extend(place);
        directory.extend(name.as_bytes());
    }

    let (place, count) = (bytes.len() as u64, members.len() as u64);
    let length = directory.len() as u64;
    bytes.extend(&directory);
    if is_large {
        let end = bytes.len() as u64;
        bytes.extend(b"PK\x06\x06");
        bytes.extend(44_u64.to_le_bytes());
        bytes.extend([0; 12]);
        for number in [count, count, length, place] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(b"PK\x06\x07\0\0\0\0");
        bytes.extend(end.to_le_bytes());
        bytes.extend(1_u32.to_le_bytes());
    }
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    let (small, none) = (u16::try_from(count).unwrap(), 0xffff_u16);
    let count = if is_large { none } else { small };
    bytes.extend([count.to_le_bytes(), count.to_le_bytes()].concat());
    bytes.extend(&length.to_le_bytes()[..4]);
    bytes.extend(&place.to_le_bytes()[..4]);
    bytes.extend([0; 2]);
    bytes
}

fn npy(text: &str, content: usize) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap().to_le_bytes();
    let head = [b"\x93NUMPY\x01\0", &length[..], text.as_bytes()].concat();
    [head, vec![1; content]].concat()
}

fn npz() -> Vec<u8> {
    let one = npy(
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }",
        48,
    );
    let two = npy(
        "{'descr': [('a', '<i2')], 'fortran_order': True, 'shape': (2,)}\n",
        4,
    );
    zip(
        &[("w.npy", &one), ("r.npy", &two), ("x.txt", b"text")],
        false,
    )
}

fn torch() -> Vec<u8> {
    let pickle = b"\x80\x02ccollections\nOrderedDict\nq\0)Rq\x01.";
    zip(&[("m/data.pkl", pickle), ("m/data/0", &[0; 12])], true)
}

/// One whole file of each format.
fn files() -> Vec<(&'static str, Vec<u8>)> {
    let array = npy("{'descr': '|b1', 'fortran_order': False, 'shape': ()}", 1);
    vec![
        ("m.safetensors", safetensors(TENSORS, 28)),
        ("m.gguf", gguf()),
        ("m.onnx", onnx()),
        ("m.npz", npz()),
        ("m.npy", array),
        ("m.pt", torch()),
        ("m.pkl", b"\x80\x04\x95\x1b\0\0\0\0\0\0\0\x8c\x02os\x94\x8c\x06system\x94\x93\x94\x8c\x04true\x85\x94R\x94.".to_vec()),
    ]
}

fn types(header: &ModelHeader) -> String {
    let types = header.types.iter();
    let types: Vec<_> = types
        .map(|(kind, count)| format!("{count} {kind}"))
        .collect();
    types.join(", ")
}

#[test]
fn whole_files_are_told() {
    let of = |wanted: &str| {
        let files = files();
        let (name, bytes) = files.iter().find(|file| file.0 == wanted).unwrap();
        let told = told(name, bytes).unwrap();
        assert_eq!(told.flaw, None, "{name}");
        told
    };

    let told = of("m.safetensors");
    assert_eq!((told.tensors, told.parameters, told.bytes), (2, 7, 28));
    assert_eq!(types(&told), "1 BF16X, 1 F32");
    assert_eq!(told.license.as_deref(), Some("MIT ?\"x"));
    assert_eq!(
        (&told.first[0].name[..], &told.first[0].shape[..]),
        ("a", &[2, 3][..])
    );

    let told = of("m.gguf");
    assert_eq!((told.tensors, told.parameters, told.bytes), (2, 516, 304));
    assert_eq!(
        (&told.format[..], types(&told)),
        ("GGUF 3", "1 F32, 1 Q4_K".to_owned())
    );
    assert_eq!(told.context_length, Some(4096));
    assert_eq!(told.first[0].shape, [2, 256]);
    let texts = [
        told.name,
        told.architecture,
        told.license,
        told.quantization,
    ];
    let texts = texts.map(Option::unwrap);
    assert_eq!(texts, ["Tiny", "llama", "apache-2.0", "Q4_K_M"]);

    let told = of("m.onnx");
    assert_eq!((told.tensors, told.parameters, told.bytes), (3, 106, 418));
    assert_eq!(
        (&told.format[..], types(&told)),
        ("ONNX 9", "1 F32, 1 I4, 1 I64".to_owned())
    );
    assert_eq!(
        (told.name.as_deref(), told.license.as_deref()),
        (Some("main"), Some("MIT"))
    );

    let told = of("m.npz");
    assert_eq!((told.tensors, told.parameters, told.bytes), (2, 14, 52));
    assert_eq!(types(&told), "1 F32, 1 records");
    assert_eq!(types(&of("m.npy")), "1 BOOL");

    let told = of("m.pt");
    assert_eq!((told.tensors, told.bytes), (1, 12));
    assert_eq!(told.imports, Some(ForeignImports::default()));
    assert_eq!(of("m.pkl").imports.unwrap().names, ["os.system"]);
}

#[test]
fn what_is_cut_is_told_at_every_byte() {
    for (name, bytes) in files() {
        for length in 0..bytes.len() {
            fuzz_format(name, &bytes[..length]);
            let told = told(name, &bytes[..length]);
            // A pickle without its mark may be anything.
            let is_none = name == "m.pkl" && length < 2 || name == "m.pt" && length < 4;
            let is_cut = told.is_some_and(|told| told.flaw.is_some());
            // ONNX has no end of its own: where one of its fields ends, it may end.
            let may_end = name == "m.onnx" && [2, 17, onnx().len() - 19].contains(&length);
            assert!(is_cut || is_none || may_end, "{name} at {length}");
        }
    }
}

#[test]
fn lengths_that_lie_are_found() {
    let tensor = |shape: &str, place: &str| {
        let json = format!(r#"{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":{place}}}}}"#);
        flaw("m.safetensors", &safetensors(&json, 24))
    };
    assert!(tensor("[2,4]", "[0,24]").contains("as its shape says"));
    assert!(tensor("[2,3]", "[0,240]").contains("outside"));
    assert!(tensor("[2,3]", "[24,0]").contains("outside"));
    assert!(tensor("[2,3]", "[0]").contains("no place"));
    assert!(tensor("[4294967296,4294967296]", "[0,24]").contains("more numbers"));
    assert!(tensor("[99999999999999999999]", "[0,24]").contains("cannot be read"));
    assert!(tensor("[2,2]", "[0,16]").contains("what follows"));
    let mut long = safetensors("{}", 0);
    long[0] = 3;
    assert!(flaw("m.safetensors", &long).contains("begin"));

    // Its last brace is the only number of its tensor.
    let open = r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}"#;
    let mut open = safetensors(open, 1);
    *open.last_mut().unwrap() = b'}';
    assert!(flaw("m.safetensors", &open).contains("cannot be read"));
    // Without any number, no dimension is too large.
    let none = r#"{"a":{"dtype":"U8","shape":[4294967296,4294967296,0],"data_offsets":[0,0]}}"#;
    let none = told("m.safetensors", &safetensors(none, 0)).unwrap();
    assert_eq!((none.flaw, none.parameters), (None, 0));

    // Twice the same place.
    let twice = r#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}"#;
    assert!(flaw("m.safetensors", &safetensors(twice, 4)).contains("what follows"));

    for (at, value) in [(8, 1_u64 << 63), (16, u64::MAX), (24, 1 << 62)] {
        let mut bytes = gguf();
        bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        flaw("m.gguf", &bytes);
    }
    // A field that is longer than the message in which it lies, and not longer than the file.
    flaw("m.onnx", b"\x08\x09\x3a\x02\x12\x04\x08\x01\x08\x01");
    let mut bytes = onnx();
    // The length of the graph.
    bytes[18] = 0xff;
    flaw("m.onnx", &bytes);
    flaw(
        "m.onnx",
        b"\x08\x09\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
    );
    flaw(
        "m.onnx",
        b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    );

    let wrong = npy(
        "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }",
        48,
    );
    assert!(flaw("m.npy", &wrong).contains("as its shape says"));
    assert!(flaw("m.npy", b"GGUF").contains("such an ending"));
}

#[test]
fn what_lies_deep_ends_early() {
    let mut bytes = b"GGUF\x03\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0".to_vec();
    gguf_key(
        &mut bytes,
        "a",
        9,
        &[9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0].repeat(10_000),
    );
    assert!(flaw("m.gguf", &bytes).contains("too deep"));

    let mut graph = Vec::new();
    for _ in 0..60 {
        graph = field(1, &field(5, &field(6, &graph)));
    }
    let bytes = [&[0x08, 9][..], &field(7, &graph)].concat();
    assert!(flaw("m.onnx", &bytes).contains("too deep"));

    // Lists in lists cost no stack, however deep they are.
    let json = format!(r#"{{"a":{{"x":{}"#, "[".repeat(100_000));
    flaw("m.safetensors", &safetensors(&json, 0));
}

#[test]
fn an_archive_has_one_directory() {
    let right = npz();
    let comment = |text: &[u8]| {
        let mut bytes = right.clone();
        let length = u16::try_from(text.len()).unwrap().to_le_bytes();
        let at = bytes.len() - 2;
        bytes[at..].copy_from_slice(&length);
        [bytes, text.to_vec()].concat()
    };
    assert_eq!(told("m.npz", &comment(b"made by hand")).unwrap().flaw, None);

    // A second directory in the comment, more before the first member, another number of members.
    flaw("m.npz", &comment(&right));
    flaw("m.npz", &[b"PK\x03\x04", &right[..]].concat());
    let last = right.len() - 22;
    for (here, count) in [(3, 4), (4, 4), (2, 2)] {
        let mut other = right.clone();
        (other[last + 8], other[last + 10]) = (here, count);
        flaw("m.npz", &other);
    }

    // A member that is not where the directory says.
    let mut moved = right.clone();
    let at = moved.windows(4).rposition(|four| four == b"PK\x03\x04");
    // The last one is no array, and nobody goes there.
    let at = moved[..at.unwrap()]
        .windows(4)
        .rposition(|four| four == b"PK\x03\x04");
    moved[at.unwrap()] = b'Q';
    flaw("m.npz", &moved);
    let mut packed = right.clone();
    let at = packed.windows(4).position(|four| four == b"PK\x01\x02");
    let at = at.unwrap();
    (packed[at + 10], packed[at + 45]) = (8, 0x7f);
    assert!(flaw("m.npz", &packed).contains("ends"));
    // More after it, and another length of it.
    flaw("m.npz", &[&right[..], b"x"].concat());
    let mut longer = right.clone();
    let at = longer.len() - 10;
    longer[at] -= 1;
    flaw("m.npz", &longer);

    let large = torch();
    let last = large.len() - 22;
    let mut denied = large.clone();
    denied[last + 8] = 7;
    denied[last + 9] = 0;
    denied[last + 10] = 7;
    denied[last + 11] = 0;
    assert!(flaw("m.pt", &denied).contains("directory"));
}

#[test]
fn no_more_is_read_than_the_bounds_allow() {
    let tensor = r#""a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"#;
    let json = format!("{{{}", tensor.repeat(10_000));
    let bytes = safetensors(&json, 0);
    let bounds = ReadBounds {
        bytes_max: 1 << 17,
        ..UNBOUNDED
    };
    let name = "m.safetensors".parse().unwrap();
    let told = header_of(&name, &mut Held(&bytes), bounds)
        .unwrap()
        .unwrap();
    assert!(told.flaw.unwrap().contains("longer than"));
    assert!(
        told.tensors > 1000 && told.first.len() == 200,
        "{}",
        told.tensors
    );

    let mut held = Held(b"ab");
    let mut window = Window::new(&mut held, UNBOUNDED);
    assert!(window.seek(3).is_err() && window.skip(u64::MAX).is_err());
    assert!(window.skip(2).is_ok() && window.byte().is_err());
    assert_eq!(window.left(), 0);

    let bounds = ReadBounds {
        reads_max: 1,
        ..UNBOUNDED
    };
    let told = header_of(&name, &mut Held(&bytes), bounds)
        .unwrap()
        .unwrap();
    assert!(told.flaw.is_some());
}

#[test]
fn names_say_what_is_looked_into() {
    let is = |name: &str| {
        let name = name.parse().unwrap();
        (is_readable(&name), is_pickle(&name))
    };
    assert_eq!(is("a/b.PT"), (true, true));
    assert_eq!(is("b.gguf"), (true, false));
    assert_eq!(is("b.pt/c"), (false, false));
    assert_eq!(is("gguf"), (false, false));

    // Other formats under the names of pickles, and bytes that are none.
    assert_eq!(told("m.bin", &gguf()).unwrap().format, "GGUF 3");
    assert_eq!(told("m.bin", &safetensors(TENSORS, 28)).unwrap().tensors, 2);
    assert_eq!(told("m.bin", b"\0\0\0\0"), None);
    assert_eq!(told("m.bin", b""), None);
}

proptest! {
    #[test]
    fn changed_files_end_no_reader(
        which in 0_usize..7,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let files = files();
        let (name, bytes) = &files[which % files.len()];
        let mut bytes = bytes.clone();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if is_cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        fuzz_format(name, &bytes);
    }
}
