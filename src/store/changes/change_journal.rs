// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Change sets as lines of text. No value in them has a tab or a line break: names have no control
//! characters, and texts are checked for them.

use std::fmt::Write as _;
use std::io::{self, BufRead as _, BufReader, Read};

use crate::model::ModelName;
use crate::signature::Signature;
use crate::store::about::Metadata;
use crate::store::changes::change::{Bytes, Change, ChangeRequest};

/// What a change set is for.
pub(crate) fn intent_text(request: &ChangeRequest) -> String {
    let mut text = format!("{HEADER}\n");

    // Writing to a String cannot fail.
    if let Some(root) = &request.root {
        let _ = writeln!(text, "root {root}");
    }
    if let Some(principal) = &request.principal {
        let _ = writeln!(text, "principal {principal}");
    }
    text
}

/// Reads what [`intent_text`] wrote; `None` if that cannot be read.
pub(crate) fn read_intent(text: &str) -> Option<ChangeRequest> {
    let mut request = ChangeRequest::default();
    for line in text.strip_prefix(HEADER)?.lines() {
        if let Some(root) = line.strip_prefix("root ") {
            request.root = Some(root.parse().ok()?);
        } else if let Some(principal) = line.strip_prefix("principal ") {
            request.principal = Some(principal.to_owned());
        }
    }
    Some(request)
}

/// The line of one name.
pub(crate) fn entry_line(name: &ModelName, change: &Change) -> String {
    let Some(bytes) = change.bytes() else {
        return format!("remove\t{name}\n");
    };

    let word = match change {
        Change::Known(_) => KNOWN,
        _ if bytes.is_unsure => UNSYNCED,
        _ => SENT,
    };
    let Bytes {
        digest,
        size,
        number,
        metadata,
        ..
    } = bytes;
    let mut line = format!("{word}\t{name}\t{digest}\t{size}\t{number}");

    for said in [&metadata.license, &metadata.source, &metadata.uploader] {
        let _ = write!(line, "\t{}", said.as_deref().unwrap_or_default());
    }
    line.push_str(&metadata.line_end(bytes.signature.as_ref()));
    line.push('\n');
    line
}

/// Reads a line that [`entry_line`] wrote; `None` for one that was cut or cannot be read.
pub(crate) fn read_entry(line: &str) -> Option<(ModelName, Change)> {
    let mut words = line.split('\t');
    let word = words.next()?;
    let name = words.next()?.parse().ok()?;
    if word == "remove" {
        return Some((name, Change::Removal));
    }

    let digest = words.next()?.parse().ok()?;
    let (size, number) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let said = [words.next()?, words.next()?, words.next()?].map(Some);
    let metadata = Metadata::new(said[0], said[1], said[2]).ok()?;
    let signature = match words.next() {
        None | Some("") => None,
        Some(field) => Some(Signature::from_field(field).ok()?),
    };

    let bytes = Bytes {
        digest,
        size,
        number,
        is_unsure: word == UNSYNCED,
        metadata: metadata.with_words(words).ok()?,
        signature,
    };

    match word {
        SENT | UNSYNCED => Some((name, Change::Sent(bytes))),
        KNOWN => Some((name, Change::Known(bytes))),
        _ => None,
    }
}

/// The lines that are whole, one by one: the last one may have been cut, and what is too long to be one of ours
/// is an empty one. A file of any size costs the memory of one line.
pub(crate) fn whole_lines(content: impl Read) -> impl Iterator<Item = io::Result<String>> {
    let mut content = BufReader::new(content);
    std::iter::from_fn(move || {
        let mut line = Vec::new();
        let read = content
            .by_ref()
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line);
        match read {
            Err(error) => Some(Err(error)),
            Ok(0) => None,
            Ok(_) if line.pop() == Some(b'\n') => {
                Some(Ok(String::from_utf8(line).unwrap_or_default()))
            }
            Ok(_) => Some(Ok(String::new())),
        }
    })
}

/// More than a name, three texts and a signature have.
const LINE_BYTES_MAX: u64 = 16 << 10;

const HEADER: &str = "skep-change 1";

/// Its bytes are in the set, durably.
const SENT: &str = "sent";
/// Its bytes are in the set, as far as no power cut came.
const UNSYNCED: &str = "unsynced";
/// Its bytes are somewhere in the store.
const KNOWN: &str = "known";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    #[test]
    fn what_is_written_is_read_back() {
        let request = ChangeRequest {
            root: Some("me/bert".parse().unwrap()),
            principal: Some("token:a b".to_owned()),
        };
        for request in [request, ChangeRequest::default()] {
            assert_eq!(read_intent(&intent_text(&request)), Some(request));
        }
        assert_eq!(read_intent("skep-change 2\n"), None);
        assert_eq!(read_intent("skep-change 1\nroot ../x\n"), None);

        let bytes = Bytes {
            digest: Digest::of(b"x"),
            size: 1,
            number: 7,
            is_unsure: false,
            metadata: Metadata::new(Some("MIT"), None, Some("me")).unwrap(),
            signature: None,
        };
        let timed = bytes.metadata.clone().of_time(-7).unwrap();
        let timed = Bytes {
            metadata: timed.with("lang", "en").unwrap(),
            ..bytes.clone()
        };
        let unsure = Bytes {
            is_unsure: true,
            metadata: Metadata::default(),
            ..bytes.clone()
        };
        let name: ModelName = "me/a b".parse().unwrap();
        for change in [
            Change::Sent(bytes.clone()),
            Change::Sent(timed),
            Change::Sent(unsure),
            Change::Known(bytes),
            Change::Removal,
        ] {
            let line = entry_line(&name, &change);
            let read = read_entry(line.strip_suffix('\n').unwrap());
            assert_eq!(read, Some((name.clone(), change)), "{line}");
            // A line that a power cut has shortened is none, or says less.
            let cut = read_entry(&line[..line.len() / 2]);
            assert!(cut.is_none_or(|(cut, _)| cut != name), "{line}");
        }
    }
}
