// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the fields of uploads say (draft section 4.1), and what happens where they contradict.

use crate::http::{Fields, Response};
use crate::routes::models::upload_answers::inconsistent;

/// Whether a request brings the end of the representation (draft section 4.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Complete {
    Yes,
    No,
}

impl Complete {
    /// What `Upload-Complete` says; values other than its two are ignored. Up to version 01 of the draft
    /// (interop version 3) there is `Upload-Incomplete` in its place.
    pub(crate) fn of(fields: &Fields) -> Option<Self> {
        if fields.value("upload-complete").is_none() {
            return match item(fields, "upload-incomplete")? {
                "?0" => Some(Self::Yes),
                "?1" => Some(Self::No),
                _ => None,
            };
        }
        match item(fields, "upload-complete")? {
            "?1" => Some(Self::Yes),
            "?0" => Some(Self::No),
            _ => None,
        }
    }
}

/// The length of the upload as far as it is known after the fields of a request; a response if they
/// contradict each other or what is `known` (draft section 4.1.3).
pub(crate) fn length(
    fields: &Fields,
    content: Option<u64>,
    offset: u64,
    complete: Complete,
    known: Option<u64>,
) -> Result<Option<u64>, Box<Response>> {
    let named = integer(fields, "upload-length");
    let end = content.map(|content| offset.saturating_add(content));
    let implied = end.filter(|_| complete == Complete::Yes);

    // What is known already cannot change; the other statements have to agree with it.
    let length = known.or(named).or(implied);
    let same = |other: Option<u64>| other.is_none() || other == length;
    if !same(named) || !same(implied) {
        return Err(Box::new(inconsistent(
            "the lengths of the upload contradict each other",
        )));
    }

    // More content than the upload is long is refused before it is read.
    match (length, end) {
        (Some(length), Some(end)) if end > length => {
            let text = format!("the content would end at {end}, beyond the end of the upload");
            Err(Box::new(inconsistent(&text)))
        }
        _ => Ok(length),
    }
}

/// A structured field's item without its parameters (RFC 9651 section 3.3).
pub(crate) fn item<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    fields.value(name)?.split(';').next().map(str::trim)
}

/// A non-negative integer of at most 15 digits (RFC 9651 section 3.3.1); others are ignored.
pub(crate) fn integer(fields: &Fields, name: &str) -> Option<u64> {
    let digits = item(fields, name)?;
    let is_integer = digits.len() <= 15 && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_integer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(list: &[(&str, &str)]) -> Fields {
        list.iter().copied().collect()
    }

    #[test]
    fn values_of_other_types_are_none() {
        let complete = |value| Complete::of(&fields(&[("upload-complete", value)]));
        assert_eq!(complete("?1"), Some(Complete::Yes));
        assert_eq!(complete(" ?0 ; x=y"), Some(Complete::No));
        for other in ["1", "true", "", "?2", "?1, ?0"] {
            assert_eq!(complete(other), None, "{other}");
        }
        let incomplete = |list: &[(&str, &str)]| Complete::of(&fields(list));
        assert_eq!(
            incomplete(&[("upload-incomplete", "?1")]),
            Some(Complete::No)
        );
        assert_eq!(
            incomplete(&[("upload-incomplete", "?0")]),
            Some(Complete::Yes)
        );
        let both = [("upload-incomplete", "?1"), ("upload-complete", "?1")];
        assert_eq!(incomplete(&both), Some(Complete::Yes));
        let number = |value| integer(&fields(&[("upload-offset", value)]), "upload-offset");
        assert_eq!(number("999999999999999"), Some(999_999_999_999_999));
        for other in ["-1", "+1", "1.0", "", "0x1", "1000000000000000", "a"] {
            assert_eq!(number(other), None, "{other}");
        }
    }

    #[test]
    fn lengths_have_to_agree() {
        let tell = |named: &str, content, complete, known| {
            let fields = match named {
                "" => Fields::default(),
                named => fields(&[("upload-length", named)]),
            };
            length(&fields, content, 10, complete, known).ok()
        };
        assert_eq!(tell("", Some(5), Complete::Yes, None), Some(Some(15)));
        assert_eq!(tell("", Some(5), Complete::No, None), Some(None));
        assert_eq!(tell("15", Some(5), Complete::Yes, Some(15)), Some(Some(15)));
        assert_eq!(tell("20", None, Complete::Yes, None), Some(Some(20)));
        assert_eq!(tell("20", Some(5), Complete::Yes, None), None);
        assert_eq!(tell("20", Some(5), Complete::No, Some(21)), None);
        assert_eq!(tell("", Some(12), Complete::No, Some(21)), None);
        assert_eq!(tell("", Some(5), Complete::Yes, Some(21)), None);
    }
}
