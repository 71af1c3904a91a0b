// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What this device remembers of an upload that was cut: one small file in `uploads/` of the home per
//! server and name. A server is its key, so it may have another address the next time.

use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::time::Duration;

use crate::client::upload::local_file::LocalStamp;
use crate::client::upload::upload_path::UploadPath;
use crate::digest::Digest;
use crate::disk::{self, LockedFile};
use crate::home;
use crate::model::ModelName;

/// The memory of one upload. While another process has it, or where there is no home, nothing is
/// remembered, and the upload is one of its own.
pub(crate) struct Ledger(Option<LockedFile>);

/// An upload on a server, and the file that it is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RememberedUpload {
    pub(crate) location: UploadPath,
    pub(crate) stamp: LocalStamp,
}

impl Ledger {
    /// One that remembers nothing.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// The memory of uploads to a server under a name.
    pub(crate) fn open(home: Option<&Path>, server: &str, name: &ModelName) -> Self {
        let held = home.and_then(|home| {
            let directory = home::UPLOADS.path(home);
            // A digest fits into every file system, whatever the name and the address look like.
            let key = Digest::of(format!("{server}\n{name}").as_bytes()).to_string();
            let open = || -> io::Result<Option<LockedFile>> {
                disk::create_directory(&directory)?;
                // Another process may be at it, too.
                let _ = sweep(&directory);
                LockedFile::open(&directory.join(&key[..32]), 0o600)
            };
            open()
                .inspect_err(|error| log::debug!("uploads are not remembered: {error}"))
                .ok()?
        });

        Self(held)
    }

    /// What is remembered.
    pub(crate) fn read(&mut self) -> Option<RememberedUpload> {
        let held = self.0.as_mut()?;
        let mut text = String::new();
        held.go_to(0)
            .and_then(|()| held.take(BYTES_MAX).read_to_string(&mut text))
            .ok()?;

        let entry = parse(&text);
        // A new file is empty and an old one may be torn: either goes, unless an upload is written to it.
        if entry.is_none() {
            held.discard();
        }

        entry
    }

    /// Remembers an upload, also over a power cut.
    pub(crate) fn write(&mut self, entry: &RememberedUpload) {
        let Some(held) = &mut self.0 else { return };
        let LocalStamp {
            size,
            modified,
            inode,
        } = entry.stamp;

        // The last line shows that the others were written completely.
        let text = format!("{}\n{size} {modified} {inode}\nend\n", entry.location);

        let write = |held: &mut LockedFile| {
            held.cut(0)?;
            held.write_all(text.as_bytes())?;
            held.sync()
        };

        match write(held) {
            Ok(()) => held.keep(),
            Err(error) => {
                // The upload itself is not affected; it just cannot be resumed by a later process.
                log::debug!("the upload is not remembered: {error}");
                held.discard();
            }
        }
    }

    /// Forgets the upload.
    pub(crate) fn clear(&mut self) {
        if let Some(held) = &mut self.0 {
            held.discard();
        }
    }
}

/// Forgets uploads that nobody went on with; servers do not keep them so long.
fn sweep(directory: &Path) -> io::Result<()> {
    for entry in directory.read_dir()? {
        let entry = entry?;
        let age = entry.metadata()?.modified()?.elapsed().unwrap_or_default();
        if age > AGE_MAX
            && let Ok(Some(held)) = LockedFile::open_existing(&entry.path())
        {
            held.remove();
        }
    }

    Ok(())
}

fn parse(text: &str) -> Option<RememberedUpload> {
    let mut lines = text.lines();
    // The file may be of an older version, or damaged: what it names is asked for as it stands.
    let location = UploadPath::parse(lines.next()?)?;
    let mut numbers = lines.next()?.split(' ');

    let stamp = LocalStamp {
        size: numbers.next()?.parse().ok()?,
        modified: numbers.next()?.parse().ok()?,
        inode: numbers.next()?.parse().ok()?,
    };

    // A power cut leaves torn files.
    (lines.next()? == "end").then_some(RememberedUpload { location, stamp })
}

const BYTES_MAX: u64 = 8192;

const AGE_MAX: Duration = Duration::from_secs(30 * 86400);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_is_remembered_by_one_at_a_time() {
        let home = tempfile::tempdir().unwrap();
        let name: ModelName = "m".parse().unwrap();
        let open = |server| Ledger::open(Some(home.path()), server, &name);
        let stamp = LocalStamp {
            size: 1,
            modified: -2,
            inode: 3,
        };
        let entry = RememberedUpload {
            location: UploadPath::parse(&format!("/v1/uploads/{}", "0".repeat(32))).unwrap(),
            stamp,
        };
        let mut ledger = open("a");
        assert_eq!(ledger.read(), None);
        ledger.write(&entry);
        assert_eq!(open("a").read(), None, "it is taken");
        assert_eq!(open("b").read(), None);
        drop(ledger);
        let mut ledger = open("a");
        assert_eq!(ledger.read(), Some(entry.clone()));
        ledger.clear();
        drop(ledger);
        open("b").write(&entry);
        let file = std::fs::read_dir(home.path().join("uploads"))
            .unwrap()
            .next()
            .unwrap()
            .unwrap();
        let file = std::fs::File::open(file.path()).unwrap();
        file.set_modified(std::time::SystemTime::now() - 2 * AGE_MAX)
            .unwrap();
        drop(open("a").read());
        assert_eq!(
            std::fs::read_dir(home.path().join("uploads"))
                .unwrap()
                .count(),
            0
        );
        let path = &entry.location;
        assert!(parse(&format!("{path}\n1 2 3\nend\n")).is_some());
        assert_eq!(parse(&format!("{path}\n1 2 3\nen")), None);
        assert_eq!(parse("/v1/models/precious\n1 2 3\nend\n"), None);
    }
}
