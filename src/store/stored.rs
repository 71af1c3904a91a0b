// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A model that was opened, and bytes of a file for readers of formats.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use crate::formats::ByteSource;
use crate::model::Model;
use crate::store::about::About;
use crate::store::catalog::Stamp;

/// A model that was opened.
#[derive(Debug)]
pub struct OpenedModel {
    /// What is known of exactly these bytes; the digest of a small model is always known.
    pub model: Model,
    pub(crate) stamp: Stamp,
    /// What was said of the bytes when they were uploaded.
    pub about: Option<Arc<About>>,
    /// The bytes.
    pub content: StoredContent,
}

impl OpenedModel {
    /// What changes with every change of the file, as far as its file system can tell.
    pub fn stamp(&self) -> String {
        self.stamp.to_string()
    }
}

/// The bytes of a model.
#[derive(Debug)]
pub enum StoredContent {
    /// A small one, in memory.
    Cached(Arc<[u8]>),
    /// A file, standing at its start. It stays readable when the model is replaced or removed.
    File(File),
}

/// Bytes of a file that readers of formats look into.
pub(crate) struct FileBytes {
    file: File,
    size: u64,
}

impl FileBytes {
    /// So many bytes of a file.
    pub(crate) fn new(file: File, size: u64) -> Self {
        Self { file, size }
    }
}

impl ByteSource for FileBytes {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }
}
