// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Whether bytes begin as the ending of their name says, for stores that ask for that.
//!
//! It tells a page of errors or a form from a model, and a wrong name from a right one. It does not make a
//! file safe to load.

use std::io::Read as _;

use crate::error::{Error, ErrorKind, Result};
use crate::model::ModelName;
use crate::store::catalog::Catalog;
use crate::store::claim::{Claim, NewBytes};
use crate::store::failure::unreadable;

impl Catalog {
    /// Whether the bytes of a claim begin as its name says, if the store asks for that.
    ///
    /// # Errors
    /// `UnsupportedType` if not; those of the file system.
    pub(crate) fn check_start(&self, claim: &Claim<'_>, bytes: &mut impl NewBytes) -> Result<()> {
        if !self.options.require_format || shape(claim.name).is_none() {
            return Ok(());
        }

        let mut start = Vec::new();
        bytes
            .content()
            .and_then(|content| content.take(START_BYTES).read_to_end(&mut start))
            .map_err(|error| unreadable(claim.name, error))?;

        if fits(claim.name, &start, claim.size) {
            return Ok(());
        }

        let text = format!(
            "'{}' does not begin as a file with such an ending does",
            claim.name
        );
        Err(Error::new(ErrorKind::UnsupportedType, text)
            .hint("send the file itself, or use another name (setting require-format)"))
    }
}

/// Whether this can be the beginning of such a model.
fn fits(name: &ModelName, start: &[u8], size: u64) -> bool {
    let begins = |at: usize, bytes: &[u8]| start.get(at..at + bytes.len()) == Some(bytes);
    shape(name).is_none_or(|shape| match shape {
        Shape::Begins(at, choices) => choices.iter().any(|bytes| begins(*at, bytes)),
        // The length of the JSON that follows it.
        Shape::Safetensors => {
            start
                .first_chunk()
                .is_some_and(|length| size.checked_sub(8) >= Some(u64::from_le_bytes(*length)))
                && begins(8, b"{")
        }
    })
}

/// How the files of a format begin.
enum Shape {
    /// At this place, with one of these.
    Begins(usize, &'static [&'static [u8]]),
    Safetensors,
}

fn shape(name: &ModelName) -> Option<&'static Shape> {
    let (_, ending) = name.as_str().rsplit_once('.')?;
    let is_it = |known: &&str| known.eq_ignore_ascii_case(ending);
    let row = SHAPES.iter().find(|row| row.0.iter().any(is_it));
    row.map(|row| &row.1)
}

const ZIP: &[u8] = b"PK\x03\x04";

/// Without any file in it.
const EMPTY_ZIP: &[u8] = b"PK\x05\x06";

const HDF5: &[u8] = b"\x89HDF\r\n\x1a\n";

/// Endings, and how their files begin.
const SHAPES: &[(&[&str], Shape)] = &[
    (&["gguf"], Shape::Begins(0, &[b"GGUF"])),
    (&["safetensors"], Shape::Safetensors),
    // Protocol buffers have no mark, but all writers begin with the first field: its tag.
    (&["onnx"], Shape::Begins(0, &[b"\x08"])),
    (&["tflite"], Shape::Begins(4, &[b"TFL3"])),
    // Until its version 1.6, PyTorch wrote pickles of protocol 2.
    (&["pt", "pth"], Shape::Begins(0, &[ZIP, b"\x80\x02"])),
    (&["npz", "zip"], Shape::Begins(0, &[ZIP, EMPTY_ZIP])),
    (&["npy"], Shape::Begins(0, &[b"\x93NUMPY"])),
    (&["keras"], Shape::Begins(0, &[ZIP, HDF5])),
    (&["h5", "hdf5"], Shape::Begins(0, &[HDF5])),
];

const START_BYTES: u64 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_begin_as_their_endings_say() {
        let fits = |name: &str, start: &[u8]| fits(&name.parse().unwrap(), start, 100);
        let all: &[(&str, &[u8])] = &[
            ("a.gguf", b"GGUF\x03\0\0\0"),
            ("a.SAFETENSORS", b"\x5c\0\0\0\0\0\0\0{\"a"),
            ("a.onnx", b"\x08\x09\x12\x07pytorch"),
            ("a.tflite", b"\x1c\0\0\0TFL3"),
            ("a.pt", b"PK\x03\x04"),
            ("a.pth", b"\x80\x02\x8a\x0a"),
            ("a.npz", b"PK\x05\x06"),
            ("a.npy", b"\x93NUMPY\x01\0"),
            ("a.keras", b"PK\x03\x04"),
            ("a.b.h5", b"\x89HDF\r\n\x1a\n"),
        ];

        for (name, start) in all {
            assert!(fits(name, start), "{name}");
            // Nothing, half of it, a page, and what the others begin with.
            for wrong in [&b""[..], &start[..start.len().min(1) - 1], b"<html><body>"] {
                assert!(!fits(name, wrong), "{name} {wrong:?}");
            }
        }
        assert!(!fits("a.gguf", b"PK\x03\x04") && !fits("a.zip", b"GGUF"));
        // Longer than the file.
        assert!(!fits("a.safetensors", b"\x5d\0\0\0\0\0\0\0{\"a"));
        assert!(fits("a.bin", b"anything") && fits("gguf", b"anything"));
    }
}
