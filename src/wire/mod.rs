// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The JSON of API v1, as the server writes it and the client reads it.

mod checked;
mod folder_wires;
mod list_query;
mod problem;

pub(crate) use checked::{digest_text, rfc3339};
pub(crate) use folder_wires::{
    ChangeWire, ClearedKindWire, ClearedWire, CommitWire, FolderInfoWire, MovedWire, RevisionWire,
    StagedWire,
};
pub(crate) use list_query::{list_path, list_request};
pub use problem::Problem;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::model::{Model, ModelInfo, OldVersion, Verification};
use checked::{checked, digest_of, time_of};

/// One model in a listing, in the answer to a `PUT`, and in what `--json` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ModelWire {
    /// The model's name.
    pub(crate) name: String,
    /// Its length in bytes.
    pub(crate) size: u64,
    /// When its bytes last changed, as RFC 3339 has it, in UTC.
    pub(crate) modified: String,
    /// `sha256:` and 64 hexadecimal digits; absent while the server has not computed it yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) digest: Option<String>,
}

impl From<&Model> for ModelWire {
    fn from(model: &Model) -> Self {
        Self {
            name: model.name.as_str().to_owned(),
            size: model.size,
            modified: rfc3339(model.modified),
            digest: model.digest.map(digest_text),
        }
    }
}

impl TryFrom<ModelWire> for Model {
    type Error = Error;

    /// Checks what came from outside.
    fn try_from(wire: ModelWire) -> Result<Self> {
        Ok(Self {
            name: checked("name", &wire.name)?,
            size: wire.size,
            modified: time_of(&wire.modified)?,
            digest: digest_of(wire.digest.as_deref())?,
        })
    }
}

/// The answer to `GET /v1/models`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ListWire {
    /// The version of this form, 1.
    pub(crate) schema: u32,
    /// The models, sorted by name.
    pub(crate) models: Vec<ModelWire>,
    /// Folders that are told instead of the models in them, sorted by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) folders: Option<Vec<FolderWire>>,
    /// What is kept of removed models, in no order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) kept: Vec<KeptWire>,
    /// The last name of this page, if another one follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<String>,
}

/// A folder in a listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FolderWire {
    /// Its name, with a separator at the end.
    pub(crate) name: String,
    /// How many models are in it, at any depth.
    pub(crate) models: u64,
}

/// What is kept of a removed model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptWire {
    /// Its name.
    pub(crate) name: String,
    /// How many old versions there are.
    pub(crate) versions: u64,
    /// Their bytes.
    pub(crate) size: u64,
}

/// The answer to `GET /v1/status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StatusWire {
    /// The version of this form, 1.
    pub(crate) schema: u32,
    /// The version of the server.
    pub(crate) version: String,
    /// What the caller is called.
    pub(crate) name: String,
    /// Its role.
    pub(crate) role: String,
    /// How many models there are.
    pub(crate) models: u64,
    /// Bytes of all of them.
    pub(crate) size: u64,
    /// Bytes of the disk that are there for uploads; `null` where that is not known.
    pub(crate) free: Option<u64>,
    /// Bytes that the caller may still send today; `null` for any number.
    pub(crate) upload_left: Option<u64>,
    /// Bytes that it may still be sent today; `null` for any number.
    pub(crate) download_left: Option<u64>,
    /// Bytes that can be removed or replaced at once so that they are kept as old versions; 0 where none are
    /// kept, `null` for any number.
    pub(crate) undo: Option<u64>,
}

/// The answer to `GET /v1/info/NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InfoWire {
    /// The version of this form, 1.
    pub(crate) schema: u32,
    /// The model's name.
    pub(crate) name: String,
    /// Its length in bytes.
    pub(crate) size: u64,
    /// When its bytes last changed, as RFC 3339 has it, in UTC.
    pub(crate) modified: String,
    /// `sha256:` and 64 hexadecimal digits; `null` while the server has not computed it yet.
    pub(crate) digest: Option<String>,
    /// The licence, as its uploader said.
    pub(crate) license: Option<String>,
    /// Where it comes from, as its uploader said.
    pub(crate) source: Option<String>,
    /// Who sent it.
    pub(crate) uploader: Option<String>,
    /// When it was sent; known only if something was said of it.
    pub(crate) uploaded: Option<String>,
    /// When the file that was sent was last modified.
    #[serde(default)]
    pub(crate) file_modified: Option<String>,
    /// What else is said of it.
    #[serde(default)]
    pub(crate) meta: BTreeMap<String, String>,
    /// What it was before, newest first.
    pub(crate) versions: Vec<VersionWire>,
}

impl From<&ModelInfo> for InfoWire {
    fn from(info: &ModelInfo) -> Self {
        // Taken apart completely, so that a new member of a model cannot be forgotten here.
        let ModelWire {
            name,
            size,
            modified,
            digest,
        } = ModelWire::from(&info.model);

        Self {
            schema: 1,
            name,
            size,
            modified,
            digest,
            license: info.license.clone(),
            source: info.source.clone(),
            uploader: info.uploader.clone(),
            uploaded: info.uploaded.map(rfc3339),
            file_modified: info.file_modified.map(rfc3339),
            meta: info.meta.clone(),
            versions: info.versions.iter().map(VersionWire::from).collect(),
        }
    }
}

impl TryFrom<InfoWire> for ModelInfo {
    type Error = Error;

    /// Checks what came from outside.
    fn try_from(wire: InfoWire) -> Result<Self> {
        // One place checks the members of a model, whichever answer they come in.
        let model = ModelWire {
            name: wire.name,
            size: wire.size,
            modified: wire.modified,
            digest: wire.digest,
        };

        Ok(Self {
            model: model.try_into()?,
            license: wire.license,
            source: wire.source,
            uploader: wire.uploader,
            uploaded: wire.uploaded.as_deref().map(time_of).transpose()?,
            file_modified: wire.file_modified.as_deref().map(time_of).transpose()?,
            meta: wire.meta,
            versions: old_versions(wire.versions)?,
        })
    }
}

/// An old version of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VersionWire {
    /// Its number; newer ones have higher numbers.
    pub(crate) number: u64,
    /// Its length in bytes.
    pub(crate) size: u64,
    /// When its bytes last changed, as RFC 3339 has it, in UTC.
    pub(crate) modified: String,
    /// Its digest, where it was known when it was kept.
    pub(crate) digest: Option<String>,
}

impl From<&OldVersion> for VersionWire {
    fn from(version: &OldVersion) -> Self {
        Self {
            number: version.number,
            size: version.size,
            modified: rfc3339(version.modified),
            digest: version.digest.map(digest_text),
        }
    }
}

impl TryFrom<VersionWire> for OldVersion {
    type Error = Error;

    /// Checks what came from outside.
    fn try_from(wire: VersionWire) -> Result<Self> {
        Ok(Self {
            number: wire.number,
            size: wire.size,
            modified: time_of(&wire.modified)?,
            digest: digest_of(wire.digest.as_deref())?,
        })
    }
}

/// Checks a list of old versions that came from outside.
///
/// # Errors
/// `NotImplemented` for a value that cannot be read.
pub(crate) fn old_versions(versions: Vec<VersionWire>) -> Result<Vec<OldVersion>> {
    versions.into_iter().map(OldVersion::try_from).collect()
}

/// The answer to `GET /v1/versions/NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VersionsWire {
    /// The version of this form, 1.
    pub(crate) schema: u32,
    /// The model's name.
    pub(crate) name: String,
    /// What it was before, newest first.
    pub(crate) versions: Vec<VersionWire>,
}

/// One line of the answer to `POST /v1/verify/NAME`; the last one has an outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VerifyWire {
    /// The model's name.
    pub(crate) name: String,
    /// How much of it was read, in bytes.
    pub(crate) read: u64,
    /// Its length in bytes.
    pub(crate) size: u64,
    /// `intact`, `new`, `changed`, `damaged` or `unreadable`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) outcome: Option<String>,
    /// The digest that it has now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) digest: Option<String>,
    /// The digest that it had when the server read it before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) remembered: Option<String>,
}

impl From<&Verification> for VerifyWire {
    fn from(verification: &Verification) -> Self {
        Self {
            name: verification.name.as_str().to_owned(),
            read: verification.read,
            size: verification.size,
            outcome: Some(verification.outcome.word().to_owned()),
            digest: verification.digest.map(digest_text),
            remembered: verification.remembered.map(digest_text),
        }
    }
}

impl VerifyWire {
    /// What came of the check, if this line is the last one; values from outside are checked.
    ///
    /// # Errors
    /// `NotImplemented` for a value that cannot be read.
    pub(crate) fn verification(&self) -> Result<Option<Verification>> {
        // Lines without an outcome only say how far the check is.
        let Some(outcome) = &self.outcome else {
            return Ok(None);
        };

        Ok(Some(Verification {
            name: checked("name", &self.name)?,
            read: self.read,
            size: self.size,
            outcome: checked("outcome", outcome)?,
            digest: digest_of(self.digest.as_deref())?,
            remembered: digest_of(self.remembered.as_deref())?,
        }))
    }
}

/// What a device sends to be paired, `POST /v1/pair`.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct PairRequest {
    /// The secret of an invitation.
    pub(crate) secret: String,
    /// What the device would like to be called.
    pub(crate) name: String,
    /// The public key of the token that the device has made, in 43 letters of base64url; devices of an
    /// older skep send none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
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
    /// The token, which is nowhere else, for a device that sent no key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::error::ErrorKind;

    fn model() -> ModelWire {
        ModelWire {
            name: "m".to_owned(),
            size: 3,
            modified: "2000-02-29T12:34:56Z".to_owned(),
            digest: Some(digest_text(Digest::of(b"abc"))),
        }
    }

    #[test]
    fn what_is_told_of_a_model_is_read_back() {
        let read = Model::try_from(model()).unwrap();
        assert_eq!(ModelWire::from(&read), model());
        assert_eq!(read.digest, Some(Digest::of(b"abc")));

        let version = OldVersion {
            number: 7,
            size: 2,
            modified: read.modified,
            digest: None,
        };
        let info = ModelInfo {
            model: read.clone(),
            license: Some("MIT".to_owned()),
            source: None,
            uploader: None,
            uploaded: Some(read.modified),
            file_modified: Some(read.modified),
            meta: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
            versions: vec![version],
        };
        assert_eq!(ModelInfo::try_from(InfoWire::from(&info)).unwrap(), info);

        let checked = Verification {
            name: read.name,
            read: 3,
            size: 3,
            outcome: crate::model::Verified::Damaged,
            digest: read.digest,
            remembered: None,
        };
        let line = VerifyWire::from(&checked);
        assert_eq!(line.verification().unwrap(), Some(checked));
        let unfinished = VerifyWire {
            outcome: None,
            ..line
        };
        assert_eq!(unfinished.verification().unwrap(), None);
    }

    #[test]
    fn values_that_cannot_be_used_are_named() {
        let named = |name: &str| ModelWire {
            name: name.to_owned(),
            ..model()
        };
        let digested = |digest: String| ModelWire {
            digest: Some(digest),
            ..model()
        };
        let dated = ModelWire {
            modified: "yesterday".to_owned(),
            ..model()
        };
        for (what, wire) in [
            ("name '../x'", named("../x")),
            ("name 'a\\u{1b}[2J'", named("a\u{1b}[2J")),
            ("time 'yesterday'", dated),
            ("digest 'sha256:12'", digested("sha256:12".to_owned())),
            ("digest '0000", digested("0".repeat(64))),
        ] {
            let error = Model::try_from(wire).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotImplemented);
            assert!(error.message().contains(what), "{error}");
        }
    }
}
