// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Safetensors: the length of a JSON object in eight bytes, the object, and the bytes of all tensors.

use crate::formats::literal::{Literal, LiteralToken};
use crate::formats::model_header::{ModelHeader, TensorFacts, bytes_of, elements};
use crate::formats::window::{ENDS, Flaw, Flawed, Window};

/// Whether it can be such a file, to judge by its first nine bytes.
pub(super) fn begins(start: &[u8], size: u64) -> bool {
    let length = start
        .first_chunk()
        .map(|length| u64::from_le_bytes(*length));
    length.is_some_and(|length| size.checked_sub(8) >= Some(length)) && start.get(8) == Some(&b'{')
}

pub(super) fn read(window: &mut Window<'_>, header: &mut ModelHeader) -> Flawed<()> {
    let length = window.number(8)?;
    if length > HEADER_BYTES_MAX {
        return Err(Flaw::Damaged("its header is longer than 100 MB"));
    }
    let end = 8 + length;
    let content = window.size().checked_sub(end).ok_or(ENDS)?;

    let mut literal = Literal::new(window, end);
    literal.expect(b'{')?;
    while let Some(name) = literal.key()? {
        literal.expect(b'{')?;
        if name == "__metadata__" {
            while let Some(key) = literal.key()? {
                header.say(&key, &literal.text()?);
            }
        } else {
            tensor(&mut literal, header, name, content)?;
        }
    }

    // The format allows no holes, and what lies twice would be counted twice.
    if header.bytes == content {
        Ok(())
    } else {
        Err(Flaw::Damaged("its tensors are not as long as what follows"))
    }
}

fn tensor(
    literal: &mut Literal<'_, '_>,
    header: &mut ModelHeader,
    name: String,
    content: u64,
) -> Flawed<()> {
    let (mut kind, mut shape, mut place) = (String::new(), Vec::new(), Vec::new());
    while let Some(key) = literal.key()? {
        match key.as_str() {
            "dtype" => kind = literal.text()?,
            "shape" => shape = literal.numbers(b'[', b']')?,
            "data_offsets" => place = literal.numbers(b'[', b']')?,
            _ => {
                let first: LiteralToken = literal.next()?;
                literal.pass(&first)?;
            }
        }
    }

    let [begin, end] = place[..] else {
        return Err(Flaw::Damaged("a tensor has no place in it"));
    };
    let bytes = end.checked_sub(begin).filter(|_| end <= content);
    let bytes = bytes.ok_or(Flaw::Damaged("a tensor lies outside of it"))?;
    if let Some(bits) = bits_of(&kind)
        && bytes_of(elements(&shape)?, bits)? != bytes
    {
        return Err(Flaw::Damaged("a tensor is not as long as its shape says"));
    }
    header.add(TensorFacts { name, kind, shape }, bytes)
}

/// The bits of one number; `None` for types that came later.
fn bits_of(kind: &str) -> Option<u64> {
    // All of them end with this number, but for those of eight bits that say how these are used.
    Some(match kind {
        "BOOL" => 8,
        _ if kind.starts_with("F8_") => 8,
        _ if kind.starts_with("F6_") => 6,
        _ => kind.trim_start_matches(char::is_alphabetic).parse().ok()?,
    })
}

/// As the specification has it.
const HEADER_BYTES_MAX: u64 = 100_000_000;
