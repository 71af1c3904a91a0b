// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Pickles of all protocols, and ways to hide what they import.

use crate::formats::imports_of;
use crate::formats::model_header::ForeignImports;
use crate::formats::tests::{Held, zip};

fn imports(bytes: &[u8]) -> ForeignImports {
    imports_of(&mut Held(bytes)).unwrap()
}

#[track_caller]
fn harmless(bytes: &[u8]) {
    let imports = imports(bytes);
    assert!(imports.is_harmless(), "{imports:?}");
}

#[track_caller]
fn harmful(bytes: &[u8], named: &str) {
    let imports = imports(bytes);
    assert!(!imports.is_harmless(), "{bytes:?}");
    let told = imports.names.join(" ") + imports.obscured.unwrap_or_default();
    assert!(
        told.contains(named),
        "{imports:?} of {}",
        bytes.escape_ascii()
    );
}

#[test]
fn imports_are_found_in_every_protocol() {
    for bytes in [
        &b"cos\nsystem\n(S'id'\ntR."[..],
        b"(S'id'\nios\nsystem\n.",
        b"(cos\nsystem\nS'id'\no.",
        b"\x80\x02cos\nsystem\nX\x02\0\0\0id\x85R.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x02id\x85R.",
        // Through the memo, in any of its forms.
        b"\x80\x04\x8c\x02os\x94\x8c\x06system\x9400h\0h\x01\x93.",
        b"\x80\x04\x8c\x02osq\x05\x8c\x06systemr\x06\0\0\x0000h\x05j\x06\0\0\0\x93.",
        b"S'os'\np7\nS'system'\np8\n00g7\ng8\n\x93.",
        b"\x80\x04X\x02\0\0\0os\x8d\x06\0\0\0\0\0\0\0system\x93.",
        // A pickle that ends early has run what it had.
        b"\x80\x02cos\nsystem\n",
        b"cos\nsystem\n\xff",
        // The second one.
        b"N.cos\nsystem\n.",
    ] {
        harmful(bytes, "os.system");
    }
    harmful(b"\x80\x02\x82\x05.", "extension 5");
    harmful(b"\x80\x04\x8c\x02osS'sys\\x74em'\n\x93.", "?");
    harmful(b"\x80\x04NN\x93.", "?.?");
}

#[test]
fn what_makes_values_only_is_harmless() {
    for bytes in [
        &b"\x80\x02ccollections\nOrderedDict\n)R."[..],
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\ntQtR.",
        b"\x80\x04\x8c\x05numpy\x94\x8c\x07ndarray\x93.",
        b"(lp0\nI1\naF2.5\naL3L\nag0\na.",
        b"\x80\x05\x96\x02\0\0\0\0\0\0\0abC\x01xB\x02\0\0\0ab\x8e\x01\0\0\0\0\0\0\0x\x97\x98].",
        b"\x80\x04\x8f(K\x01M\x01\x02J\0\0\0\0G\0\0\0\0\0\0\0\0\x8a\x01\x05\x8b\x01\0\0\0\x07\x90.",
        b"(dS'a'\nI01\ns(lI1\nas}(NN\x88\x89u(NNe0)(NN\x91NN\x86NNN\x87N\x85N\x85\x81NNN\x92N2b1.",
        b"not a pickle",
        b"",
        b"(. c",
    ] {
        harmless(bytes);
    }
}

#[test]
fn names_are_compared_as_a_whole() {
    for (module, name) in [
        ("torch", "evilStorage.x"),
        ("torch", "hub.Storage"),
        ("torch.jit._pickle", "build_intlist.__builtins__"),
        ("collections", "OrderedDict "),
        ("collections", "OrderedDict Counter"),
        (" ", ""),
        ("", ""),
        ("torch.storage", "_load_from_bytes"),
        ("__builtin__", "eval"),
        ("numpy", "load"),
        ("__torch__x", "a"),
    ] {
        harmful(format!("c{module}\n{name}\n.").as_bytes(), name);
    }
    harmless(b"c__torch__.a.b\nNet\n.");
    // Longer than what is kept of a name.
    harmful(
        format!("ctorch\n{}.Storage\n.", "a".repeat(300)).as_bytes(),
        "aaa",
    );
}

#[test]
fn what_cannot_be_followed_is_no_harmless_pickle() {
    let numbered = b"\x80\x04\x8c\x02osq\x05\x8c\x06system\x94\x93.";
    harmful(numbered, "in two ways");
    harmful(b"Np 1\n.", "unusual");
    harmful(b"Np000000000000000000000000000001\n.", "unusual");
    harmful(b"\x80\x02N", "ends");
    harmful(b"\x80\x02\xff", "opcode");
    harmful(b"\x80\x02X\xff\xff\xff\xffab", "ends");
    harmful(&b"N".repeat((1 << 20) + 1), "too many values");
    harmful(&b"cos\nsystem\n".repeat(1001), "too many things");
    harmful(&[&b"a/b"[..], &[0; 254], b"ustar"].concat(), "tar");
    harmful(b"\x1f\x8b\x08", "compressed");

    // Words that are allowed are known behind however many others; those that are not stay unnamed.
    let words: Vec<u8> = (0..100_000)
        .flat_map(|number| {
            format!("\u{c}_word_{number:08}0")
                .replace('\u{c}', "")
                .into_bytes()
        })
        .collect();
    let words: Vec<u8> = words
        .chunks(15)
        .flat_map(|word| [b"\x8c\x0f", word, b"0"].concat())
        .collect();
    let pickle = |module: &str, name: &str| {
        let text =
            |text: &str| [&[0x8c, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
        [
            b"\x80\x04",
            &words[..],
            &text(module),
            &text(name),
            b"\x93.",
        ]
        .concat()
    };
    harmless(&pickle("collections", "OrderedDict"));
    harmful(&pickle("posix", "system"), "?.?");
}

#[test]
fn archives_are_looked_into() {
    let bad = b"\x80\x02cos\nsystem\n.";
    harmful(&zip(&[("a/data.pkl", bad)], true), "os.system");
    harmful(&zip(&[("a/DATA.PKL", bad)], false), "os.system");
    harmful(
        &zip(&[("a/version", b"3"), ("a/x.pickle", bad)], false),
        "os.system",
    );
    harmless(&zip(&[("a/data/0", bad)], false));
    // A flaw in a member, and a member that is packed.
    harmful(&zip(&[("a/data.pkl", b"N")], false), "ends");
    let mut packed = zip(&[("a/data.pkl", bad)], false);
    let at = packed
        .windows(4)
        .position(|four| four == b"PK\x01\x02")
        .unwrap();
    packed[at + 10] = 8;
    harmful(&packed, "compressed");
    packed.truncate(packed.len() - 1);
    harmful(&packed, "directory");
}

#[test]
fn files_of_the_old_torch_end_with_numbers() {
    let magic = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
    let others = b"\x80\x02M\xe9\x03.\x80\x02}.\x80\x02}.\x80\x02].";
    let numbers = b"cos\nsystem\n";
    harmless(&[&magic[..], others, numbers].concat());
    harmful(
        &[&magic[..], b"\x80\x02N.cos\nsystem\n.", numbers].concat(),
        "os.system",
    );
    harmful(&[&magic[..], b"\x80\x02N.\xff"].concat(), "opcode");
}
