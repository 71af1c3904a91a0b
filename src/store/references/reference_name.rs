// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Names of branches and tags, by the rules of git (git-check-ref-format).

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::error::{Error, ErrorKind, Result};
use crate::model::Revision;
use crate::text::quotable;

/// What a reference is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ReferenceKind {
    /// One that commits change.
    Branch,
    /// One that stays as it is.
    Tag,
}

/// The name of a reference.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ReferenceName {
    pub(crate) kind: ReferenceKind,
    name: String,
}

impl ReferenceKind {
    /// As git has it between `refs/` and the name.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Branch => "heads",
            Self::Tag => "tags",
        }
    }
}

impl ReferenceName {
    /// # Errors
    /// `BadRequest` for what git would not take, for what means what a folder has now, and for what could be a
    /// commit.
    pub(crate) fn new(kind: ReferenceKind, name: &str) -> Result<Self> {
        let bad_part = |part: &str| {
            part.is_empty() || part.starts_with('.') || part.to_ascii_lowercase().ends_with(".lock")
        };
        let is_bad = name.len() > NAME_BYTES_MAX
            || name.split('/').any(bad_part)
            || name.contains("..")
            || name.contains("@{")
            || name.ends_with('.')
            || name.starts_with('-')
            || name.contains(|one: char| one.is_control() || " ~^:?*[\\".contains(one));
        let is_taken = name == "main"
            || name == "HEAD"
            || name == "@"
            || name.starts_with("refs/")
            || name.parse::<Revision>().is_ok();
        if !is_bad && !is_taken {
            let name = name.to_owned();
            return Ok(Self { kind, name });
        }

        let text = format!("no branch and no tag can be called '{}'", quotable(name));
        let hint = if is_taken {
            "this name means something else already".to_owned()
        } else {
            format!("a name has {NAME_BYTES_MAX} bytes at most, and the letters that git takes")
        };
        Err(Error::new(ErrorKind::BadRequest, text).hint(hint))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.name
    }

    /// The name of its file.
    pub(super) fn file_name(&self) -> String {
        let name = utf8_percent_encode(&self.name, ESCAPED);
        format!("{}.{name}", self.kind.word())
    }

    /// What [`ReferenceName::file_name`] has written.
    pub(super) fn of_file(text: &str) -> Option<Self> {
        let (word, name) = text.split_once('.')?;
        let kinds = [ReferenceKind::Branch, ReferenceKind::Tag];
        let kind = kinds.into_iter().find(|kind| kind.word() == word)?;
        let name = percent_decode_str(name).decode_utf8().ok()?;
        let read = Self::new(kind, &name).ok()?;
        // Another spelling of the same name was not written here.
        (read.file_name() == text).then_some(read)
    }
}

/// Letters in capitals are told apart where file systems do not do so.
const ESCAPED: &AsciiSet = &{
    let mut set = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');
    let mut letter = b'A';
    while letter <= b'Z' {
        set = set.add(letter);
        letter += 1;
    }
    set
};

/// Three bytes each in a file name, and room for its kind.
const NAME_BYTES_MAX: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_git_and_fit_into_one_file_name() {
        for kind in [ReferenceKind::Branch, ReferenceKind::Tag] {
            for good in [
                "a",
                "feat/x",
                "v1.0",
                "release-1+2",
                "\u{e9}",
                "Main",
                "%41",
                "a@b",
            ] {
                let name = ReferenceName::new(kind, good).unwrap();
                let file = name.file_name();
                assert!(file.len() < 255 && !file.contains('/'), "{file}");
                assert_eq!(ReferenceName::of_file(&file), Some(name), "{file}");
            }
            let long = "a".repeat(81);
            let commit = "0123456789".repeat(4);
            for bad in [
                "",
                "/",
                "a/",
                "/a",
                "a//b",
                "..",
                "a..b",
                ".a",
                "a/.b",
                "a.lock",
                "a.",
                "-a",
                "a b",
                "a~",
                "a^",
                "a:",
                "a?",
                "a*",
                "a[",
                "a\\",
                "a\n",
                "a@{b",
                "@",
                "main",
                "HEAD",
                "refs/heads/x",
                &long,
                &commit,
            ] {
                assert!(ReferenceName::new(kind, bad).is_err(), "{bad}");
            }
        }
        let of = |name: &str| {
            ReferenceName::new(ReferenceKind::Tag, name)
                .unwrap()
                .file_name()
        };
        assert_ne!(of("A").to_lowercase(), of("a").to_lowercase());
        for bad in [
            "heads",
            "x.a",
            "heads.%61",
            "heads.main",
            "tags.%ff",
            "repository",
        ] {
            assert_eq!(ReferenceName::of_file(bad), None, "{bad}");
        }
    }
}
