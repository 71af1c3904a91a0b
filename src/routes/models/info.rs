// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What is known of one model beside its bytes: where it comes from, what it was before, and whether
//! it is still whole.

use std::borrow::Cow;
use std::io::{self, Read};
use std::sync::Arc;

use percent_encoding::percent_decode_str;

use crate::access::{self, How, Principal};
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Content, Request, Response, Status};
use crate::model::{ModelInfo, ModelName, OldVersion, Revision, VersionChoice};
use crate::routes::api::{Api, Known, member};
use crate::routes::models::folders;
use crate::routes::models::preconditions::condition;
use crate::store::{About, BlobSearch, Check, Metadata, ModelVersion, Verdict, no_version};
use crate::text::{escaped, field_value, list_value, quotable, read_value, time_at};
use crate::waiting::Rank;
use crate::wire::{InfoWire, ModelWire, VerifyWire, VersionWire, VersionsWire, digest_text};

/// `GET /v1/info/NAME`: all that is known of a model, as JSON; with `?revision=` of what it was.
pub(crate) fn show(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    let revision = asked_revision(request)?;
    if let Some(folder) = api.folder_name(request)? {
        return folders::show(api, &folder, revision, search_for(request));
    }
    let name = api.model_name(request)?;
    let (model, about) = match revision {
        Some(revision) => {
            let opened = api
                .store
                .open_model_at(&name, revision, search_for(request))?;
            let opened = api.store.described(opened);
            (opened.model, opened.about)
        }
        None => {
            let model = api.store.find(&name)?;
            let about = api.store.about(&model).map(Arc::new);
            (model, about)
        }
    };

    // Models that were copied in by hand and uploads that said nothing have no entry.
    let (metadata, uploaded) = match about {
        Some(about) => (about.metadata.clone(), Some(about.uploaded)),
        None => (Metadata::default(), None),
    };

    let versions = kept_versions(api, request, &name)?;
    let versions = versions.iter().map(version).collect();

    let info = InfoWire::from(&ModelInfo {
        model,
        license: metadata.license,
        source: metadata.source,
        uploader: metadata.uploader,
        uploaded,
        file_modified: metadata.modified.and_then(time_at),
        meta: metadata.pairs,
        versions,
    });

    Ok(Response::json(Status::OK, &info).field("cache-control", "no-cache"))
}

/// `GET /v1/versions/NAME?number=N`: what a model was before, newest first, as JSON, or the one of this number.
pub(crate) fn versions(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    let number = asked_number(request)?;
    if let Some(folder) = api.folder_name(request)? {
        return folders::show(api, &folder, None, search_for(request));
    }
    let name = api.model_name(request)?;
    let mut kept = kept_versions(api, request, &name)?;
    if let Some(number) = number {
        kept.retain(|one| one.number == number);
        if kept.is_empty() {
            return Err(no_version(&name, number));
        }
    }
    let versions = kept.iter().map(|one| VersionWire::from(&version(one)));

    let list = VersionsWire {
        schema: 1,
        name: name.as_str().to_owned(),
        versions: versions.collect(),
    };

    Ok(Response::json(Status::OK, &list).field("cache-control", "no-cache"))
}

/// What a model was before, as far as the caller may know of it.
fn kept_versions(
    api: &Api,
    request: &mut Request<'_>,
    name: &ModelName,
) -> Result<Vec<ModelVersion>> {
    match search_for(request) {
        BlobSearch::Versions => api.store.versions(name),
        BlobSearch::Models => api.store.find(name).map(|_| Vec::new()),
    }
}

/// `DELETE /v1/versions/NAME?number=N`: removes them all, or the one of this number.
pub(crate) fn forget_versions(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    let name = api.model_name(request)?;
    match asked_number(request)? {
        Some(number) => api.store.forget_version(&name, number)?,
        None => drop(api.store.forget_versions(&name)?),
    }
    Ok(Response::new(Status::NO_CONTENT))
}

/// The number of a version that a query asks for.
fn asked_number(request: &Request<'_>) -> Result<Option<u64>> {
    let Some(text) = member(request.query(), "number")? else {
        return Ok(None);
    };
    match text.parse() {
        Ok(VersionChoice::Number(number)) => Ok(Some(number)),
        _ => {
            let text = format!("'{}' is no number of a version", quotable(&text));
            Err(Error::new(ErrorKind::BadRequest, text).hint("'skep show NAME' lists them"))
        }
    }
}

/// `POST /v1/rollback/NAME?to=VERSION`: 200 where it took the place of another version, otherwise
/// 201. Without `to`, it is the newest version.
pub(crate) fn rollback(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    if let Some(folder) = api.folder_name(request)? {
        let principal = principal_line(request);
        return folders::rollback(api, request, &folder, principal);
    }
    let choice = choice(request.query())?;
    let name = api.model_name(request)?;
    let condition = condition(api, request, &name)?;
    let published = api.store.rollback_if(&name, choice, &condition)?;
    let status = if published.replaced {
        Status::OK
    } else {
        Status::CREATED
    };
    Ok(Response::json(status, &ModelWire::from(&published.model)))
}

/// `POST /v1/verify/NAME`: reads the model again. The answer is one line of JSON after another:
/// how far it is, and in the end what came of it. The thread of the connection does the reading.
pub(crate) fn verify(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    let name = api.model_name(request)?;
    let check = api.store.verify(&name)?;

    let told = CheckProgress {
        name,
        check,
        line: Vec::new(),
        told: 0,
        next: 0,
        verdict: None,
    };

    Ok(Response::new(Status::OK)
        .field("content-type", "application/x-ndjson")
        .field("cache-control", "no-cache")
        .content(Content::Chunked(Box::new(told))))
}

/// Which version a query asks for. Whoever writes it in another way must not get the newest one.
fn choice(query: Option<&str>) -> Result<VersionChoice> {
    let mut choice = None;

    for member in query.unwrap_or_default().split('&') {
        let value = match member.split_once('=') {
            None if member.is_empty() => continue,
            Some(("to", value)) if choice.is_none() => percent_decode_str(value),
            _ => {
                let text = "the query of a rollback is ?to=NUMBER or ?to=DIGEST, once";
                return Err(Error::new(ErrorKind::BadRequest, text));
            }
        };
        choice = Some(value.decode_utf8_lossy().parse()?);
    }

    Ok(choice.unwrap_or_default())
}

/// Who sends a request.
pub(crate) fn principal(request: &mut Request<'_>) -> Option<Principal> {
    let known = request.session().value::<Known>();
    known.and_then(|known| known.0.clone())
}

/// The same as it is kept in a line of a file: a certificate may be called as it likes.
pub(crate) fn principal_line(request: &mut Request<'_>) -> Option<String> {
    principal(request).map(|principal| escaped(&principal.shown()).into_owned())
}

/// The revision that a query asks for. Nothing else of it counts: links to files often have other members.
pub(super) fn asked_revision(request: &Request<'_>) -> Result<Option<Revision>> {
    let members = request.query().unwrap_or_default().split('&');
    let mut revisions = members.filter_map(|member| member.strip_prefix("revision="));
    let revision = revisions.next().map(str::parse).transpose()?;
    if revisions.next().is_some() {
        let text = "the query has 'revision' twice";
        return Err(Error::new(ErrorKind::BadRequest, text).hint("write it once"));
    }
    Ok(revision)
}

/// Where bytes are looked for that the caller does not name by what they are called now.
pub(crate) fn search_for(request: &mut Request<'_>) -> BlobSearch {
    // Whoever shows no credentials could let the server search its old versions again and again, and would learn
    // of what was taken away from everybody.
    let caller = principal(request);
    if caller.is_some_and(|caller| caller.rank() == Rank::Stranger) {
        BlobSearch::Models
    } else {
        BlobSearch::Versions
    }
}

/// What a request says of the model that it brings. The user name of Basic credentials is the
/// uploader, unless it is one of those that mean nobody.
pub(crate) fn metadata(request: &Request<'_>, principal: Option<&Principal>) -> Result<Metadata> {
    let fields = request.fields();

    // The name of a token or a certificate is proved; the user of Basic credentials is only
    // claimed.
    let user = match principal {
        Some(known) if matches!(known.how, How::Token | How::Certificate) => {
            Some(known.name.clone())
        }
        _ => fields.value("authorization").and_then(access::user),
    };

    let user = user.as_deref().filter(|user| !NOBODY.contains(user));

    let license = fields.value("skep-license").map(text).transpose()?;
    let source = fields.value("skep-source").map(text).transpose()?;
    let mut metadata = Metadata::new(license.as_deref(), source.as_deref(), user)?;

    if let Some(modified) = fields.value("skep-modified") {
        let seconds = modified.trim().parse().map_err(|_| {
            let text = "Skep-Modified is a whole number of seconds since 1970";
            Error::new(ErrorKind::BadRequest, text)
        })?;
        metadata = metadata.of_time(seconds)?;
    }

    let pairs = fields.values("skep-meta").flat_map(|list| list.split(','));
    for pair in pairs.map(str::trim).filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        metadata = metadata.with(key.trim(), &text(value.trim())?)?;
    }
    Ok(metadata)
}

/// The text of a field.
fn text(value: &str) -> Result<Cow<'_, str>> {
    read_value(value).ok_or_else(|| {
        let text = format!("'{}' is no text in UTF-8 (RFC 8187)", quotable(value));
        Error::new(ErrorKind::BadRequest, text)
    })
}

/// The fields that say of an answer what its uploader said of the bytes.
pub(crate) fn described(mut response: Response, about: Option<&About>) -> Response {
    let Some(about) = about else {
        return response;
    };
    let Metadata {
        license,
        source,
        modified,
        pairs,
        ..
    } = &about.metadata;

    for (field, said) in [("skep-license", license), ("skep-source", source)] {
        if let Some(said) = said {
            response = response.field(field, field_value(said).into_owned());
        }
    }
    if let Some(modified) = modified {
        response = response.field("skep-modified", modified.to_string());
    }
    if !pairs.is_empty() {
        let pairs = pairs.iter();
        let pairs = pairs.map(|(key, value)| format!("{key}={}", list_value(value)));
        response = response.field("skep-meta", pairs.collect::<Vec<_>>().join(", "));
    }
    response
}

fn version(version: &ModelVersion) -> OldVersion {
    OldVersion {
        number: version.number,
        size: version.size,
        modified: version.modified,
        digest: version.digest,
    }
}

/// A check whose course can be read.
struct CheckProgress {
    name: ModelName,
    check: Check,
    line: Vec<u8>,
    /// How much of the line was read.
    told: usize,
    /// After how many bytes of the model to tell again.
    next: u64,
    verdict: Option<Verdict>,
}

impl CheckProgress {
    fn tell(&mut self) {
        let verdict = self.verdict.as_ref();

        let line = VerifyWire {
            name: self.name.as_str().to_owned(),
            read: self.check.read(),
            size: self.check.size(),
            outcome: verdict.map(|verdict| verdict.outcome.word().to_owned()),
            digest: verdict.and_then(|verdict| verdict.digest).map(digest_text),
            remembered: verdict
                .and_then(|verdict| verdict.remembered)
                .map(digest_text),
        };

        // Numbers and texts can always be written.
        self.line = serde_json::to_vec(&line).unwrap_or_default();
        self.line.push(b'\n');
        self.told = 0;
    }
}

impl Read for CheckProgress {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.told == self.line.len() {
            if self.verdict.is_some() {
                return Ok(0);
            }
            // A line comes before each long step, so a caller that waits sees that work is done.
            if self.check.read() >= self.next {
                self.next = self.check.read() + TELL_BYTES;
                self.tell();
                break;
            }
            self.verdict = self.check.step();
            if self.verdict.is_some() {
                self.tell();
            }
        }

        let count = (&self.line[self.told..]).read(buffer)?;
        self.told += count;

        Ok(count)
    }
}

/// Often enough for a progress bar and for callers that give up after a while of silence.
const TELL_BYTES: u64 = 4 << 20;

/// What clients say when nobody said who they are: ours, the README's example, and curl's `:PASSWORD`.
const NOBODY: [&str; 4] = ["skep", "x", "-", ""];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_chooses_one_version_or_is_refused() {
        let chosen = |query| choice(query).ok();
        for newest in [None, Some(""), Some("to=newest")] {
            assert_eq!(chosen(newest), Some(VersionChoice::Newest), "{newest:?}");
        }
        assert_eq!(chosen(Some("to=7")), Some(VersionChoice::Number(7)));
        let digest = crate::digest::Digest::of(b"x");
        let query = format!("to=sha256%3a{digest}");
        assert_eq!(chosen(Some(&query)), Some(VersionChoice::Digest(digest)));
        for bad in [
            "to",
            "to=",
            "version=7",
            "to=7&to=8",
            "to=7&x=1",
            "7",
            "TO=7",
        ] {
            assert_eq!(chosen(Some(bad)), None, "{bad}");
        }
    }
}
