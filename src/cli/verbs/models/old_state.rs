// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Old states that are written behind an `@`: `FOLDER@REVISION`, `FOLDER@NUMBER`, `NAME@NUMBER` and `NAME@DIGEST`.
//!
//! A model that is called so is meant by its name.

use clap::ArgMatches;

use crate::cli::flags::Selector;
use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{ModelName, Revision, VersionChoice};

/// What is written for an old state.
struct OldState {
    name: ModelName,
    which: StateChoice,
}

#[derive(Clone, Copy)]
enum StateChoice {
    Revision(Revision),
    Version(VersionChoice),
}

impl OldState {
    fn read(text: &str) -> Option<Self> {
        let (name, state) = text.trim_end_matches('/').rsplit_once('@')?;
        let revision = state.parse().map(StateChoice::Revision);
        let which = revision.or_else(|_| state.parse().map(StateChoice::Version));
        Some(Self {
            name: name.trim_end_matches('/').parse().ok()?,
            which: which.ok()?,
        })
    }

    /// Has a client list and fetches this state from now on.
    fn go_there(self, client: &mut Client) -> Result<Selector> {
        let Self { name, which } = self;
        let revision = match which {
            StateChoice::Revision(revision) => Some(revision),
            StateChoice::Version(VersionChoice::Number(number)) => {
                client.numbered_revision(&name, number)?
            }
            StateChoice::Version(_) => None,
        };
        if let Some(revision) = revision {
            client.go_to_revision(revision);
            return Ok(Selector::Folder(name));
        }

        if let StateChoice::Version(choice) = which {
            client.go_to_version(&name, choice)?;
        }
        Ok(Selector::Name(name))
    }
}

/// Whether an old state may be meant by one of the words.
pub(crate) fn is_written(matches: &ArgMatches) -> bool {
    texts(matches).any(|text| OldState::read(text).is_some())
}

/// The selectors as they are meant, where a client was taken to the old state that is written, if one is.
///
/// # Errors
/// `Usage` for an old state beside other words; `NotFound` for one that is not kept; those of the connection
/// and of the server.
pub(crate) fn resolve(
    matches: &ArgMatches,
    selectors: Vec<Selector>,
    client: &mut Client,
) -> Result<Vec<Selector>> {
    let count = texts(matches).count();
    for text in texts(matches) {
        let Some(state) = OldState::read(text) else {
            continue;
        };
        if let Ok(name) = text.parse()
            && client.find(&name)?.is_some()
        {
            continue;
        }
        if count > 1 {
            let text = format!("'{text}' is an old state, of which one is asked for at a time");
            return Err(Error::new(ErrorKind::Usage, text).hint("call it once for each"));
        }
        return Ok(vec![state.go_there(client)?]);
    }

    Selector::literal(selectors, client)
}

fn texts(matches: &ArgMatches) -> impl Iterator<Item = &str> {
    let texts = matches.get_many::<String>("name").into_iter().flatten();
    texts.map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_behind_an_at_sign_is_a_state_or_part_of_a_name() {
        let digest = "ab".repeat(32);
        for (text, name) in [
            (format!("me/a@{digest}"), "me/a"),
            (format!("me/a@sha256:{digest}"), "me/a"),
            ("a@b@3".to_owned(), "a@b"),
            (format!("me/a@{}", "0f".repeat(20)), "me/a"),
            ("me/a/@2".to_owned(), "me/a"),
            ("me/a@2/".to_owned(), "me/a"),
        ] {
            assert_eq!(OldState::read(&text).unwrap().name.as_str(), name, "{text}");
        }
        for text in ["a", "a@", "@1", "a@x", "a@1/b", "../a@1"] {
            assert!(OldState::read(text).is_none(), "{text}");
        }
    }
}
