// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Names, folders and patterns of models, as they are written on the command line.
//!
//! One rule for all verbs: `NAME/` is a folder, and what has `*` or `?` in it a pattern, unless a model, or with
//! `/` at its end a folder, has exactly this name.

use std::str::FromStr;

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::cli::terminal::{ShownItem, ask};
use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Model, ModelName, NamePattern};

/// What was written for some models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Selector {
    Name(ModelName),
    /// All that is in it, at any depth.
    Folder(ModelName),
    Pattern(NamePattern),
    /// All that is below the folders that match, where `NAME/` has a wildcard in it.
    Folders(NamePattern),
}

impl FromStr for Selector {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let selector = Self::read(text);
        selector.map_err(|error| {
            if text.contains("://") {
                error.hint(format!("a server is named with a flag: --server {text}"))
            } else {
                error
            }
        })
    }
}

impl Selector {
    fn read(text: &str) -> Result<Self> {
        match text.strip_suffix('/') {
            Some(folder) if !NamePattern::has_wildcard(text) => folder.parse().map(Self::Folder),
            Some(_) => format!("{text}**").parse().map(Self::Folders),
            None if NamePattern::has_wildcard(text) => text.parse().map(Self::Pattern),
            None => text.parse().map(Self::Name),
        }
    }
}

impl ShownItem for Selector {
    fn shown(&self) -> String {
        match self {
            Self::Name(name) => name.to_string(),
            Self::Folder(folder) => format!("{folder}/"),
            Self::Pattern(pattern) | Self::Folders(pattern) => pattern.as_str().to_owned(),
        }
    }
}

impl Selector {
    /// Those of an argument of a verb.
    ///
    /// # Errors
    /// `BadRequest` for what is neither.
    pub(crate) fn all(matches: &ArgMatches, id: &str) -> Result<Vec<Self>> {
        let texts = matches.get_many::<String>(id).into_iter().flatten();
        texts.map(|text| text.parse()).collect()
    }

    /// The folders, if only folders are written: where each is one thing, a wildcard is a letter of its name.
    ///
    /// # Errors
    /// `BadRequest` for what is neither a name nor a folder nor a pattern, `Usage` if there are folders and
    /// others.
    pub(crate) fn folders(matches: &ArgMatches, id: &str) -> Result<Option<Vec<ModelName>>> {
        let selectors = Self::all(matches, id)?;
        let count = selectors.len();
        let folders: Vec<_> = selectors
            .into_iter()
            .filter_map(|selector| selector.folder())
            .collect();

        if folders.len() == count {
            Ok(Some(folders))
        } else if folders.is_empty() {
            Ok(None)
        } else {
            let text = "folders and models are not asked for together";
            Err(Error::new(ErrorKind::Usage, text).hint("call it once for each kind"))
        }
    }

    pub(crate) fn is_name(&self) -> bool {
        self.name().is_some()
    }

    /// The name, if it is one.
    pub(crate) fn name(&self) -> Option<&ModelName> {
        match self {
            Self::Name(name) => Some(name),
            _ => None,
        }
    }

    /// The folder that is written with `/` at its end, its wildcards taken as letters.
    pub(crate) fn folder(&self) -> Option<ModelName> {
        match self {
            Self::Folder(folder) => Some(folder.clone()),
            Self::Folders(pattern) => pattern.as_str().strip_suffix("/**")?.parse().ok(),
            _ => None,
        }
    }

    /// The same ones, but a pattern that is the name of a model is this name, and one with `/` at its end that
    /// is the name of a folder is this folder.
    ///
    /// # Errors
    /// Those of the connection and of the server.
    pub(crate) fn literal(selectors: Vec<Self>, client: &mut Client) -> Result<Vec<Self>> {
        let literal = |selector: Self| {
            if let Self::Pattern(pattern) = &selector
                && let Ok(name) = pattern.as_str().parse()
                && client.find(&name)?.is_some()
            {
                return Ok(Self::Name(name));
            }
            if let Self::Folders(_) = &selector
                && let Some(folder) = selector.folder()
                && client.has_folder(&folder)?
            {
                return Ok(Self::Folder(folder));
            }
            Ok(selector)
        };
        selectors.into_iter().map(literal).collect()
    }

    /// The models that are meant.
    ///
    /// # Errors
    /// `NotFound` if there are none; otherwise those of the connection and of the server.
    pub(crate) fn models(&self, client: &mut Client) -> Result<Vec<Model>> {
        let models = match self {
            Self::Name(name) => client.find(name)?.into_iter().collect(),
            Self::Folder(folder) => client.list_below(folder)?,
            Self::Pattern(pattern) | Self::Folders(pattern) => {
                client.list_matching(pattern.as_str())?
            }
        };
        if models.is_empty() {
            Err(self.absent())
        } else {
            Ok(models)
        }
    }

    /// Says that there is nothing of the kind.
    pub(crate) fn absent(&self) -> Error {
        let shown = self.shown();
        let text = match self {
            Self::Name(_) => format!("there is no model '{shown}'"),
            Self::Folder(_) => format!("there is no folder '{shown}' with models in it"),
            Self::Pattern(_) | Self::Folders(_) => {
                format!("there is no model that matches '{shown}'")
            }
        };
        let error = Error::new(ErrorKind::NotFound, text);
        match self {
            Self::Pattern(_) | Self::Folders(_) => {
                error.hint("'*' stays within a folder, '**' does not")
            }
            _ => error,
        }
    }

    /// The folder, with a separator at its end, below which the paths of these models are kept when they are
    /// saved: the one that is named, or that in front of the first wildcard. Nothing of the path of a
    /// single model is kept.
    pub(crate) fn base(&self) -> String {
        match self {
            Self::Name(name) => {
                let folder = name.split_last().0;
                folder.map_or_else(String::new, |folder| format!("{folder}/"))
            }
            Self::Folder(folder) => format!("{folder}/"),
            Self::Pattern(pattern) | Self::Folders(pattern) => pattern.literal_folder().to_owned(),
        }
    }
}

/// Adds `-y`.
pub(crate) fn yes(command: Command, help: &'static str) -> Command {
    let yes = Arg::new("yes").short('y').long("yes");
    command.arg(yes.action(ArgAction::SetTrue).help(help))
}

/// Shows what is about to go, and asks whether that is meant.
///
/// # Errors
/// `Usage` if nobody is there to ask, `Declined` after a no.
pub(crate) fn agreed(matches: &ArgMatches, what: &str, names: &[String]) -> Result<()> {
    if matches.get_flag("yes") {
        return Ok(());
    }
    if !ask::has_somebody() {
        let text = format!("{what}: nobody is there to ask whether that is meant");
        return Err(Error::new(ErrorKind::Usage, text).hint("say -y to go on without a question"));
    }

    if ask::agree(what, names) {
        Ok(())
    } else {
        Err(Error::new(ErrorKind::Declined, "nothing was removed"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_a_name_a_folder_or_a_pattern() {
        let of = |text: &str| text.parse::<Selector>().unwrap();
        let name = |text: &str| text.parse::<ModelName>().unwrap();
        let pattern = |text: &str| Selector::Pattern(text.parse().unwrap());

        assert_eq!(of("me/a"), Selector::Name(name("me/a")));
        assert_eq!(of("me/a/"), Selector::Folder(name("me/a")));
        assert_eq!(of("me/*"), pattern("me/*"));
        assert_eq!(of("me/*/"), Selector::Folders("me/*/**".parse().unwrap()));
        assert_eq!(of("me/*/").folder(), Some(name("me/*")));
        assert_eq!(of("me/*/**").folder(), None);
        for (text, base) in [
            ("a", ""),
            ("me/a", "me/"),
            ("me/a/", "me/a/"),
            ("me/be*/x", "me/"),
            ("**", ""),
        ] {
            assert_eq!(of(text).base(), base, "{text}");
        }
        for wrong in ["", "/", "../", "a//", ".."] {
            assert!(wrong.parse::<Selector>().is_err(), "{wrong}");
        }
    }
}
