// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a server knows of one model beside its bytes, and what it was before.

use std::io::{BufRead as _, BufReader, Read as _};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use ureq::http::Method;

use crate::client::Client;
use crate::client::api::answer::Answer;
use crate::client::api::answers;
use crate::client::model_path::path_of;
use crate::client::transfer::RETRIES_MAX;
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{
    Model, ModelInfo, ModelName, OldVersion, Revision, Verification, VersionChoice,
};
use crate::signature::Signature;
use crate::wire::{
    self, ClearedWire, CommitWire, FolderInfoWire, InfoWire, ModelWire, MovedWire, RevisionWire,
    VerifyWire, VersionsWire,
};

impl Client {
    /// All that the server knows of a model, or of what it was in the revision that the client was taken to.
    ///
    /// # Errors
    /// `NotFound`, and those of the connection and of the server.
    pub fn info(&mut self, name: &ModelName) -> Result<ModelInfo> {
        let path = self.in_revision(path_of("info", name));
        let mut response = self.ask(Method::GET, &path)?;
        let value: serde_json::Value = crate::client::api::json(&mut response)?;
        if value["name"].as_str() == Some(&format!("{name}/")) {
            let text = format!("'{name}' is a folder");
            return Err(
                Error::new(ErrorKind::Usage, text).hint(format!("'skep show {name}/' shows it"))
            );
        }
        let info = serde_json::from_value::<InfoWire>(value);
        info.map_err(|_| answers::not_skep())?.try_into()
    }

    /// What the server knows of the version of a model that the client was taken to. Of an old one it tells
    /// nothing but size, time and digest.
    ///
    /// # Errors
    /// As [`Client::info`].
    pub(crate) fn info_of_state(&mut self, name: &ModelName) -> Result<ModelInfo> {
        let Some(digest) = self.version else {
            return self.info(name);
        };
        let mut versions = self.versions(name)?.into_iter();
        let Some(old) = versions.find(|version| version.digest == Some(digest)) else {
            return self.info(name);
        };

        Ok(ModelInfo {
            model: Model {
                name: name.clone(),
                size: old.size,
                modified: old.modified,
                digest: old.digest,
            },
            license: None,
            source: None,
            uploader: None,
            uploaded: None,
            file_modified: None,
            meta: Default::default(),
            versions: Vec::new(),
        })
    }

    fn in_revision(&self, path: String) -> String {
        match self.revision {
            Some(revision) => format!("{path}?revision={revision}"),
            None => path,
        }
    }

    /// What a model was before, as far as the server keeps it; newest first.
    ///
    /// # Errors
    /// `NotFound` if there is neither the model nor an older version, and those of the connection and
    /// of the server.
    pub fn versions(&mut self, name: &ModelName) -> Result<Vec<OldVersion>> {
        let mut response = self.ask(Method::GET, &versions_path(name))?;
        let told: VersionsWire = crate::client::api::json(&mut response)?;

        wire::old_versions(told.versions)
    }

    /// Removes what the server keeps of what a model was before.
    ///
    /// # Errors
    /// As [`Client::versions`].
    pub fn forget_versions(&mut self, name: &ModelName) -> Result<()> {
        self.ask(Method::DELETE, &versions_path(name))
            .and_then(|response| answers::gone(&response))
    }

    /// Brings back what a model was before. It is not asked twice, because that would undo it.
    ///
    /// # Errors
    /// As [`Client::rollback_to`].
    pub fn rollback(&mut self, name: &ModelName) -> Result<Model> {
        self.rollback_to(name, VersionChoice::Newest)
    }

    /// Brings back one of the old versions of a model; the present model becomes the newest of them.
    ///
    /// # Errors
    /// `NotFound` if there is no such version, what an upload of the same bytes is refused for, and those
    /// of the connection and of the server.
    pub fn rollback_to(&mut self, name: &ModelName, choice: VersionChoice) -> Result<Model> {
        let path = path_of("rollback", name);
        let mut response = match choice {
            VersionChoice::Newest => {
                let request = self.builder(Method::POST, &path);
                self.exchange(request, ()).and_then(answers::accepted)?
            }
            VersionChoice::Number(_) => {
                let request = self.builder(Method::POST, &format!("{path}?to={choice}"));
                self.exchange(request, ()).and_then(answers::accepted)?
            }
            // A model that has this digest already stays as it is, so to ask again does no harm.
            VersionChoice::Digest(_) => self.ask(Method::POST, &format!("{path}?to={choice}"))?,
        };

        let model: Model = crate::client::api::json::<ModelWire>(&mut response)?.try_into()?;
        // A server that knows no choice would have taken the newest one.
        match choice {
            VersionChoice::Digest(digest) if model.digest != Some(digest) => {
                let text = format!("the server brought back another version of '{name}'");
                Err(Error::new(ErrorKind::Integrity, text)
                    .hint("it is older than this client; 'skep rollback NAME' undoes that"))
            }
            _ => Ok(model),
        }
    }

    /// Lists and fetches what a folder had in a revision from now on, and not what it has.
    pub(crate) fn go_to_revision(&mut self, revision: Revision) {
        self.revision = Some(revision);
    }

    /// The old revision of a folder that has a number; `None` if no folder has the name.
    ///
    /// # Errors
    /// `NotFound` if that revision is not kept; those of the connection and of the server.
    pub(crate) fn numbered_revision(
        &mut self,
        folder: &ModelName,
        number: u64,
    ) -> Result<Option<Revision>> {
        let told = match self.folder_info(folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            told => told?,
        };
        let found = numbered(&told.revisions, &number.to_string()).ok_or_else(|| {
            let text = format!("no revision {number} of '{folder}/' is kept");
            Error::new(ErrorKind::NotFound, text)
                .hint(format!("'skep show {folder}/' lists those that are"))
        })?;
        found.revision.parse().map(Some)
    }

    /// Whether it fetches an old version of a model.
    pub(crate) fn has_version(&self) -> bool {
        self.version.is_some()
    }

    /// Whether it fetches what a folder had in some revision.
    pub(crate) fn has_revision(&self) -> bool {
        self.revision.is_some()
    }

    /// The digest of the old version that is fetched of a model. The signature beside a model is asked for by
    /// its name.
    pub(crate) fn chosen_version(&self, name: &ModelName) -> Option<Digest> {
        self.version.filter(|_| !Signature::is_name(name))
    }

    /// Where the bytes of a model are fetched from.
    pub(crate) fn fetched_path(&self, name: &ModelName) -> String {
        let path = path_of("models", name);
        match self.chosen_version(name) {
            Some(digest) => format!("/v1/blobs/sha256/{digest}"),
            None => self.in_revision(path),
        }
    }

    /// Fetches an old version of a model from now on, and not what it is.
    ///
    /// # Errors
    /// `NotFound` if there is no such version, or its digest is not known; those of the connection and of the
    /// server.
    pub(crate) fn go_to_version(&mut self, name: &ModelName, choice: VersionChoice) -> Result<()> {
        if let VersionChoice::Digest(digest) = choice
            && self
                .find(name)?
                .is_some_and(|model| model.digest == Some(digest))
        {
            self.version = Some(digest);
            return Ok(());
        }

        let mut versions = self.versions(name)?.into_iter();
        let version = versions.find(|version| match choice {
            VersionChoice::Number(number) => version.number == number,
            VersionChoice::Digest(digest) => version.digest == Some(digest),
            VersionChoice::Newest => true,
        });
        let digest = version.and_then(|version| version.digest);
        self.version = Some(digest.ok_or_else(|| {
            let text = format!("no version {choice} of '{name}' is kept whose digest is known");
            Error::new(ErrorKind::NotFound, text)
                .hint(format!("'skep show {name}' lists those that are"))
        })?);
        Ok(())
    }

    /// What is known of a folder.
    ///
    /// # Errors
    /// `NotFound`, and those of the connection and of the server.
    pub(crate) fn folder_info(&mut self, folder: &ModelName) -> Result<FolderInfoWire> {
        let path = self.in_revision(format!("{}/", path_of("info", folder)));
        let mut response = self.ask(Method::GET, &path)?;
        crate::client::api::json(&mut response)
    }

    /// Makes a folder what it was in an old revision, or before the last change set. Where the answer takes too
    /// long, as it may for many thousand models, it is asked for again: the revision is the same then.
    ///
    /// # Errors
    /// `NotFound` if there is none such, what an upload of the same bytes is refused for, and those of the
    /// connection and of the server.
    pub(crate) fn rollback_folder(
        &mut self,
        folder: &ModelName,
        to: Option<&str>,
    ) -> Result<CommitWire> {
        let kept = self.folder_info(folder)?.revisions;
        let found = match to {
            None | Some("newest") => kept.first(),
            Some(to) => numbered(&kept, to),
        };
        let to = found.map(|one| one.revision.as_str()).or(to);

        let path = format!("{}/", path_of("rollback", folder));
        let (path, retries) = match to {
            Some(to) => {
                let to = utf8_percent_encode(to, NON_ALPHANUMERIC);
                (format!("{path}?to={to}"), RETRIES_MAX)
            }
            // There is none, and the server says why.
            None => (path, 0),
        };

        let mut told = None;
        self.persistently(retries, &mut |_| {}, &mut |client| {
            let request = client.builder(Method::POST, &path);
            let mut response = client.exchange(request, ()).and_then(answers::accepted)?;
            told = Some(crate::client::api::json(&mut response)?);
            Ok(())
        })?;
        told.ok_or_else(answers::not_skep)
    }

    /// Gives a model or a folder another name. It is not asked twice: the second time there would be none.
    ///
    /// # Errors
    /// `NotFound`, `Conflict` if the other name is taken, what an upload is refused for, and those of the
    /// connection and of the server.
    pub(crate) fn rename(
        &mut self,
        from: &ModelName,
        is_folder: bool,
        to: &str,
    ) -> Result<MovedWire> {
        let end = if is_folder { "/" } else { "" };
        let to = utf8_percent_encode(to, NON_ALPHANUMERIC);
        let path = format!("{}{end}?to={to}", path_of("move", from));

        let request = self.builder(Method::POST, &path);
        let mut response = self.exchange(request, ()).and_then(answers::accepted)?;
        crate::client::api::json(&mut response)
    }

    /// Has the server free what it keeps beside models, or tell what it would: `query` says what stays.
    ///
    /// # Errors
    /// `Forbidden` without the right, and those of the connection and of the server.
    pub(crate) fn clear(&mut self, query: &str) -> Result<ClearedWire> {
        let request = self.builder(Method::POST, &format!("/v1/gc?{query}"));
        let mut response = self.exchange(request, ()).and_then(answers::accepted)?;
        crate::client::api::json(&mut response)
    }

    /// Has the server read a model again; `progress` is called with each piece's length. The outcome says
    /// whether its bytes are still those whose digest the server remembers.
    ///
    /// # Errors
    /// `NotFound`, `Interrupted` if the answer breaks off, and those of the connection and of the
    /// server. Damage is an outcome.
    pub fn verify(
        &mut self,
        name: &ModelName,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Verification> {
        // To read a model twice does no harm, so this POST may be repeated over a fresh connection.
        let response = self.ask(Method::POST, &path_of("verify", name))?;
        let mut reader = BufReader::new(Answer::new(response));
        let (mut line, mut before) = (Vec::new(), 0);

        loop {
            // The bound keeps a server that never ends a line from filling the memory.
            line.clear();
            reader
                .by_ref()
                .take(LINE_BYTES_MAX)
                .read_until(b'\n', &mut line)?;
            // The last line has the outcome, so an end before it is a cut.
            if line.is_empty() {
                return Err(crate::client::api::failures::ended());
            }
            let told: VerifyWire = serde_json::from_slice(&line).map_err(|error| {
                Error::new(ErrorKind::NotImplemented, "the answer is not one of API v1")
                    .because(error)
            })?;
            // The server states totals, and callers add up pieces.
            progress(told.read.saturating_sub(before));
            before = told.read;

            if let Some(verification) = told.verification()? {
                return Ok(verification);
            }
        }
    }
}

fn numbered<'a>(revisions: &'a [RevisionWire], number: &str) -> Option<&'a RevisionWire> {
    let mut revisions = revisions.iter();
    revisions.find(|one| one.number.to_string() == number)
}

fn versions_path(name: &ModelName) -> String {
    path_of("versions", name)
}

const LINE_BYTES_MAX: u64 = 8192;
