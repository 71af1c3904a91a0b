// SPDX-License-Identifier: Apache-2.0 OR MIT
//! TLS that follows its files: when one of them changes, the next handshake reads them again. What
//! cannot be used is told in the log, and the old one stays.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use webpki::EndEntityCert;

use crate::error::Result;
use crate::pin::Pin;
use crate::threads::lock;
use crate::tls::acceptor::{Acceptor, TlsVersion};
use crate::tls::callers::Callers;
use crate::tls::pem::{Identity, PemFile};

/// The files that TLS is made of.
#[derive(Clone, Debug)]
pub(crate) struct TlsFiles {
    pub(crate) cert: PemFile,
    pub(crate) key: PemFile,
    pub(crate) callers: Callers,
    /// The oldest version of TLS that is spoken.
    pub(crate) oldest: TlsVersion,
}

impl TlsFiles {
    fn acceptor(&self, generation: u64) -> Result<Acceptor> {
        let identity = Identity::load(&self.cert, &self.key)?;
        identity.warn(&self.cert, &self.key);
        Acceptor::new(&identity, &self.callers, self.oldest, generation)
    }

    /// What tells one content of the files from another.
    fn stamps(&self) -> Vec<TlsFileStamp> {
        let mut paths = vec![self.cert.path.clone(), self.key.path.clone()];
        paths.extend(self.callers.paths());
        paths.into_iter().map(TlsFileStamp::of).collect()
    }
}

/// What clients recognise the identity in these files by.
///
/// # Errors
/// `Usage` for files that cannot be used.
pub(crate) fn pin(files: &TlsFiles) -> Result<Pin> {
    Ok(Identity::load(&files.cert, &files.key)?.pin())
}

/// Whether these two files belong together and can be used.
///
/// # Errors
/// `Usage`, naming the file.
pub(crate) fn check_pair_of(cert: &PemFile, key: &PemFile) -> Result<()> {
    Identity::load(cert, key).map(drop)
}

/// The names in the certificate of these files; none if it cannot be read.
pub(crate) fn names(files: &TlsFiles) -> Vec<String> {
    let chain = files.cert.certificates().unwrap_or_default();
    let certificate = chain
        .first()
        .and_then(|first| EndEntityCert::try_from(first).ok());
    let names = certificate
        .iter()
        .flat_map(|certificate| certificate.valid_dns_names());
    names.map(str::to_owned).collect()
}

/// A file as it was.
#[derive(Debug, PartialEq, Eq)]
struct TlsFileStamp {
    path: PathBuf,
    /// Its number, size and time in nanoseconds; `None` if it was not there.
    state: Option<(u64, u64, i64, i64)>,
    /// It is a pipe or something else that may keep whoever opens it waiting.
    may_block: bool,
}

impl TlsFileStamp {
    fn of(path: PathBuf) -> Self {
        let file = Path::metadata(&path).ok();
        Self {
            path,
            may_block: file
                .as_ref()
                .is_some_and(|file| !file.is_file() && !file.is_dir()),
            state: file.map(|file| (file.ino(), file.size(), file.mtime(), file.mtime_nsec())),
        }
    }
}

/// An acceptor that is made again when its files change.
pub(crate) struct Following {
    /// None where the configuration was ready.
    files: Option<TlsFiles>,
    state: Mutex<FollowedTls>,
}

struct FollowedTls {
    acceptor: Acceptor,
    stamps: Vec<TlsFileStamp>,
    looked: Instant,
}

impl Following {
    /// # Errors
    /// `Usage` for files that cannot be used.
    pub(crate) fn open(files: TlsFiles) -> Result<Self> {
        // Taken before the files are read, so that a change meanwhile is noticed at the next look.
        let stamps = files.stamps();
        let state = FollowedTls {
            acceptor: files.acceptor(0)?,
            stamps,
            looked: Instant::now(),
        };

        Ok(Self {
            files: Some(files),
            state: Mutex::new(state),
        })
    }

    /// Follows nothing: what was ready at the start stays.
    pub(crate) fn ready(config: Arc<ServerConfig>) -> Self {
        let state = FollowedTls {
            acceptor: Acceptor::ready(config),
            stamps: Vec::new(),
            looked: Instant::now(),
        };

        Self {
            files: None,
            state: Mutex::new(state),
        }
    }

    /// The acceptor for the next handshake. Looks at the files at most every few seconds, and only
    /// when somebody comes.
    pub(crate) fn now(&self) -> Acceptor {
        let mut state = lock(&self.state);
        if state.looked.elapsed() >= LOOK_EVERY {
            self.look(&mut state);
        }
        state.acceptor.clone()
    }

    /// Looks at the files at once.
    pub(crate) fn refresh(&self) {
        self.look(&mut lock(&self.state));
    }

    fn look(&self, state: &mut FollowedTls) {
        state.looked = Instant::now();
        let Some(files) = &self.files else {
            return;
        };

        let stamps = files.stamps();
        if stamps == state.stamps {
            return;
        }

        // A pair that is being replaced may not fit for a moment: the next change is looked at again.
        state.stamps = stamps;

        // Callers wait meanwhile, so what may never end is read at the start only.
        if let Some(pipe) = state.stamps.iter().find(|stamp| stamp.may_block) {
            let path = crate::text::quoted(&pipe.path);
            return log::error!("the old TLS files stay in use: {path} is not a regular file");
        }

        let generation = state.acceptor.generation().map_or(0, |old| old + 1);
        match files.acceptor(generation) {
            Ok(acceptor) => {
                state.acceptor = acceptor;
                log::info!("{} and the other TLS files were read again", files.cert);
            }
            Err(error) => log::error!("the old TLS files stay in use: {error}"),
        }
    }
}

const LOOK_EVERY: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::mpsc::channel;

    use rustix::fs::{CWD, Mode, mkfifoat};

    use super::*;

    #[test]
    fn a_pipe_in_place_of_a_file_keeps_nobody_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let [cert, key] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
        let made = rcgen::generate_simple_self_signed(["pi.local".to_owned()]).unwrap();
        fs::write(&cert, made.cert.pem()).unwrap();
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let following = Following::open(TlsFiles {
            cert: PemFile::new("--cert", &cert),
            key: PemFile::new("--key", &key),
            callers: Callers::default(),
            oldest: TlsVersion::default(),
        });
        let following = Arc::new(following.unwrap());

        fs::remove_file(&key).unwrap();
        mkfifoat(CWD, &key, Mode::RUSR | Mode::WUSR).unwrap();
        let (sender, done) = channel();
        let followed = Arc::clone(&following);
        let look = move || {
            followed.refresh();
            sender.send(()).unwrap();
        };
        crate::threads::spawn("test-look", look).unwrap();
        done.recv_timeout(Duration::from_secs(60)).unwrap();
        assert_eq!(following.now().generation(), Some(0));

        // A file is read again.
        fs::remove_file(&key).unwrap();
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        following.refresh();
        assert_eq!(following.now().generation(), Some(1));
    }
}
