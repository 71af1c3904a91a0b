// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Problem documents (RFC 9457): how an error reaches the other side.

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};

/// A problem document (RFC 9457) with two members of ours, `code` and `hint`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// `about:blank`: the status and the code say what kind of problem it is; only for what can happen
    /// to uploads in pieces it is the URI that their draft gives it.
    #[serde(rename = "type", default = "about_blank")]
    pub kind: String,
    /// The reason phrase of the status.
    #[serde(default)]
    pub title: String,
    /// The HTTP status.
    #[serde(default)]
    pub status: u16,
    /// What happened, for people.
    #[serde(default)]
    pub detail: String,
    /// The kind of error, for machines: a code word such as `not-found`.
    #[serde(default)]
    pub code: String,
    /// What can be done about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Where an upload goes on, if the problem is that a request meant another place.
    #[serde(
        default,
        rename = "expected-offset",
        skip_serializing_if = "Option::is_none"
    )]
    pub expected_offset: Option<u64>,
    /// The place that the request meant.
    #[serde(
        default,
        rename = "provided-offset",
        skip_serializing_if = "Option::is_none"
    )]
    pub provided_offset: Option<u64>,
}

impl Problem {
    /// The document that tells a caller of an error; the error's source stays here.
    pub fn of(error: &Error, title: &str) -> Self {
        Self {
            kind: about_blank(),
            title: title.to_owned(),
            status: error.kind().status(),
            detail: error.message().to_owned(),
            code: error.kind().code().to_owned(),
            hint: error.hint_text().map(str::to_owned),
            expected_offset: None,
            provided_offset: None,
        }
    }

    /// The error that a document received with this status tells of.
    pub fn into_error(self, status: u16) -> Error {
        // The code word says more than the status, which several kinds share.
        let kind = ErrorKind::from_answer(status, Some(&self.code));

        // A document of another server may have nothing but a title.
        let detail = if self.detail.is_empty() {
            self.title
        } else {
            self.detail
        };

        let error = Error::new(kind, detail);

        match self.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

fn about_blank() -> String {
    "about:blank".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_document_carries_an_error_to_the_other_side() {
        let error = Error::new(ErrorKind::NoSpace, "the disk is full").hint("remove a model");
        let text = serde_json::to_string(&Problem::of(&error, "Insufficient Storage")).unwrap();
        let back: Problem = serde_json::from_str(&text).unwrap();
        let back = back.into_error(507);
        assert_eq!(
            (back.kind(), back.message()),
            (ErrorKind::NoSpace, "the disk is full")
        );
        assert_eq!(back.hint_text(), Some("remove a model"));
    }
}
