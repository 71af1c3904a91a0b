// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What of the file system a server with these settings has to reach.

use std::fs;
use std::path::{Path, PathBuf};

use crate::address::Address;
use crate::child::ServerReach;
use crate::config::configuration::Config;
use crate::disk;
use crate::error::{Error, ErrorKind, Result};
use crate::routes::PUBLIC_AUTHORITIES;

impl Config {
    /// The paths that a server reaches with these settings; its home and its model directory are there
    /// already.
    ///
    /// # Errors
    /// `Usage` for an address that is none.
    pub(crate) fn server_reach(&self) -> Result<ServerReach> {
        let mut reach = ServerReach {
            read: Vec::new(),
            write: vec![self.home.clone(), self.directory.clone()],
            make: disk::temporary_folders(Vec::new()),
        };

        let read = [
            &self.cert_file,
            &self.key_file,
            &self.client_ca,
            &self.client_crl,
            &self.mirror.token_file,
            &self.mirror.authority,
        ];

        // Files of TLS are replaced while they are used, often as links into another folder.
        for path in read.into_iter().flatten() {
            add_with_folder(&mut reach.read, path);
        }

        // Keys of signers that are written as files are read again with the settings.
        let signers = self.written.effective("require-signature", "").text;
        for path in signers.split(',').map(|key| Path::new(key.trim())) {
            if path.is_file() {
                add_with_folder(&mut reach.read, path);
            }
        }

        for path in [&self.address_file, &self.log.file].into_iter().flatten() {
            add_with_folder(&mut reach.write, path);
        }

        for listen in self.listen_on()? {
            if let Address::Unix(path) = &listen.address {
                add_folder(&mut reach.write, path);
            }
        }

        // Names of hosts are looked up while the server runs.
        if !self.mirror.upstream.is_empty() {
            let files = RESOLVER_FILES.iter().chain(PUBLIC_AUTHORITIES);
            let files = files.map(Path::new);
            for path in files.filter(|path| path.exists()) {
                add_with_folder(&mut reach.read, path);
            }
        }

        Ok(reach)
    }

    /// Whether what is not for callers lies apart from the models: below the model directory it would be
    /// one, to be read, listed and replaced. What lies in a hidden folder of it has no name of a model.
    ///
    /// # Errors
    /// `Usage` with the path that does not.
    pub(crate) fn check_apart(&self) -> Result<()> {
        let directory = real_place(&self.directory);
        let files = [
            ("key", self.key_file.as_deref()),
            ("log", self.log.file.as_deref()),
            ("token", self.mirror.token_file.as_deref()),
        ];
        let secret = files
            .into_iter()
            .filter_map(|(what, path)| Some((what, path?)));

        for (what, path) in secret.chain([("home", self.home.as_path())]) {
            let place = real_place(path);
            let Ok(inner) = place.strip_prefix(&directory) else {
                continue;
            };
            if inner.to_string_lossy().starts_with('.') {
                continue;
            }
            let text = format!(
                "the {what} {} is in the model directory {}, where callers could read and replace it",
                place.display(),
                directory.display()
            );
            return Err(Error::new(ErrorKind::Usage, text)
                .hint("keep the models in a directory of their own: --dir DIR"));
        }
        Ok(())
    }

    /// Whether what these settings name is within the reach of a process, as far as they take effect at
    /// once.
    ///
    /// # Errors
    /// `Usage` with the path that is not.
    pub(crate) fn check_within(&self, reach: &ServerReach) -> Result<()> {
        let Some(file) = &self.log.file else {
            return Ok(());
        };

        let folder = real_path(folder_of(file));
        let is_within = reach.write.iter().any(|path| folder.starts_with(path));
        if is_within {
            return Ok(());
        }

        let text = format!(
            "{} is out of reach: this server has confined itself to the folders that its settings \
             named when it was started",
            file.display()
        );
        Err(Error::new(ErrorKind::Usage, text)
            .hint("restart the server; or start it with the setting landlock = false"))
    }
}

/// Adds the folder of a file that is replaced now and then, and, where the file is a link, that of its
/// target. What is no regular file is only written to.
fn add_with_folder(paths: &mut Vec<PathBuf>, path: &Path) {
    let found = fs::metadata(path);
    if found.is_ok_and(|found| !found.is_file() && !found.is_dir()) {
        paths.push(path.to_owned());
        return;
    }

    add_folder(paths, path);
    if let Ok(target) = fs::canonicalize(path) {
        add_folder(paths, &target);
        paths.push(target);
    }
}

fn add_folder(paths: &mut Vec<PathBuf>, path: &Path) {
    paths.push(folder_of(path).to_owned());
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// A path without links; as it is where that cannot be told.
pub(crate) fn real_path(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// The same for a path that may not be there yet, which then has no links in it.
fn real_place(path: &Path) -> PathBuf {
    if let Ok(real) = fs::canonicalize(path) {
        return real;
    }
    match path.file_name() {
        Some(name) => real_place(folder_of(path)).join(name),
        None => path.to_owned(),
    }
}

/// By which the system looks up names of hosts.
const RESOLVER_FILES: &[&str] = &["/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf"];
