// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A server that gives up what of the file system it does not need, before it has threads.

use crate::child::{Enforcement, ServerReach, confine_server};
use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::node::bound;
use crate::{config, disk};

/// What came of it.
#[derive(Debug)]
pub(crate) enum Confined {
    /// The setting says no.
    Off,
    /// The kernel has no landlock.
    Unsupported,
    /// This is what is left, and whether an older kernel left more.
    To(ServerReach, Enforcement),
}

impl Confined {
    /// Confines this thread and those that it starts later to what the settings name. Home and model
    /// directory are made where they are missing.
    ///
    /// # Errors
    /// `Usage` for settings that cannot be used; `Internal` if the kernel refuses.
    pub(crate) fn begin(config: &Config) -> Result<Self> {
        if !config.landlock {
            return Ok(Self::Off);
        }

        // What the settings alone show to be wrong is refused before anything is made.
        config.check_with_files()?;
        let mut reach = config.server_reach()?;

        // Tried once, because a start that fails for its addresses is to leave no directory behind, and
        // what is confined cannot remove one.
        drop(bound::listener(config, &config.listen_on()?)?);

        // A rule needs something to be tied to. What cannot be made is told of by who needs it; the
        // model directory comes first, because a home that nobody needs would stay.
        let models = (!config.store.read_only).then_some(&config.directory);
        for path in models.into_iter().chain([&config.home]) {
            if disk::create_directory(path).is_err() {
                return Ok(Self::Off);
            }
        }

        // The paths may be relative, and the same rules are asked again later.
        for path in reach.write.iter_mut().chain(&mut reach.read) {
            *path = config::real_path(path);
        }

        let enforcement = confine_server(&reach).map_err(|error| {
            let text = format!("this process cannot be confined to its folders: {error}");
            Error::new(ErrorKind::Internal, text)
                .hint("start the server with the setting landlock = false")
        })?;

        Ok(match enforcement {
            Enforcement::Unsupported => Self::Unsupported,
            _ => Self::To(reach, enforcement),
        })
    }

    /// Says in the log what came of it.
    pub(crate) fn tell(&self) {
        match self {
            Self::Off => {}
            Self::Unsupported => {
                log::debug!(
                    "the kernel has no landlock: this process is not confined to its folders"
                );
            }
            Self::To(reach, enforcement) => {
                let mut paths: Vec<_> = reach.write.iter().chain(&reach.read).collect();
                paths.sort_unstable();
                paths.dedup();
                let paths: Vec<_> = paths
                    .iter()
                    .map(|path| path.display().to_string())
                    .collect();
                let how = match enforcement {
                    Enforcement::Partly => ", as far as this kernel can",
                    _ => "",
                };
                log::info!("confined to {} (landlock){how}", paths.join(", "));
            }
        }
    }

    /// Whether what new settings name can be reached.
    ///
    /// # Errors
    /// `Usage` with the path that cannot be, and what to do.
    pub(crate) fn check(&self, config: &Config) -> Result<()> {
        match self {
            Self::To(reach, _) => config.check_within(reach),
            _ => Ok(()),
        }
    }
}
