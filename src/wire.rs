// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The JSON of API v1, as the server writes it and the client reads it.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::error::{Error, ErrorKind, Result};
use crate::model::Model;

/// One model in a listing, in the answer to a `PUT`, and in what `--json` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelWire {
    /// The model's name.
    pub name: String,
    /// Its length in bytes.
    pub size: u64,
    /// When its bytes last changed, as RFC 3339 has it, in UTC.
    pub modified: String,
    /// `sha256:` and 64 hexadecimal digits; absent while the server has not computed it yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

impl From<&Model> for ModelWire {
    fn from(model: &Model) -> Self {
        Self {
            name: model.name.as_str().to_owned(),
            size: model.size,
            modified: rfc3339(model.modified),
            digest: model.digest.map(|digest| format!("{digest:?}")),
        }
    }
}

impl TryFrom<ModelWire> for Model {
    type Error = Error;

    /// Checks what another side says of a model, like any other text from outside.
    ///
    /// # Errors
    /// `Internal` for a name, a time or a digest that cannot be one.
    fn try_from(wire: ModelWire) -> Result<Self> {
        let bad = |what: &str, text: &str| {
            let text = text.escape_debug();
            Error::new(
                ErrorKind::Internal,
                format!("the server lists a model whose {what} is '{text}', which is not valid"),
            )
        };
        let read = OffsetDateTime::parse(&wire.modified, &Rfc3339);
        let modified = read.map_err(|_| bad("time", &wire.modified))?;
        let digest = wire.digest.as_deref().map(|text| {
            let digits = text.strip_prefix("sha256:").unwrap_or(text);
            digits.parse().map_err(|_| bad("digest", text))
        });

        Ok(Self {
            name: wire.name.parse().map_err(|_| bad("name", &wire.name))?,
            size: wire.size,
            modified: modified.into(),
            digest: digest.transpose()?,
        })
    }
}

/// The answer to `GET /v1/models`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListWire {
    /// The version of this form, 1.
    pub schema: u32,
    /// All models, sorted by name.
    pub models: Vec<ModelWire>,
}

/// The answer to `GET /v1/models/NAME/info`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InfoWire {
    /// The version of this form, 1.
    pub schema: u32,
    /// The model's name.
    pub name: String,
    /// Its length in bytes.
    pub size: u64,
    /// When its bytes last changed, as RFC 3339 has it, in UTC.
    pub modified: String,
    /// `sha256:` and 64 hexadecimal digits; `null` while the server has not computed it yet.
    pub digest: Option<String>,
    /// The licence, as its uploader said.
    pub license: Option<String>,
    /// Where it comes from, as its uploader said.
    pub source: Option<String>,
    /// Who sent it.
    pub uploader: Option<String>,
    /// When it was sent; known only if something was said of it.
    pub uploaded: Option<String>,
    /// What it was before, newest first.
    pub versions: Vec<VersionWire>,
}

/// An old version of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionWire {
    /// Its number; newer ones have higher numbers.
    pub number: u64,
    /// Its length in bytes.
    pub size: u64,
    /// When its bytes last changed, as RFC 3339 has it, in UTC.
    pub modified: String,
    /// Its digest, where it was known when it was kept.
    pub digest: Option<String>,
}

/// The answer to `GET /v1/models/NAME/versions`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionsWire {
    /// The version of this form, 1.
    pub schema: u32,
    /// The model's name.
    pub name: String,
    /// What it was before, newest first.
    pub versions: Vec<VersionWire>,
}

/// One line of the answer to `POST /v1/models/NAME/verify`; the last one has an outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyWire {
    /// The model's name.
    pub name: String,
    /// How much of it was read, in bytes.
    pub read: u64,
    /// Its length in bytes.
    pub size: u64,
    /// `intact`, `new`, `changed`, `damaged` or `unreadable`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// The digest that it has now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The digest that it had when the server read it before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remembered: Option<String>,
}

/// What a device sends to be paired, `POST /v1/pair`.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct PairRequest {
    /// The secret of an invitation.
    pub(crate) secret: String,
    /// What the device would like to be called.
    pub(crate) name: String,
}

/// The answer to that.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct PairReply {
    /// The version of this form, 1.
    pub(crate) schema: u32,
    /// The name of the token.
    pub(crate) name: String,
    /// Its role.
    pub(crate) role: String,
    /// The token, which is nowhere else.
    pub(crate) token: String,
}

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
        let kind = ErrorKind::from_answer(status, Some(&self.code));
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

/// A point in time as RFC 3339 has it, in UTC and whole seconds.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    let seconds = OffsetDateTime::from(time).replace_nanosecond(0);
    seconds
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_a_server_says_of_a_model_is_checked() {
        let model = Model {
            name: "a b".parse().unwrap(),
            size: 3,
            modified: SystemTime::UNIX_EPOCH + Duration::from_secs(971_186_136),
            digest: Some(crate::digest::Digest::of(b"abc")),
        };
        let wire = ModelWire::from(&model);
        assert_eq!(Model::try_from(wire.clone()).unwrap(), model);

        let bad = [
            ModelWire {
                name: "../x".to_owned(),
                ..wire.clone()
            },
            ModelWire {
                modified: "soon".to_owned(),
                ..wire.clone()
            },
            ModelWire {
                digest: Some("sha256:12".to_owned()),
                ..wire
            },
        ];
        for wire in bad {
            assert!(Model::try_from(wire.clone()).is_err(), "{wire:?}");
        }
    }

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

    #[test]
    fn times_are_printed_in_utc() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(951_827_696_789);
        assert_eq!(rfc3339(time), "2000-02-29T12:34:56Z");
    }
}
