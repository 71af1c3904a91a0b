// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What files of models say of themselves, read from their headers with bounds: nothing of a model is loaded,
//! and nothing in it is run.

#[cfg(any(fuzzing, test))]
pub(crate) mod fuzz_formats;
mod gguf;
mod gguf_types;
mod literal;
mod model_header;
mod npz;
mod onnx;
mod pickle;
mod safetensors;
mod window;
pub(crate) mod xet;
mod zip_directory;

pub(crate) use model_header::{ForeignImports, ModelHeader};
pub(crate) use window::{ByteSource, Flaw, ReadBounds};

use std::io;

use crate::model::ModelName;
use pickle::pickled_file;
use window::{Flawed, Window};

/// Whether the ending of a name is one of those whose files are looked into.
pub(crate) fn is_readable(name: &ModelName) -> bool {
    FileEnding::of(name).is_some()
}

/// Whether programs load a file of this name as a pickle.
pub(crate) fn is_pickle(name: &ModelName) -> bool {
    FileEnding::of(name) == Some(FileEnding::Pickle)
}

/// What a file says of itself; `None` for one of which nothing is known. What is wrong with it is said there.
///
/// # Errors
/// Those of the source.
pub(crate) fn header_of(
    name: &ModelName,
    source: &mut dyn ByteSource,
    bounds: ReadBounds,
) -> io::Result<Option<ModelHeader>> {
    let Some(ending) = FileEnding::of(name) else {
        return Ok(None);
    };
    let mut window = Window::new(source, bounds);
    let mut header = ModelHeader::of("unknown");
    let reason = match read(&mut window, &mut header, ending) {
        Ok(Told::Yes) => None,
        Ok(Told::No) => return Ok(None),
        Err(Flaw::Damaged(reason) | Flaw::Bounded(reason)) => Some(reason.to_owned()),
        Err(Flaw::Source(error)) => return Err(error),
    };
    header.flaw = reason;
    Ok(Some(header))
}

/// What the pickles of a file import that is not known to be harmless.
///
/// # Errors
/// Those of the source.
pub(crate) fn imports_of(source: &mut dyn ByteSource) -> io::Result<ForeignImports> {
    let mut window = Window::new(source, UNBOUNDED);
    let mut header = ModelHeader::default();
    match pickled_file::read(&mut window, &mut header) {
        Err(Flaw::Source(error)) => Err(error),
        _ => Ok(header.imports.unwrap_or_default()),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Yes,
    No,
}

fn read(window: &mut Window<'_>, header: &mut ModelHeader, ending: FileEnding) -> Flawed<Told> {
    let start = window.text(window.size().min(START_BYTES), START_BYTES)?;
    window.seek(0)?;

    // Whatever is called `.bin` or `.pt` may have another format, and says so.
    let is_any = ending == FileEnding::Pickle;
    if gguf::begins(&start) && (is_any || ending == FileEnding::Gguf) {
        header.format = "GGUF".to_owned();
        gguf::read(window, header)?;
    } else if safetensors::begins(&start, window.size())
        && (is_any || ending == FileEnding::Safetensors)
    {
        header.format = "safetensors".to_owned();
        safetensors::read(window, header)?;
    } else if ending == FileEnding::Onnx && onnx::begins(&start) {
        header.format = "ONNX".to_owned();
        onnx::read(window, header)?;
    } else if ending == FileEnding::Array && npz::begins_array(&start) {
        header.format = "NumPy".to_owned();
        npz::read_array(window, header)?;
    } else if ending == FileEnding::Arrays && zip_directory::begins(&start) {
        header.format = "archive of NumPy".to_owned();
        npz::read_archive(window, header)?;
    } else if is_any {
        pickled_file::read(window, header)?;
        let imports = header.imports.as_ref();
        let is_none = imports.is_none_or(ForeignImports::is_harmless)
            && !zip_directory::begins(&start)
            && !pickled_file::begins(&start);
        if is_none {
            return Ok(Told::No);
        }
    } else {
        let text = "it does not begin as a file with such an ending does";
        return Err(Flaw::Damaged(text));
    }
    Ok(Told::Yes)
}

/// The endings of names whose files are looked into.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FileEnding {
    Gguf,
    Safetensors,
    Onnx,
    Array,
    Arrays,
    Pickle,
}

impl FileEnding {
    fn of(name: &ModelName) -> Option<Self> {
        let (_, ending) = name.file_name().rsplit_once('.')?;
        let known = ENDINGS
            .iter()
            .find(|known| known.0.eq_ignore_ascii_case(ending));
        known.map(|known| known.1)
    }
}

const ENDINGS: &[(&str, FileEnding)] = &[
    ("gguf", FileEnding::Gguf),
    ("safetensors", FileEnding::Safetensors),
    ("onnx", FileEnding::Onnx),
    ("npy", FileEnding::Array),
    ("npz", FileEnding::Arrays),
    ("pt", FileEnding::Pickle),
    ("pth", FileEnding::Pickle),
    ("bin", FileEnding::Pickle),
    ("pkl", FileEnding::Pickle),
    ("pickle", FileEnding::Pickle),
    ("ckpt", FileEnding::Pickle),
    ("joblib", FileEnding::Pickle),
];

/// A file on this device is read as far as a pickle goes, a piece at a time.
const UNBOUNDED: ReadBounds = ReadBounds {
    bytes_max: u64::MAX,
    reads_max: u64::MAX,
    piece_min: 4 << 10,
    piece_max: 64 << 10,
};

const START_BYTES: u64 = 16;

#[cfg(test)]
mod tests;
