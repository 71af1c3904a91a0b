// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A folder as one tar archive (POSIX.1-2001, `pax`): `GET /v1/models/FOLDER/?tar`, sent as it is read.
//!
//! The archive is what the folder is at one moment, or it has no end: names, sizes and times are looked at
//! before the first byte, and compared with what was sent before the last one. What cannot be read, or is
//! another one than was told, ends the connection in the middle of a chunk.

use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::digest::{Digest, Hasher};
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Content, Response, Status};
use crate::model::{ListRequest, Model, ModelName, NameFilter, Revision};
use crate::routes::api::Api;
use crate::store::{BlobSearch, Store, StoredContent};

/// Hands out all models of a folder, under their names below it.
///
/// # Errors
/// `NotFound` if there is none in it; otherwise those of the file system.
pub(crate) fn archive(
    api: &Api,
    folder: &ModelName,
    revision: Option<(Revision, BlobSearch)>,
) -> Result<Response> {
    let prefix = format!("{folder}/");
    if let Some((revision, search)) = revision {
        // Once the answer has begun, all it can do is break off.
        let manifest = api.store.manifest_at(folder, revision, search)?;
        api.store.check_bytes_of(&manifest, search)?;
    }
    let models = || models(&api.store, folder, revision);

    let mut seen = Hasher::new();
    let mut count = 0_u64;
    for model in models()? {
        note(&mut seen, &model);
        count += 1;
    }
    if count == 0 {
        let text = format!("there is no folder '{prefix}'");
        return Err(Error::new(ErrorKind::NotFound, text).hint("'skep ls' lists what there is"));
    }

    let archive = Archive {
        store: api.store.clone(),
        models: models()?,
        revision,
        prefix,
        expected: seen.finish(),
        sent: Hasher::new(),
        piece: Vec::new(),
        start: 0,
        member: None,
        is_over: false,
    };

    let response = Response::new(Status::OK)
        .field("content-type", "application/x-tar")
        .field("cache-control", "no-cache");
    Ok(response.content(Content::Chunked(Box::new(archive))))
}

/// What a folder has, now or in a revision.
fn models(
    store: &Store,
    folder: &ModelName,
    revision: Option<(Revision, BlobSearch)>,
) -> Result<Models> {
    if let Some((revision, search)) = revision {
        let manifest = store.manifest_at(folder, revision, search)?;
        let members = (0..manifest.members.len()).map(move |number| {
            let member = &manifest.members[number];
            Model {
                name: member.name.clone(),
                size: member.size,
                modified: member.modified,
                digest: Some(member.digest),
            }
        });
        return Ok(Box::new(members));
    }

    let filter = NameFilter {
        prefix: format!("{folder}/"),
        ..NameFilter::default()
    };
    let held = store.hold(&filter)?;
    let listing = store.listing(ListRequest {
        filter,
        ..ListRequest::default()
    });
    drop(held);
    Ok(Box::new(listing?))
}

type Models = Box<dyn Iterator<Item = Model> + Send>;

/// Takes in what makes two looks at a folder the same.
fn note(seen: &mut Hasher, model: &Model) {
    let age = model.modified.duration_since(UNIX_EPOCH);
    let nanos = age.unwrap_or_default().as_nanos();
    seen.update(format!("{} {nanos} {}\n", model.size, model.name).as_bytes());
}

/// An archive on its way.
struct Archive {
    store: Store,
    models: Models,
    /// The revision that they are of, and where its bytes are looked for.
    revision: Option<(Revision, BlobSearch)>,
    /// What all names begin with.
    prefix: String,
    expected: Digest,
    sent: Hasher,
    /// Headers and padding that are to be sent, and how much of them was.
    piece: Vec<u8>,
    start: usize,
    member: Option<ArchiveMember>,
    is_over: bool,
}

/// The model whose bytes are sent.
struct ArchiveMember {
    model: Model,
    content: StoredContent,
    position: u64,
}

impl Archive {
    /// Opens the next model, or ends the archive.
    fn begin_next(&mut self) -> io::Result<()> {
        let Some(listed) = self.models.next() else {
            if self.sent.clone().finish() != self.expected {
                return Err(changed(&self.prefix));
            }
            // Two blocks of zeros are the end.
            self.piece = vec![0; 2 * BLOCK];
            self.start = 0;
            self.is_over = true;
            return Ok(());
        };

        let opened = match self.revision {
            Some((revision, search)) => self.store.open_model_at(&listed.name, revision, search),
            None => self.store.open_model(&listed.name),
        };
        let opened = opened.map_err(|error| io::Error::other(error.to_string()))?;
        let (size, modified) = (opened.model.size, listed.modified);
        // The bytes of a revision are known by their digest, whatever time their file has by now.
        let is_same_time = self.revision.is_some() || opened.model.modified == modified;
        if size != listed.size || !is_same_time {
            return Err(changed(listed.name.as_str()));
        }

        note(&mut self.sent, &listed);
        let path = &listed.name.as_str()[self.prefix.len()..];
        self.piece = headers(path, size, modified);
        self.start = 0;
        self.member = Some(ArchiveMember {
            model: opened.model,
            content: opened.content,
            position: 0,
        });
        Ok(())
    }

    /// Reads on in the open model; nothing at its end.
    fn read_member(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(member) = &mut self.member else {
            return Ok(0);
        };
        let (size, position) = (member.model.size, member.position);
        let left = size - position;
        if left == 0 {
            member.check_unchanged()?;
            self.piece = vec![0; padding(size)];
            self.start = 0;
            self.member = None;
            return Ok(0);
        }

        let most = usize::try_from(left).unwrap_or(usize::MAX);
        let most = most.min(buffer.len());
        let buffer = &mut buffer[..most];
        let count = match &member.content {
            StoredContent::Cached(bytes) => {
                let from = usize::try_from(position).unwrap_or(usize::MAX);
                bytes.get(from..).unwrap_or_default().read(buffer)?
            }
            StoredContent::File(file) => file.read_at(buffer, position)?,
        };

        // Zeros in the place of what is not there any more would be taken for its bytes.
        if count == 0 {
            return Err(changed(member.model.name.as_str()));
        }
        member.position += count as u64;
        Ok(count)
    }
}

impl ArchiveMember {
    fn check_unchanged(&self) -> io::Result<()> {
        let StoredContent::File(file) = &self.content else {
            return Ok(());
        };
        let facts = file.metadata()?;
        if (facts.len(), facts.modified()?) == (self.model.size, self.model.modified) {
            Ok(())
        } else {
            Err(changed(self.model.name.as_str()))
        }
    }
}

impl Read for Archive {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }

        loop {
            if self.start < self.piece.len() {
                let count = (&self.piece[self.start..]).read(buffer)?;
                self.start += count;
                return Ok(count);
            }

            if self.member.is_some() {
                let count = self.read_member(buffer)?;
                if count > 0 {
                    return Ok(count);
                }
            } else if self.is_over {
                return Ok(0);
            } else {
                self.begin_next()?;
            }
        }
    }
}

fn changed(what: &str) -> io::Error {
    io::Error::other(format!("'{what}' has changed while it was sent"))
}

/// What stands before the bytes of a file: its header, and one of `pax` where that does not suffice.
fn headers(path: &str, size: u64, modified: SystemTime) -> Vec<u8> {
    let seconds = modified.duration_since(UNIX_EPOCH);
    let seconds = seconds.unwrap_or_default().as_secs().min(OCTAL_MAX);

    let mut records = String::new();
    if path.len() > NAME_BYTES || !path.is_ascii() {
        records.push_str(&record("path", path));
    }
    if size > OCTAL_MAX {
        records.push_str(&record("size", &size.to_string()));
    }

    let mut bytes = Vec::new();
    if !records.is_empty() {
        let length = records.len() as u64;
        bytes.extend_from_slice(&header(b"pax", length, seconds, b'x'));
        bytes.extend_from_slice(records.as_bytes());
        bytes.resize(bytes.len() + padding(length), 0);
    }

    // Where the name is told before, this one only has to be one.
    let name = path.as_bytes();
    let name = &name[..name.len().min(NAME_BYTES)];
    bytes.extend_from_slice(&header(name, size.min(OCTAL_MAX), seconds, b'0'));
    bytes
}

/// A header of `ustar`: mode 0644, owned by nobody in particular.
fn header(name: &[u8], size: u64, seconds: u64, kind: u8) -> [u8; BLOCK] {
    let (size, seconds) = (format!("{size:011o}\0"), format!("{seconds:011o}\0"));
    let mut block = [0; BLOCK];
    let fields: [(usize, &[u8]); 9] = [
        (0, name),
        (100, b"0000644\0"),
        (108, b"0000000\0"),
        (116, b"0000000\0"),
        (124, size.as_bytes()),
        (136, seconds.as_bytes()),
        (148, b"        "),
        (156, &[kind]),
        (257, b"ustar\x0000"),
    ];
    for (offset, bytes) in fields {
        block[offset..offset + bytes.len()].copy_from_slice(bytes);
    }

    // The sum is that of the block with blanks in its place.
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// A record of a `pax` header, which begins with its own length.
fn record(key: &str, value: &str) -> String {
    let rest = format!(" {key}={value}\n");
    let mut length = rest.len();
    loop {
        let text = format!("{length}{rest}");
        if text.len() == length {
            return text;
        }
        length = text.len();
    }
}

/// How many zeros come after so many bytes.
fn padding(size: u64) -> usize {
    let past = usize::try_from(size % BLOCK as u64).unwrap_or_default();
    (BLOCK - past) % BLOCK
}

const BLOCK: usize = 512;

/// The longest name that a header has room for.
const NAME_BYTES: usize = 100;

/// The largest number in eleven octal digits: 8 GiB, or the year 2242.
const OCTAL_MAX: u64 = 0o777_7777_7777;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_its_own_length() {
        assert_eq!(record("path", "a"), "9 path=a\n");
        for (value, length) in [(90, 99), (91, 101)] {
            let text = record("path", &"x".repeat(value));
            let told = text.split(' ').next().and_then(|word| word.parse().ok());
            assert_eq!((text.len(), told), (length, Some(length)));
        }
    }

    #[test]
    fn what_a_header_has_no_room_for_is_told_before() {
        let now = UNIX_EPOCH;
        assert_eq!(headers("a", OCTAL_MAX, now).len(), BLOCK);
        let large = headers("a", OCTAL_MAX + 1, now);
        assert_eq!(large.len(), 3 * BLOCK);
        assert!(large[BLOCK..].starts_with(b"19 size=8589934592\n"));
        assert_eq!(headers(&"n".repeat(100), 0, now).len(), BLOCK);
        assert_eq!(headers(&"n".repeat(101), 0, now).len(), 3 * BLOCK);
        assert_eq!((padding(0), padding(1), padding(512)), (0, 511, 0));
    }
}
