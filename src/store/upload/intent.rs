// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What an upload in pieces is to become: everything that its first request said and its last one
//! has to know, kept as lines of text beside its bytes.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::digest::Digest;
use crate::model::ModelName;
use crate::signature::Signature;
use crate::store::about::Metadata;
use crate::store::changes::ChangeId;
use crate::store::claim::Condition;

/// What was asked for when an upload began; applied when it is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UploadIntent {
    /// The name that the model gets.
    pub(crate) name: ModelName,
    /// The change set with which it gets it, if it is in one.
    pub(crate) change: Option<ChangeId>,
    /// The bytes it will have, once that is known.
    pub(crate) length: Option<u64>,
    /// The digest it must have.
    pub(crate) digest: Option<Digest>,
    /// What has to be true of the model that it replaces.
    pub(crate) condition: Condition,
    /// The signature that came with it.
    pub(crate) signature: Option<Signature>,
    /// What was said of it.
    pub(crate) metadata: Metadata,
    /// Who began it, as the log calls them; nobody in particular where nobody is known.
    pub(crate) principal: Option<String>,
}

impl UploadIntent {
    /// An order that asks for nothing but a name.
    pub(crate) fn new(name: ModelName) -> Self {
        Self {
            name,
            change: None,
            length: None,
            digest: None,
            condition: Condition::Any,
            signature: None,
            metadata: Metadata::default(),
            principal: None,
        }
    }

    /// Appends one line for each thing that was asked for. No value has a line break: names have no
    /// control characters.
    pub(crate) fn write(&self, text: &mut String) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "name {}", self.name.as_str());
        if let Some(change) = self.change {
            let _ = writeln!(text, "change {change}");
        }
        if let Some(length) = self.length {
            let _ = writeln!(text, "length {length}");
        }

        if let Some(digest) = self.digest {
            let _ = writeln!(text, "digest {digest}");
        }

        // A missing line means `Any`, so the journals of most uploads stay short.
        let _ = match self.condition {
            Condition::Any => Ok(()),
            Condition::Absent => writeln!(text, "condition absent"),
            Condition::Exists => writeln!(text, "condition exists"),
            Condition::Matches(digest) => writeln!(text, "condition {digest}"),
            Condition::ModifiedAt(time) => {
                writeln!(text, "condition {MODIFIED}{}", time_line(time))
            }
        };

        if let Some(signature) = &self.signature {
            let _ = writeln!(text, "signature {}", signature.field());
        }

        // Texts have no control characters (`Metadata::new`), so each of them fits on one line.
        let Metadata {
            license,
            source,
            uploader,
            modified,
            pairs,
        } = &self.metadata;

        for (key, said) in [
            ("license", license),
            ("source", source),
            ("uploader", uploader),
            ("principal", &self.principal),
        ] {
            if let Some(said) = said {
                let _ = writeln!(text, "{key} {said}");
            }
        }

        if let Some(modified) = modified {
            let _ = writeln!(text, "{TIME} {modified}");
        }
        for (key, value) in pairs {
            let _ = writeln!(text, "{PAIR}{key}={value}");
        }
    }

    /// Reads lines that [`UploadIntent::write`] wrote, and passes over others; `None` if one of its own
    /// cannot be read or there is no name.
    pub(crate) fn read(text: &str) -> Option<Self> {
        // A value that cannot be read makes the journal useless: an upload that goes on without its
        // digest or its condition would break a promise to the uploader.
        let mut order = Self::new(field(text, "name")?.parse().ok()?);
        if let Some(change) = field(text, "change") {
            order.change = Some(change.parse().ok()?);
        }
        if let Some(length) = field(text, "length") {
            order.length = Some(length.parse().ok()?);
        }

        if let Some(digest) = field(text, "digest") {
            order.digest = Some(digest.parse().ok()?);
        }

        order.condition = match field(text, "condition") {
            None => Condition::Any,
            Some("absent") => Condition::Absent,
            Some("exists") => Condition::Exists,
            Some(other) => match other.strip_prefix(MODIFIED) {
                Some(time) => Condition::ModifiedAt(parse_time(time)?),
                None => Condition::Matches(other.parse().ok()?),
            },
        };

        if let Some(signature) = field(text, "signature") {
            order.signature = Some(Signature::from_field(signature).ok()?);
        }

        let said = |key| field(text, key);
        let pairs = text.lines().filter_map(|line| line.strip_prefix(PAIR));
        let words = std::iter::once(said(TIME).unwrap_or_default()).chain(pairs);
        let metadata = Metadata::new(said("license"), said("source"), said("uploader"));
        order.metadata = metadata.and_then(|said| said.with_words(words)).ok()?;
        order.principal = said("principal").map(str::to_owned);

        Some(order)
    }
}

/// A time as seconds and nanoseconds from 1970, with a minus in front for one before.
fn time_line(time: SystemTime) -> String {
    let (sign, distance) = match time.duration_since(UNIX_EPOCH) {
        Ok(after) => ("", after),
        Err(before) => ("-", before.duration()),
    };
    format!(
        "{sign}{}.{:09}",
        distance.as_secs(),
        distance.subsec_nanos()
    )
}

fn parse_time(text: &str) -> Option<SystemTime> {
    let (seconds, nanos) = text.trim_start_matches('-').split_once('.')?;
    let nanos = Duration::from_nanos(nanos.parse().ok()?);
    let distance = Duration::from_secs(seconds.parse().ok()?).checked_add(nanos)?;

    if text.starts_with('-') {
        UNIX_EPOCH.checked_sub(distance)
    } else {
        UNIX_EPOCH.checked_add(distance)
    }
}

const MODIFIED: &str = "modified ";

/// When the file that is sent was modified.
const TIME: &str = "time";

/// A key with its value.
const PAIR: &str = "meta ";

/// The value of the first line that begins with this word.
pub(crate) fn field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_survives_on_disk() {
        let digest = Digest::of(b"x");
        let conditions = [
            Condition::Any,
            Condition::Absent,
            Condition::Exists,
            Condition::Matches(digest),
            Condition::ModifiedAt(UNIX_EPOCH + Duration::new(7, 8)),
            Condition::ModifiedAt(UNIX_EPOCH - Duration::new(7, 8)),
        ];
        for condition in conditions {
            let mut order = UploadIntent::new("a name with blanks".parse().unwrap());
            order.condition = condition;
            for (length, digest) in [(None, None), (Some(0), Some(digest))] {
                (order.length, order.digest) = (length, digest);
                let said = Metadata::new(Some("MIT"), None, Some("me")).unwrap();
                let said = said.of_time(-1).and_then(|said| said.with("a", "b = c"));
                order.metadata = said.unwrap();
                order.principal = digest.map(|_| "token:a b".to_owned());
                let mut text = "first 1\n".to_owned();
                order.write(&mut text);
                assert_eq!(UploadIntent::read(&text), Some(order.clone()), "{text}");
            }
        }
        assert_eq!(UploadIntent::read("name .x\n"), None);
        assert_eq!(UploadIntent::read("name x\nlength -1\n"), None);
        assert_eq!(UploadIntent::read("name x\ncondition maybe\n"), None);
        let late = "name x\ncondition modified 99999999999999999999.0\n";
        assert_eq!(UploadIntent::read(late), None);
    }
}
