// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A model, its name and its properties: the one place where names are checked, for every API and the
//! client.

mod counted_bytes;
mod list_request;
mod name_pattern;
mod report;
mod revision;
mod version_choice;

pub(crate) use counted_bytes::{BLOCK_BYTES, charge, taken};
pub(crate) use list_request::{Depth, ListRequest, NameFilter};
pub(crate) use name_pattern::NamePattern;
pub use report::{ModelInfo, OldVersion, Verification, Verified};

pub(crate) use revision::{Revision, RevisionHasher};
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

/// A checked model name: 1 to 16 segments with `/` between them, 1,024 bytes in all, which is the path of
/// its file below the model directory.
///
/// A segment is UTF-8 of 1 to 255 bytes, without separators (`/`, `\`), control characters and characters
/// that nobody sees, not starting with a hyphen, not ending with a dot, and without blanks at its ends. So
/// it is a plain file name on every system, no option of a program in a script, and the name that people
/// read. The first one does not start with a dot; no segment is `.ready`, starts with `.skep`, or has the
/// form `.*.skep-part` or `.*.skep-journal`, which are skep's own; and `mesh_peers.json` is no model.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelName(String);

impl ModelName {
    /// The longest name in bytes.
    pub const BYTES_MAX: usize = 1024;

    /// The longest segment in bytes, as most file systems have it.
    pub const SEGMENT_BYTES_MAX: usize = 255;

    /// The largest number of segments.
    pub const SEGMENTS_MAX: usize = 16;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its segments: those of the folders that lead to it, and in the end that of its file.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// The name of the folder that it is in, if it is in one, and that of its file.
    pub fn split_last(&self) -> (Option<&str>, &str) {
        match self.0.rsplit_once('/') {
            Some((folder, last)) => (Some(folder), last),
            None => (None, &self.0),
        }
    }

    /// The segments of the folders that lead to it.
    pub fn folders(&self) -> impl Iterator<Item = &str> {
        let folders = self.split_last().0;
        folders.into_iter().flat_map(|folders| folders.split('/'))
    }

    /// The names of the folders that it is in, the nearest first.
    pub(crate) fn ancestors(&self) -> impl Iterator<Item = Self> {
        let parent = |name: &Self| name.split_last().0.map(|folder| Self(folder.to_owned()));
        std::iter::successors(parent(self), parent)
    }

    /// Whether it is in a folder, or in one of those in it.
    pub(crate) fn is_below(&self, folder: &Self) -> bool {
        let rest = self.0.strip_prefix(folder.as_str());
        rest.is_some_and(|rest| rest.starts_with('/'))
    }

    /// The innermost folder that all of these are in; `None` if that is none.
    pub(crate) fn common_folder<'a>(
        mut names: impl Iterator<Item = &'a Self> + Clone,
    ) -> Option<Self> {
        let mut folders = names.next()?.ancestors();
        folders.find(|folder| names.clone().all(|name| name.is_below(folder)))
    }

    /// The last segment: the name of its file.
    pub fn file_name(&self) -> &str {
        self.split_last().1
    }

    /// The name as the path of a URL has it (RFC 3986 section 3.3).
    pub fn url_path(&self) -> String {
        utf8_percent_encode(&self.0, PATH).to_string()
    }

    /// The name that the decoded segments of a path make. A separator in one of them separates nothing.
    ///
    /// # Errors
    /// `BadRequest` if they make none.
    pub fn from_segments(segments: &[&str]) -> Result<Self, Error> {
        match segments {
            [one] if !one.contains('/') => one.parse(),
            _ if segments.iter().any(|segment| segment.contains('/')) => Err(refused(
                &segments.join("/"),
                "has a path separator in a segment",
            )),
            _ => segments.join("/").parse(),
        }
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
        let number = text.bytes().filter(|byte| *byte == b'/').count() + 1;
        let mut segments = text.split('/');

        let reason = if text.is_empty() {
            "is empty"
        } else if text.len() > Self::BYTES_MAX {
            "is longer than 1,024 bytes"
        } else if number > Self::SEGMENTS_MAX {
            "has more than 16 segments"
        } else if text.starts_with('.') {
            "starts with a dot"
        } else if text.eq_ignore_ascii_case(PEERS) {
            "is that of the list of peers"
        } else if let Some(reason) = segments.find_map(segment_fault) {
            reason
        } else {
            return Ok(Self(text.to_owned()));
        };

        Err(refused(text, reason))
    }
}

/// Why a segment cannot be in a name.
fn segment_fault(segment: &str) -> Option<&'static str> {
    let reason = if segment.is_empty() {
        "has an empty segment, or a separator at one of its ends"
    } else if segment.len() > ModelName::SEGMENT_BYTES_MAX {
        "has a segment longer than 255 bytes"
    } else if segment.contains('\\') {
        "has a path separator in it that is none everywhere"
    } else if segment.starts_with('-') {
        "starts with a hyphen, as options of programs do"
    } else if segment.ends_with('.') {
        "ends with a dot"
    } else if segment.trim() != segment {
        "starts or ends with a blank"
    } else if segment.contains(is_harmful) {
        "has control or invisible characters in it"
    } else if is_reserved(segment) {
        "has a segment in it that is skep's own"
    } else {
        return None;
    };
    Some(reason)
}

/// Whether a segment is kept for what a server puts beside models, or a client beside what it fetches. Some file systems know no difference
/// between large letters and small ones.
fn is_reserved(segment: &str) -> bool {
    let begins = segment.get(..5);
    let is_of_client = |end: &str| segment.starts_with('.') && segment.ends_with(end);
    begins.is_some_and(|begins| begins.eq_ignore_ascii_case(".skep"))
        || segment.eq_ignore_ascii_case(READY_FILE)
        || is_of_client(".skep-part")
        || is_of_client(".skep-journal")
}

/// The name may come from the network and is about to be shown in a log or on a terminal, so it is bounded
/// and escaped.
fn refused(text: &str, reason: &str) -> Error {
    let shown = quotable(text);
    Error::new(
        ErrorKind::BadRequest,
        format!("the model name '{shown}' {reason}"),
    )
    .hint(if text.ends_with('/') {
        "this takes the name of one model, and a name with '/' at its end is that of a folder"
    } else {
        "use a plain file name such as model.onnx, or a path such as me/bert/model.onnx"
    })
}

/// The file in a folder that has its revision, for programs that look into the directory.
pub(crate) const READY_FILE: &str = ".ready";

/// What it has: 40 digits and a line feed.
pub(crate) const READY_BYTES: u64 = 41;

/// What other systems keep in a model directory, which is no model.
const PEERS: &str = "mesh_peers.json";

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Names are compared as their texts are.
impl std::borrow::Borrow<str> for ModelName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for ModelName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// All but the unreserved characters of RFC 3986 section 2.3 and the separator of segments.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

#[cfg(test)]
mod tests {
    use std::ops::Add as _;

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
            "me/bert-tiny/onnx/model.onnx",
            "a/.gitattributes",
            "a/mesh_peers.json",
            "a/.skip",
        ] {
            assert_eq!(good.parse::<ModelName>().unwrap().as_str(), good);
        }
        assert!("x".repeat(255).parse::<ModelName>().is_ok());
        assert!("a/".repeat(15).add("a").parse::<ModelName>().is_ok());
        assert!(
            format!("{0}/{0}/{0}/{0}", "x".repeat(255))
                .parse::<ModelName>()
                .is_ok()
        );
    }

    #[test]
    fn all_else_is_refused_with_the_reason() {
        let long = "x".repeat(256);
        let longest = format!("{0}/{0}/{0}/{0}/x", "x".repeat(255));
        let deep = "a/".repeat(16).add("a");
        for (bad, reason) in [
            ("", "empty"),
            (".", "dot"),
            ("..", "dot"),
            (".skep", "dot"),
            ("../x", "dot"),
            ("a/../b", "dot"),
            ("a/./b", "dot"),
            ("/a", "empty segment"),
            ("a/", "empty segment"),
            ("a//b", "empty segment"),
            ("a/-b", "hyphen"),
            ("a /b", "blank"),
            ("a/.skep/b", "own"),
            ("a/.SKEP-x", "own"),
            ("a/.ready", "own"),
            ("a/.b.skep-part", "own"),
            ("a/.b.skep-journal", "own"),
            ("Mesh_Peers.JSON", "peers"),
            (".x/a", "dot"),
            ("mesh_peers.json", "peers"),
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
            (longest.as_str(), "1,024"),
            (deep.as_str(), "16"),
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
    fn names_have_the_innermost_folder_in_common_that_all_are_in() {
        for (names, folder) in [
            (&["a/b/c", "a/b/d/e"][..], Some("a/b")),
            (&["a/b/c", "a/bc/d"], Some("a")),
            (&["a/b", "c"], None),
            (&["a"], None),
            (&[], None),
        ] {
            let names: Vec<ModelName> = names.iter().map(|name| name.parse().unwrap()).collect();
            let found = ModelName::common_folder(names.iter());
            assert_eq!(found.as_ref().map(ModelName::as_str), folder, "{names:?}");
        }
    }

    #[test]
    fn a_name_is_below_its_folders() {
        let name: ModelName = "a/b/c".parse().unwrap();
        let above: Vec<_> = name.ancestors().map(|one| one.0).collect();
        assert_eq!(above, ["a/b", "a"]);
        for (folder, is_below) in [("a", true), ("a/b", true), ("a/b/c", false), ("a/", false)] {
            assert_eq!(
                name.is_below(&ModelName(folder.to_owned())),
                is_below,
                "{folder}"
            );
        }
        assert!(
            !"ab/c"
                .parse::<ModelName>()
                .unwrap()
                .is_below(&ModelName("a".to_owned()))
        );
    }

    #[test]
    fn paths_of_urls_are_escaped() {
        let name: ModelName = "x/a b%\u{f6}.dm".parse().unwrap();
        assert_eq!(name.url_path(), "x/a%20b%25%C3%B6.dm");
    }

    #[test]
    fn a_separator_within_a_segment_separates_nothing() {
        let name = |segments: &[&str]| ModelName::from_segments(segments);
        assert_eq!(name(&["a", "b"]).unwrap().as_str(), "a/b");
        assert_eq!(name(&["a"]).unwrap().as_str(), "a");
        for bad in [&["a/b"][..], &["a", "b/c"], &["a", ""], &[""], &[]] {
            assert!(name(bad).is_err(), "{bad:?}");
        }
    }
}
