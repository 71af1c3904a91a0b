// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What this device remembers of a change set that was cut: a small file in `uploads/` of the home per server
//! and folder, so that the next command goes on with it.

use std::io::{self, Read as _, Write as _};
use std::path::Path;

use crate::client::changes::change_path::ChangePath;
use crate::digest::Digest;
use crate::disk::{self, LockedFile};
use crate::home;
use crate::model::ModelName;

/// The memory of one change set. While another process has it, or where there is no home, nothing is
/// remembered, and the set is one of its own.
pub(crate) struct RememberedSet(Option<LockedFile>);

impl RememberedSet {
    /// The memory of the set for a folder of a server.
    pub(crate) fn open(home: Option<&Path>, server: &str, root: &ModelName) -> Self {
        let held = home.and_then(|home| {
            let directory = home::UPLOADS.path(home);
            // No model has a name with a slash at its end.
            let key = Digest::of(format!("{server}\n{root}/").as_bytes()).to_string();
            let open = || -> io::Result<Option<LockedFile>> {
                disk::create_directory(&directory)?;
                LockedFile::open(&directory.join(&key[..32]), 0o600)
            };
            open()
                .inspect_err(|error| log::debug!("the change set is not remembered: {error}"))
                .ok()?
        });
        Self(held)
    }

    /// What is remembered.
    pub(crate) fn read(&mut self) -> Option<ChangePath> {
        let held = self.0.as_mut()?;
        let mut text = String::new();
        held.go_to(0)
            .and_then(|()| held.take(BYTES_MAX).read_to_string(&mut text))
            .ok()?;

        // The last line shows that the first was written completely.
        let path = text.strip_suffix("\nend\n").and_then(ChangePath::parse);
        if path.is_none() {
            held.discard();
        }
        path
    }

    /// Remembers a set.
    pub(crate) fn write(&mut self, path: &ChangePath) {
        let Some(held) = &mut self.0 else { return };

        let write = |held: &mut LockedFile| {
            held.cut(0)?;
            held.write_all(format!("{path}\nend\n").as_bytes())?;
            held.sync()
        };
        match write(held) {
            Ok(()) => held.keep(),
            Err(error) => {
                log::debug!("the change set is not remembered: {error}");
                held.discard();
            }
        }
    }

    /// Forgets the set.
    pub(crate) fn clear(&mut self) {
        if let Some(held) = &mut self.0 {
            held.discard();
        }
    }
}

const BYTES_MAX: u64 = 8192;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_remembered_by_one_at_a_time() {
        let home = tempfile::tempdir().unwrap();
        let root: ModelName = "me/bert".parse().unwrap();
        let open = |server| RememberedSet::open(Some(home.path()), server, &root);
        let path = ChangePath::parse(&format!("/v1/changes/{}", "0".repeat(32))).unwrap();

        let mut set = open("a");
        assert_eq!(set.read(), None);
        set.write(&path);
        assert_eq!(open("a").read(), None, "it is taken");
        assert_eq!(open("b").read(), None);
        drop(set);
        let mut set = open("a");
        assert_eq!(set.read(), Some(path));
        set.clear();
        drop(set);
        assert_eq!(open("a").read(), None);
    }
}
