// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A model, its name and its properties: the one place where names are checked, for every API and the
//! client.

mod report;
mod version_choice;

pub use report::{ModelInfo, OldVersion, Verification, Verified};

pub use version_choice::VersionChoice;

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::digest::Digest;
use crate::error::{Error, ErrorKind};
use crate::text::{is_harmful, quotable};

/// What is known of a stored model without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// Its name, which is also the name of its file.
    pub name: ModelName,
    /// Its length in bytes.
    pub size: u64,
    /// When its bytes last changed.
    pub modified: SystemTime,
    /// Its SHA-256, where it is known already.
    pub digest: Option<Digest>,
}

/// A checked model name: UTF-8 of 1 to 255 bytes, without separators (`/`, `\`), control characters and
/// characters that nobody sees, not starting with a dot or a hyphen, not ending with a dot, and without
/// blanks at its ends. So it is a plain file name on every system, no option of a program in a script, and
/// the name that people read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelName(String);

impl ModelName {
    /// The longest name in bytes, as most file systems have it.
    pub const BYTES_MAX: usize = 255;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as one path segment of a URL (RFC 3986 section 3.3).
    pub fn url_segment(&self) -> String {
        utf8_percent_encode(&self.0, SEGMENT).to_string()
    }

    /// What Python's `os.path.basename` leaves of a path: the text after the last `/`. The dearning
    /// API names files so.
    ///
    /// # Errors
    /// `BadRequest` if what is left is not a model name.
    pub fn from_base(path: &str) -> Result<Self, Error> {
        path.rsplit('/').next().unwrap_or_default().parse()
    }
}

impl FromStr for ModelName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let reason = if text.is_empty() {
            "is empty"
        } else if text.len() > Self::BYTES_MAX {
            "is longer than 255 bytes"
        } else if text.contains(['/', '\\']) {
            "has a path separator in it"
        } else if text.starts_with('.') {
            "starts with a dot"
        } else if text.starts_with('-') {
            "starts with a hyphen, as options of programs do"
        } else if text.ends_with('.') {
            "ends with a dot"
        } else if text.trim() != text {
            "starts or ends with a blank"
        } else if text.contains(is_harmful) {
            "has control or invisible characters in it"
        } else {
            return Ok(Self(text.to_owned()));
        };

        // The name may come from the network and is about to be shown in a log or on a terminal, so it is
        // bounded and escaped.
        let shown = quotable(text);

        Err(Error::new(
            ErrorKind::BadRequest,
            format!("the model name '{shown}' {reason}"),
        )
        .hint("use a plain file name such as model.onnx"))
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl AsRef<str> for ModelName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// All but the unreserved characters of RFC 3986 section 2.3.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_file_names_are_names() {
        for good in [
            "a",
            "model.onnx",
            "a b.dm",
            "m\u{f6}del \u{1f41d}.py",
            "a-x",
            "a..b",
            "\u{1f441}\u{fe0f}",
            "100%",
        ] {
            assert_eq!(good.parse::<ModelName>().unwrap().as_str(), good);
        }
        assert!("x".repeat(255).parse::<ModelName>().is_ok());
    }

    #[test]
    fn all_else_is_refused_with_the_reason() {
        let long = "x".repeat(256);
        for (bad, reason) in [
            ("", "empty"),
            (".", "dot"),
            ("..", "dot"),
            (".skep", "dot"),
            ("../x", "separator"),
            ("a/b", "separator"),
            ("a\\b", "separator"),
            ("a\0b", "control"),
            ("a\nb", "control"),
            ("a\u{85}b", "control"),
            ("a\u{2028}b", "control"),
            ("a\u{202e}xnno.b", "invisible"),
            ("a\u{200b}b", "invisible"),
            ("\u{feff}a", "invisible"),
            ("a\u{e0061}", "invisible"),
            ("-rf", "hyphen"),
            (" a", "blank"),
            ("a ", "blank"),
            ("a\u{a0}", "blank"),
            ("a.", "dot"),
            ("-", "hyphen"),
            (" ", "blank"),
            (long.as_str(), "255"),
        ] {
            let error = bad.parse::<ModelName>().unwrap_err();
            assert!(error.message().contains(reason), "{bad:?}: {error}");
        }
    }

    #[test]
    fn base_names_are_what_python_makes_of_them() {
        assert_eq!(
            ModelName::from_base("../../etc/x.dm").unwrap().as_str(),
            "x.dm"
        );
        assert!(ModelName::from_base("dir/").is_err());
        assert!(ModelName::from_base("a/..").is_err());
    }

    #[test]
    fn url_segments_are_escaped() {
        let name: ModelName = "a b%\u{f6}.dm".parse().unwrap();
        assert_eq!(name.url_segment(), "a%20b%25%C3%B6.dm");
    }
}
