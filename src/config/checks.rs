// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Whether settings can be used together: all that is known to be wrong before an address is bound
//! and before anything is made in the home.

use crate::config::configuration::Config;
use crate::config::settings::setting;
use crate::config::written::{Effective, Origin};
use crate::disk;
use crate::error::{Error, ErrorKind, Result};

impl Config {
    /// Numbers, addresses, names and TLS settings that cannot be used, alone or together. No file is
    /// read.
    ///
    /// # Errors
    /// `Usage`, with where the setting was written.
    pub fn check(&self) -> Result<()> {
        self.faults().into_iter().next().map_or(Ok(()), Err)
    }

    /// The same, and whether the files that are named can be read and used.
    ///
    /// # Errors
    /// `Usage`, with where the setting was written.
    pub(crate) fn check_with_files(&self) -> Result<()> {
        let all = self.faults_with_files();
        all.into_iter().next().map_or(Ok(()), Err)
    }

    /// All that [`Config::check_with_files`] would refuse, one after another.
    pub(crate) fn faults_with_files(&self) -> Vec<Error> {
        let mut faults = self.faults();

        // What the settings alone show to be wrong has files that are wrong, too.
        if faults.is_empty() {
            let of_files = [
                self.check_apart(),
                self.check_named_files(),
                self.check_written_files(),
            ];
            faults.extend(of_files.into_iter().filter_map(Result::err));
        }
        faults
    }

    fn faults(&self) -> Vec<Error> {
        let limits = self.limits.faults().into_iter();
        let limits = limits.map(|(key, text)| self.wrong(key, &format!("{key} must be {text}")));

        // A port that was given for an address that names none is part of what is read here.
        let listen = self.listen_on().map(drop);
        let listen = listen.map_err(|error| self.blamed("listen", error));
        let tls = || self.check_tls();

        let pairs = [self.check_log(), self.check_pairs(), self.check_mirror()];
        let last = if listen.is_ok() { tls() } else { listen };
        let single = pairs.into_iter().chain([last]).filter_map(Result::err);
        limits
            .chain(self.wrong_counts())
            .chain(self.wrong_patterns())
            .chain(single)
            .collect()
    }

    /// Places that the server writes to, as far as they are there before its start. Nothing is made.
    fn check_written_files(&self) -> Result<()> {
        for (key, file) in [
            ("log-file", &self.log.file),
            ("write-addr", &self.address_file),
        ] {
            if let Some(file) = file {
                let told = |error| {
                    let error = Error::io(format!("{} cannot be written", file.display()), error);
                    self.wrong(key, error.message())
                };
                disk::check_writable(file).map_err(told)?;
            }
        }

        match &self.log.syslog {
            Some(path) if !path.exists() => {
                let text = format!("there is no socket {}", path.display());
                Err(self.wrong("log-syslog", &text))
            }
            _ => Ok(()),
        }
    }

    fn check_log(&self) -> Result<()> {
        if self.log.file.is_some() && self.log.syslog.is_some() {
            let text = "log-file and log-syslog cannot be used together";
            return Err(self
                .wrong("log-syslog", text)
                .hint(format!("remove one of them{}", self.beside("log-file"))));
        }

        Ok(())
    }

    /// Counts of things that are kept in memory, or that are gone through one by one.
    fn wrong_counts(&self) -> Vec<Error> {
        let keep = usize::try_from(self.log.keep).unwrap_or(usize::MAX);

        let share = usize::try_from(self.store.version_share_max).unwrap_or(usize::MAX - 1);
        let counts = [
            ("max-version-share", share, 100),
            ("max-uploads", self.store.uploads_max, COUNT_MAX),
            ("max-changes", self.store.changes_max, COUNT_MAX),
            ("exchange-files", self.store.exchange_files, COUNT_MAX),
            ("keep-versions", self.store.versions_max, COUNT_MAX),
            ("cache-entries", self.store.cache_entries_max, COUNT_MAX),
            ("log-keep", keep, LOGS_MAX),
        ];

        // What is switched off is the largest number that there is.
        let is_wrong = |count: usize, most| count > most && count != usize::MAX;
        let counts = counts.iter().filter(|row| is_wrong(row.1, row.2));
        let counts = counts.map(|(key, _, most)| (*key, most.to_string()));

        let memory = [
            ("cache-bytes", self.store.cache_bytes_max),
            ("cache-file-bytes", self.store.cache_file_bytes_max),
        ];
        let memory = memory.iter().filter(|row| row.1 > CACHE_BYTES_MAX);
        let memory = memory.map(|(key, _)| (*key, "16GiB".to_owned()));

        let wrong = counts.chain(memory);
        wrong
            .map(|(key, most)| self.wrong(key, &format!("{key} must be at most {most}")))
            .collect()
    }

    /// Two settings that say the opposite of each other.
    fn check_pairs(&self) -> Result<()> {
        let limits = &self.limits;

        // A default that is too large for few connections is made smaller by the edge.
        let is_written = self.effective_of("reserved-connections").origin != Origin::Default;
        let is_bounded = limits.connections_max > 0;
        if is_written && is_bounded && limits.connections_reserved >= limits.connections_max {
            let text = format!(
                "reserved-connections ({}) must be less than max-connections ({})",
                limits.connections_reserved, limits.connections_max
            );
            return Err(self.wrong("reserved-connections", &text).hint(format!(
                "no other device could connect{}",
                self.beside("max-connections")
            )));
        }

        let lockout = &self.access.lockout;
        if lockout.time > lockout.time_max {
            let (first, longest) = ("lockout-time", "lockout-time-max");
            let text = format!(
                "{first} ({}) must not be longer than {longest} ({})",
                self.effective_of(first).text,
                self.effective_of(longest).text
            );
            // The one that is written is to blame, not the default.
            let key = match self.effective_of(first).origin {
                Origin::Default => longest,
                _ => first,
            };
            return Err(self.wrong(key, &text));
        }

        Ok(())
    }

    /// What is fetched for everybody, or with a token that opens more than what is public, is named.
    fn check_mirror(&self) -> Result<()> {
        let mirror = &self.mirror;
        let key = match &mirror.token_file {
            _ if mirror.upstream.is_empty() || !mirror.repositories.is_empty() => return Ok(()),
            Some(_) => "upstream-token-file",
            None if self.access.anonymous_read => "anonymous-read",
            None => return Ok(()),
        };
        let text = format!("with upstream and {key}, mirror-repositories must be set");
        let hint = "name those that whoever may read here may have; '*' stands for every one";
        Err(self.wrong(key, &text).hint(hint))
    }

    /// Patterns that no name of a model fits, or that mean less than they look like.
    fn wrong_patterns(&self) -> Vec<Error> {
        let wrong = self.store.accept.iter().filter_map(|pattern| {
            let reason = if pattern.contains(['[', ']', '{', '}']) {
                "only * and ? stand for other characters; write ? for a bracket"
            } else if pattern.contains(['/', '\\']) {
                "the name of a model has no separator in it"
            } else if pattern.starts_with('.') {
                "the name of a model does not begin with a dot"
            } else {
                return None;
            };

            let shown = pattern.escape_debug();
            let text = format!("'{shown}' is not a pattern for accept: {reason}");
            Some(self.wrong("accept", &text))
        });
        wrong.collect()
    }

    /// An error of a setting, with the place where that was written.
    pub(crate) fn wrong(&self, key: &str, text: &str) -> Error {
        self.blamed(key, Error::new(ErrorKind::Usage, text))
    }

    /// An error with the place in front at which a setting was written, if it was.
    pub(crate) fn blamed(&self, key: &str, error: Error) -> Error {
        let text = match self.effective_of(key).origin {
            Origin::Default => return error,
            // Texts about files begin with the flag that names them.
            Origin::Flag(flag) if error.message().starts_with(&format!("--{flag} ")) => {
                return error;
            }
            origin => format!("{origin}: {}", error.message()),
        };

        let kind = error.kind();
        let hint = error.hint_text().map(str::to_owned);
        let blamed = Error::new(kind, text).because(error);

        match hint {
            Some(hint) => blamed.hint(hint),
            None => blamed,
        }
    }

    /// Where a second setting was written, to be added to a hint about a first one.
    fn beside(&self, key: &str) -> String {
        match self.effective_of(key).origin {
            Origin::Default => String::new(),
            origin => format!(" ({key}: {origin})"),
        }
    }

    fn effective_of(&self, key: &str) -> Effective {
        let default = setting(key).map_or("", |setting| setting.default);
        self.written.effective(key, default)
    }
}

/// More of anything is a slip of the hand: they are kept in memory, or gone through one by one.
const COUNT_MAX: usize = 100_000;

/// Models in memory; the page cache of the system serves what is larger.
const CACHE_BYTES_MAX: u64 = 16 << 30;

/// All of them are renamed whenever a new file is started.
const LOGS_MAX: usize = 1000;
