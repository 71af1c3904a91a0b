// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A repository of the hub of a server, which is asked for so that the server has it: one that mirrors another hub
//! fetches what it does not have.

use std::io::Read as _;
use std::str::FromStr;
use std::time::Duration;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::Deserialize;
use ureq::Body;
use ureq::http::header::{LINK, RANGE, RETRY_AFTER};
use ureq::http::{Method, Response};

use crate::client::Client;
use crate::client::api::{self, AnswerContent};
use crate::client::retry;
use crate::client::transfer::{TransferEvent, TransferEvents};
use crate::error::{Error, ErrorKind, Result};
use crate::model::ModelName;

/// What kind of repository it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HubKind {
    Models,
    Datasets,
    Spaces,
}

impl HubKind {
    fn word(self) -> &'static str {
        match self {
            Self::Models => "models",
            Self::Datasets => "datasets",
            Self::Spaces => "spaces",
        }
    }
}

/// A repository in a revision, as `NS/REPO[@REV]` names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HubRepository {
    pub(crate) name: ModelName,
    /// A branch, a tag or a commit.
    pub(crate) revision: String,
}

impl FromStr for HubRepository {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, revision) = text.split_once('@').unwrap_or((text, "main"));
        let bad = |what: &str| {
            let text = format!("'{text}' is no repository: {what}");
            Error::new(ErrorKind::Usage, text).hint("write NS/REPO or NS/REPO@REVISION")
        };
        let name: ModelName = name.parse().map_err(|error: Error| bad(error.message()))?;
        if name.segments().count() > 2 {
            return Err(bad("a name has one part or two"));
        }
        if revision.is_empty() || revision.len() > REVISION_BYTES_MAX {
            return Err(bad("it is in no revision"));
        }
        Ok(Self {
            name,
            revision: revision.to_owned(),
        })
    }
}

/// A file of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HubRepositoryFile {
    pub(crate) path: String,
    pub(crate) size: u64,
}

#[derive(Deserialize)]
struct HubRevisionWire {
    sha: String,
}

#[derive(Deserialize)]
struct HubEntryWire {
    #[serde(rename = "type")]
    kind: String,
    path: String,
    #[serde(default)]
    size: u64,
}

impl Client {
    /// The commit that a revision of a repository is.
    ///
    /// # Errors
    /// `NotFound`, `NotImplemented` for an answer that has no commit, and those of the connection and of the server.
    pub(crate) fn hub_commit(&mut self, kind: HubKind, of: &HubRepository) -> Result<String> {
        let path = format!("{}/revision/{}", api_of(kind, of), segment(&of.revision));
        let told: HubRevisionWire = api::json(&mut self.ask_hub(&path)?)?;
        let is_commit =
            told.sha.len() == 40 && told.sha.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_commit {
            Ok(told.sha)
        } else {
            Err(no_hub())
        }
    }

    /// The files of a repository in a commit.
    ///
    /// # Errors
    /// `TooLarge` for more than 131,072 of them, otherwise as [`Client::hub_commit`].
    pub(crate) fn hub_files(
        &mut self,
        kind: HubKind,
        of: &HubRepository,
        commit: &str,
    ) -> Result<Vec<HubRepositoryFile>> {
        let tree = format!("{}/tree/{commit}?recursive=true", api_of(kind, of));
        let (mut files, mut path) = (Vec::new(), tree.clone());
        for _ in 0..PAGES_MAX {
            let mut response = self.ask_hub(&path)?;
            let cursor = next_cursor(&response);
            let page: Vec<HubEntryWire> = api::json(&mut response)?;
            let page = page.into_iter().filter(|entry| entry.kind == "file");
            files.extend(page.map(|entry| HubRepositoryFile {
                path: entry.path,
                size: entry.size,
            }));
            if files.len() > FILES_MAX {
                break;
            }
            match cursor {
                // The rest of what the link says is the server's claim, and the request is ours.
                Some(cursor) => path = format!("{tree}&cursor={cursor}"),
                None => return Ok(files),
            }
        }
        let text = "the repository has more files than are fetched at a time";
        Err(Error::new(ErrorKind::TooLarge, text))
    }

    /// Has the server have a file: it is asked for single bytes of it, which it has once it has all that is before
    /// them.
    ///
    /// # Errors
    /// `NotFound`, what the upstream of the server says, and those of the connection and of the server.
    pub(crate) fn fetch_ahead(
        &mut self,
        kind: HubKind,
        of: &HubRepository,
        (commit, file): (&str, &HubRepositoryFile),
        retries: u32,
        events: TransferEvents<'_>,
    ) -> Result<()> {
        let prefix = match kind {
            HubKind::Models => String::new(),
            kind => format!("{}/", kind.word()),
        };
        let segments: Vec<_> = file.path.split('/').map(segment).collect();
        let (name, path) = (of.name.url_path(), segments.join("/"));
        let target = format!("/hf/{prefix}{name}/resolve/{commit}/{path}");

        let mut retries = self.retry(retries);
        let mut done = 0;
        loop {
            let next = (done + STEP_BYTES).min(file.size);
            match self.one_byte(&target, next.checked_sub(1)) {
                Ok(()) => {
                    done = next;
                    retries.progressed();
                    events(TransferEvent::Progress(done));
                    if done == file.size {
                        return Ok(());
                    }
                }
                Err(error) => {
                    let (pause, error) = retries.after(error)?;
                    events(TransferEvent::Retrying {
                        pause,
                        error: &error,
                    });
                    retry::pause(pause, &self.stop)?;
                }
            }
        }
    }

    /// Reads one byte; of an empty file, nothing.
    fn one_byte(&self, path: &str, place: Option<u64>) -> Result<()> {
        let response = self.exchange_again(|| {
            let request = self.builder(Method::GET, path);
            match place {
                Some(place) => request.header(RANGE, format!("bytes={place}-{place}")),
                None => request,
            }
        })?;
        let content = AnswerContent::of(accepted(response)?);
        let mut read = Vec::new();
        // A server that takes no ranges sends all of it.
        let most = place.map_or(1, |place| place + 1);
        content
            .take(most)
            .read_to_end(&mut read)
            .map_err(api::failed)?;
        let is_there = read.is_empty() == place.is_none();
        if is_there { Ok(()) } else { Err(api::ended()) }
    }

    fn ask_hub(&self, path: &str) -> Result<Response<Body>> {
        let answer = self.exchange_again(|| self.builder(Method::GET, path))?;
        accepted(answer)
    }
}

/// A refusal of the hub has its words in a field.
fn accepted(response: Response<Body>) -> Result<Response<Body>> {
    let field = |name: &str| {
        let value = response.headers().get(name)?;
        value.to_str().ok().map(str::to_owned)
    };
    let Some(text) = field("x-error-message").filter(|_| !response.status().is_success()) else {
        return api::accepted(response);
    };
    let kind = ErrorKind::from_answer(response.status().as_u16(), None);
    let error = Error::new(kind, text);
    let pause = field(RETRY_AFTER.as_str()).and_then(|pause| pause.parse().ok());
    Err(match pause {
        Some(pause) => error.again_after(Duration::from_secs(pause).min(PAUSE_MAX)),
        None => error,
    })
}

fn api_of(kind: HubKind, of: &HubRepository) -> String {
    format!("/hf/api/{}/{}", kind.word(), of.name.url_path())
}

/// The cursor of the page behind this one.
fn next_cursor(response: &Response<Body>) -> Option<String> {
    let link = response.headers().get(LINK)?.to_str().ok()?;
    let (address, relation) = link.strip_prefix('<')?.split_once('>')?;
    let (_, query) = address.split_once('?')?;
    let cursor = query
        .split('&')
        .find_map(|member| member.strip_prefix("cursor="))?;
    // It stands in a path that is ours.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"%-._~+=/".contains(&byte);
    let is_next = relation.contains("next") && cursor.bytes().all(is_plain);
    is_next.then(|| cursor.to_owned())
}

fn segment(text: &str) -> String {
    utf8_percent_encode(text, NOT_IN_SEGMENTS).to_string()
}

fn no_hub() -> Error {
    let text = "the answer is not one of a hub";
    Error::new(ErrorKind::NotImplemented, text)
        .hint("is --server (SKEP_SERVER) the address of a skep server?")
}

/// Of what a file has, one byte is asked for in so many: at some 35 KiB a second, each comes within the time limit.
const STEP_BYTES: u64 = 1 << 20;

const REVISION_BYTES_MAX: usize = 250;

const PAGES_MAX: usize = 10_000;

const FILES_MAX: usize = 1 << 17;

/// The longest wait that is believed.
const PAUSE_MAX: Duration = Duration::from_secs(24 * 3600);

/// What a segment of a path cannot have as it is.
const NOT_IN_SEGMENTS: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'/')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_named_with_its_revision() {
        let one: HubRepository = "me/r".parse().unwrap();
        assert_eq!((one.name.as_str(), one.revision.as_str()), ("me/r", "main"));
        let one: HubRepository = "r@feat/x@2".parse().unwrap();
        assert_eq!(
            (one.name.as_str(), one.revision.as_str()),
            ("r", "feat/x@2")
        );
        for bad in [
            "",
            "@x",
            "a/b/c",
            "me/r@",
            "../r",
            "https://huggingface.co/me/r",
        ] {
            let error = bad.parse::<HubRepository>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage, "{bad}");
        }
    }

    #[test]
    fn only_the_cursor_of_a_link_counts() {
        let next = |link: &str| {
            let response = Response::builder().header(LINK, link);
            next_cursor(&response.body(Body::builder().data("")).unwrap())
        };
        let link = "<https://elsewhere.example/x?a=b&cursor=c%2Fd>; rel=\"next\"";
        assert_eq!(next(link).as_deref(), Some("c%2Fd"));
        for bad in [
            "<https://x/y?a=b>; rel=\"next\"",
            "<https://x/y?cursor=a>; rel=\"prev\"",
            "<https://x/y?cursor=a b>; rel=\"next\"",
            "x",
        ] {
            assert_eq!(next(bad), None, "{bad}");
        }
    }
}
