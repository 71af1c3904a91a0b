// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Where skep keeps what belongs to a user: identity, password, known servers.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use crate::error::{Error, ErrorKind, Result};

/// The home of skep: `SKEP_HOME`, else `$XDG_CONFIG_HOME/skep`, else `~/.config/skep`.
///
/// # Errors
/// `Usage` if none of the three is set.
pub(crate) fn directory() -> Result<PathBuf> {
    find(|name| env::var_os(name))
}

fn find(read: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf> {
    let path = |name| {
        read(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    if let Some(home) = path("SKEP_HOME") {
        return Ok(home);
    }
    // A relative path there is to be ignored, says the specification.
    if let Some(config) = path("XDG_CONFIG_HOME").filter(|path| path.is_absolute()) {
        return Ok(config.join("skep"));
    }
    match path("HOME") {
        Some(home) => Ok(home.join(".config/skep")),
        None => Err(Error::new(
            ErrorKind::Usage,
            "there is no place for keys and known servers: neither SKEP_HOME nor HOME is set",
        )
        .hint("set SKEP_HOME to a directory of yours")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_is_set_counts() {
        let found = |pairs: &[(&str, &str)]| {
            find(|name| {
                let pair = pairs.iter().find(|pair| pair.0 == name);
                pair.map(|pair| OsString::from(pair.1))
            })
        };
        let all = [
            ("SKEP_HOME", "a"),
            ("XDG_CONFIG_HOME", "/b"),
            ("HOME", "/c"),
        ];
        assert_eq!(found(&all).unwrap(), PathBuf::from("a"));
        assert_eq!(found(&all[1..]).unwrap(), PathBuf::from("/b/skep"));
        assert_eq!(found(&all[2..]).unwrap(), PathBuf::from("/c/.config/skep"));
        let odd = [("SKEP_HOME", ""), ("XDG_CONFIG_HOME", "b"), ("HOME", "/c")];
        assert_eq!(found(&odd).unwrap(), PathBuf::from("/c/.config/skep"));
        assert_eq!(found(&[]).unwrap_err().kind(), ErrorKind::Usage);
    }
}
