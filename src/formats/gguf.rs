// SPDX-License-Identifier: Apache-2.0 OR MIT
//! GGUF: numbers of tensors and keys, keys with values, and what each tensor is.

use crate::formats::gguf_types::{FILE_TYPES, TENSOR_TYPES};
use crate::formats::model_header::{
    DIMENSIONS_MAX, ModelHeader, TEXT_MAX, TOO_MANY, TensorFacts, elements,
};
use crate::formats::window::{Flaw, Flawed, Window};

pub(super) fn begins(start: &[u8]) -> bool {
    start.starts_with(b"GGUF")
}

pub(super) fn read(window: &mut Window<'_>, header: &mut ModelHeader) -> Flawed<()> {
    window.skip(4)?;
    let version = window.number(4)?;
    header.format = format!("GGUF {version}");
    match version {
        2 | 3 => {}
        // Of files for devices that count the other way round, the version looks large.
        _ if version & 0xffff == 0 => {
            return Err(Flaw::Bounded("its numbers begin with the greatest byte"));
        }
        _ => return Err(Flaw::Bounded("this version of the format is not known")),
    }

    let (tensors, keys) = (window.number(8)?, window.number(8)?);
    let mut alignment = ALIGNMENT;
    for _ in 0..keys {
        pair(window, header, &mut alignment)?;
    }
    let mut last = 0;
    for _ in 0..tensors {
        last = tensor(window, header)?.max(last);
    }

    let start = window.at().checked_next_multiple_of(alignment.max(1));
    let end = start.and_then(|start| start.checked_add(last));
    if end.ok_or(TOO_MANY)? > window.size() {
        return Err(Flaw::Damaged("it ends before its tensors do"));
    }
    Ok(())
}

fn pair(window: &mut Window<'_>, header: &mut ModelHeader, alignment: &mut u64) -> Flawed<()> {
    let key = text(window)?;
    let kind = window.number(4)?;
    let section = key.rsplit('.').next().unwrap_or_default();
    match (kind, section) {
        (STRING, _) => {
            let value = text(window)?;
            match key.as_str() {
                "general.architecture" => header.architecture = Some(value),
                "general.name" => header.name = Some(value),
                _ if key.starts_with("general.") => header.say(&key, &value),
                _ => {}
            }
            Ok(())
        }
        (U32 | U64, "context_length") => {
            header.context_length = Some(window.number(width(kind)?)?);
            Ok(())
        }
        (U32, _) if key == "general.alignment" => {
            *alignment = window.number(4)?;
            Ok(())
        }
        (U32, _) if key == "general.file_type" => {
            let number = window.number(4)?;
            let known = FILE_TYPES.iter().find(|known| u64::from(known.0) == number);
            let told = known.map_or_else(|| format!("type {number}"), |known| known.1.to_owned());
            header.quantization = Some(told);
            Ok(())
        }
        _ => pass(window, kind, 0),
    }
}

/// Passes over a value.
fn pass(window: &mut Window<'_>, kind: u64, depth: u32) -> Flawed<()> {
    match kind {
        STRING => {
            let length = window.number(8)?;
            window.skip(length)
        }
        ARRAY if depth < DEPTH_MAX => {
            let (kind, count) = (window.number(4)?, window.number(8)?);
            if kind == STRING || kind == ARRAY {
                // Each of them takes at least eight bytes, so that a count without bytes ends soon.
                for _ in 0..count {
                    pass(window, kind, depth + 1)?;
                }
                return Ok(());
            }
            let bytes = count.checked_mul(u64::from(width(kind)?));
            window.skip(bytes.ok_or(TOO_MANY)?)
        }
        ARRAY => Err(Flaw::Bounded("its lists lie too deep in lists")),
        _ => window.skip(u64::from(width(kind)?)),
    }
}

/// Returns where the tensor ends, behind the place at which all tensors begin.
fn tensor(window: &mut Window<'_>, header: &mut ModelHeader) -> Flawed<u64> {
    let name = text(window)?;
    let dimensions = window.number(4)?;
    if dimensions > DIMENSIONS_MAX as u64 {
        return Err(Flaw::Damaged("a tensor has too many dimensions"));
    }
    let mut shape = Vec::new();
    for _ in 0..dimensions {
        shape.push(window.number(8)?);
    }
    // The dimension that comes first here comes last in every other format.
    shape.reverse();
    let (number, offset) = (window.number(4)?, window.number(8)?);

    let known = TENSOR_TYPES
        .iter()
        .find(|known| u64::from(known.0) == number);
    let Some((_, kind, block, block_bytes)) = known else {
        let kind = format!("type {number}");
        header.add(TensorFacts { name, kind, shape }, 0)?;
        return Ok(offset);
    };
    let blocks = elements(&shape)?.div_ceil(u64::from(*block));
    let bytes = blocks.checked_mul(u64::from(*block_bytes));
    let bytes = bytes.ok_or(TOO_MANY)?;
    let kind = (*kind).to_owned();
    header.add(TensorFacts { name, kind, shape }, bytes)?;
    offset.checked_add(bytes).ok_or(TOO_MANY)
}

fn text(window: &mut Window<'_>) -> Flawed<String> {
    let length = window.number(8)?;
    let text = window.text(length, TEXT_MAX)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// The bytes of a number or a boolean.
fn width(kind: u64) -> Flawed<u32> {
    match kind {
        0 | 1 | 7 => Ok(1),
        2 | 3 => Ok(2),
        U32 | 5 | 6 => Ok(4),
        U64..=12 => Ok(8),
        _ => Err(Flaw::Damaged("a value has a type that is not known")),
    }
}

const U32: u64 = 4;
const STRING: u64 = 8;
const ARRAY: u64 = 9;
const U64: u64 = 10;

/// Where nothing is said of it.
const ALIGNMENT: u64 = 32;

/// Nothing that is known has lists in lists.
const DEPTH_MAX: u32 = 4;
