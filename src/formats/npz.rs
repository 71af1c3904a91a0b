// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Arrays of NumPy: one in a file (`.npy`), or several in an archive (`.npz`).

use crate::formats::literal::{Literal, LiteralToken};
use crate::formats::model_header::{ModelHeader, TensorFacts, bytes_of, elements};
use crate::formats::window::{ENDS, Flaw, Flawed, Window};
use crate::formats::zip_directory::{self, ZipMember};

pub(super) fn begins_array(start: &[u8]) -> bool {
    start.starts_with(MAGIC)
}

pub(super) fn read_array(window: &mut Window<'_>, header: &mut ModelHeader) -> Flawed<()> {
    let end = window.size();
    array(window, header, String::new(), end)
}

/// Of arrays that are compressed, the sizes are known only.
pub(super) fn read_archive(window: &mut Window<'_>, header: &mut ModelHeader) -> Flawed<()> {
    let mut arrays = Vec::new();
    let mut packed = 0_u64;
    zip_directory::members(window, &mut |member| {
        if !member.name.ends_with(".npy") {
            return Ok(());
        }
        if member.is_plain && arrays.len() < ARRAYS_MAX {
            arrays.push(member);
            return Ok(());
        }
        packed += 1;
        header.add(unread(&member), member.size)?;
        // How many numbers it has is not known.
        header.parameters -= 1;
        Ok(())
    })?;

    for member in &arrays {
        let end = zip_directory::enter(window, member)?;
        let name = named(member);
        array(window, header, name, end)?;
    }
    match packed {
        0 => Ok(()),
        _ => Err(Flaw::Bounded("the types of compressed arrays are not read")),
    }
}

fn named(member: &ZipMember) -> String {
    member.name.trim_end_matches(".npy").to_owned()
}

fn unread(member: &ZipMember) -> TensorFacts {
    TensorFacts {
        name: named(member),
        kind: "unread".to_owned(),
        shape: Vec::new(),
    }
}

fn array(window: &mut Window<'_>, header: &mut ModelHeader, name: String, end: u64) -> Flawed<()> {
    if window.bytes::<6>()? != MAGIC {
        return Err(UNREADABLE);
    }
    let version = window.number(2)? & 0xff;
    let length = window.number(if version == 1 { 2 } else { 4 })?;
    let text_end = window.at().checked_add(length).ok_or(ENDS)?;
    let content = end.checked_sub(text_end).ok_or(ENDS)?;

    let mut literal = Literal::new(window, text_end);
    literal.expect(b'{')?;
    let (mut kind, mut bits, mut shape) = (None, None, None);
    while let Some(key) = literal.key()? {
        match key.as_str() {
            "descr" => match literal.next()? {
                LiteralToken::Text(text) => {
                    bits = bits_of(&text);
                    kind = Some(kind_of(&text));
                }
                other => {
                    literal.pass(&other)?;
                    kind = Some("records".to_owned());
                }
            },
            "shape" => shape = Some(literal.numbers(b'(', b')')?),
            _ => {
                let other = literal.next()?;
                literal.pass(&other)?;
            }
        }
    }

    let (Some(kind), Some(shape)) = (kind, shape) else {
        return Err(UNREADABLE);
    };
    if let Some(bits) = bits
        && bytes_of(elements(&shape)?, bits)? != content
    {
        return Err(Flaw::Damaged("an array is not as long as its shape says"));
    }
    header.add(TensorFacts { name, kind, shape }, content)
}

/// `<f4` is `F32` elsewhere. What has Python objects in it is a pickle.
fn kind_of(text: &str) -> String {
    let (letter, bits) = (letter(text), bits_of(text));
    match (letter, bits) {
        (Some('O'), _) => "pickled objects".to_owned(),
        (Some('b'), _) => "BOOL".to_owned(),
        (Some(letter @ ('f' | 'i' | 'u' | 'c')), Some(bits)) => {
            format!("{}{bits}", letter.to_ascii_uppercase())
        }
        _ => text.to_owned(),
    }
}

fn letter(text: &str) -> Option<char> {
    text.trim_start_matches(['<', '>', '|', '=']).chars().next()
}

/// The bits of one number; `None` where that is not the number behind the letter.
fn bits_of(text: &str) -> Option<u64> {
    let width = text.trim_start_matches(['<', '>', '|', '=']).get(1..)?;
    let width: u64 = width.parse().ok()?;
    match letter(text)? {
        'U' => width.checked_mul(32),
        'f' | 'i' | 'u' | 'c' | 'b' | 'S' | 'V' | 'm' | 'M' => width.checked_mul(8),
        _ => None,
    }
}

const MAGIC: &[u8] = b"\x93NUMPY";

const UNREADABLE: Flaw = Flaw::Damaged("an array has no header that can be read");

/// Arrays whose headers are read one by one, each with a place of its own.
const ARRAYS_MAX: usize = 2000;
