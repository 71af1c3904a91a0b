// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Files with pickles in them: one or several in a row, and the archives of PyTorch.

use crate::formats::model_header::{ForeignImports, ModelHeader, TOO_MANY};
use crate::formats::pickle::scan;
use crate::formats::window::{Flaw, Flawed, Window};
use crate::formats::zip_directory;

/// Reads all pickles of a file. What cannot be read of them is noted with what they import.
pub(in crate::formats) fn read(window: &mut Window<'_>, header: &mut ModelHeader) -> Flawed<()> {
    let mut imports = ForeignImports::default();
    let result = look(window, header, &mut imports);
    if let Err(Flaw::Damaged(reason) | Flaw::Bounded(reason)) = &result {
        imports.obscured = Some(reason);
    }
    header.imports = Some(imports);
    result
}

/// Whether it says itself that it is a pickle, as all protocols since the second do.
pub(in crate::formats) fn begins(start: &[u8]) -> bool {
    matches!(start, [0x80, 0..=5, ..])
}

fn look(
    window: &mut Window<'_>,
    header: &mut ModelHeader,
    imports: &mut ForeignImports,
) -> Flawed<()> {
    let start = window.text(window.size().min(START_BYTES), START_BYTES)?;
    window.seek(0)?;

    if zip_directory::begins(&start) {
        header.format = "archive of PyTorch".to_owned();
        return members(window, header, imports);
    }
    // PyTorch and joblib look into these, and nothing here does.
    if start.get(TAR_AT..) == Some(TAR) {
        return Err(Flaw::Bounded("its pickles lie in a tar archive"));
    }
    if PACKED.iter().any(|packed| start.starts_with(packed)) {
        return Err(Flaw::Bounded("it is compressed"));
    }
    header.format = "pickle".to_owned();
    row(window, imports, &start)
}

/// Pickles one after another, as several loaders read them.
fn row(window: &mut Window<'_>, imports: &mut ForeignImports, start: &[u8]) -> Flawed<()> {
    let (is_old_torch, size) = (start.starts_with(OLD_TORCH), window.size());
    let mut count = 0;
    while window.left() > 0 {
        match scan(window, size, imports) {
            Ok(()) => count += 1,
            // Not all that follows a pickle is one, and not every file of any name. A loader that takes it for
            // one ends here as well.
            Err(Flaw::Damaged(_)) if !is_old_torch && (count > 0 || !begins(start)) => {
                return Ok(());
            }
            Err(flaw) => return Err(flaw),
        }
        // The numbers of all tensors follow.
        if is_old_torch && count == OLD_TORCH_PICKLES {
            return Ok(());
        }
    }
    Ok(())
}

fn members(
    window: &mut Window<'_>,
    header: &mut ModelHeader,
    imports: &mut ForeignImports,
) -> Flawed<()> {
    let mut pickles = Vec::new();
    zip_directory::members(window, &mut |member| {
        // Readers of archives do not tell cases apart.
        let name = member.name.to_ascii_lowercase();
        if PICKLES.iter().any(|ending| name.ends_with(ending)) {
            if !member.is_plain {
                return Err(Flaw::Bounded("a pickle in it is compressed"));
            }
            if pickles.len() == PICKLES_MAX {
                return Err(Flaw::Bounded("it has too many pickles"));
            }
            pickles.push(member);
        } else if name.contains("/data/") {
            header.tensors += 1;
            header.bytes = header.bytes.checked_add(member.size).ok_or(TOO_MANY)?;
        }
        Ok(())
    })?;

    for member in &pickles {
        let end = zip_directory::enter(window, member)?;
        scan(window, end, imports)?;
    }
    Ok(())
}

/// The first pickle of a file of PyTorch before its version 1.6, a number that stands for the format.
const OLD_TORCH: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";

/// That number, a version, the device, the model and the names of its tensors.
const OLD_TORCH_PICKLES: u32 = 5;

const TAR: &[u8] = b"ustar";
const TAR_AT: usize = 257;
const START_BYTES: u64 = 262;

/// gzip, bzip2, xz, lz4 and zlib.
const PACKED: &[&[u8]] = &[
    b"\x1f\x8b",
    b"BZh",
    b"\xfd7zXZ",
    b"\x04\x22\x4d\x18",
    b"x\x01",
    b"x\x5e",
    b"x\x9c",
    b"x\xda",
];

const PICKLES: &[&str] = &[".pkl", ".pickle"];

/// A compiled model has two of them.
const PICKLES_MAX: usize = 64;
