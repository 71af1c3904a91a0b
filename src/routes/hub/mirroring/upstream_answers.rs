// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the upstream says of repositories: asked for once, kept, and told again while the upstream is away.

use std::io::Read as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::client::{Upstream, UpstreamAnswer};
use crate::clock;
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::routes::hub::mirroring::allowed_files::AllowedFiles;
use crate::routes::hub::mirroring::asking_turns::AskingTurns;
use crate::routes::hub::mirroring::fetches::Fetches;
use crate::threads::lock;

/// A question to the upstream.
pub(super) struct HubQuestion<'a> {
    /// Below the root of the hub, as the caller has escaped it, with the query.
    pub(super) path: String,
    /// The type and the bytes of a question that has a body.
    pub(super) content: Option<(&'a str, &'a [u8])>,
    /// Whether it is about a commit, so that the answer never changes.
    pub(super) is_fixed: bool,
}

/// An answer that is kept.
#[derive(Clone, Deserialize, Serialize)]
pub(super) struct KeptAnswer {
    /// When it came, in seconds.
    pub(super) fetched: u64,
    pub(super) commit: Option<String>,
    /// The path of the next page, below the root of the hub.
    pub(super) next: Option<String>,
    pub(super) told: Value,
    /// Whether the upstream could not be asked whether it still holds.
    #[serde(skip)]
    pub(super) is_stale: bool,
}

/// What the upstream does not tell.
pub(super) struct UpstreamRefusal {
    pub(super) status: u16,
    pub(super) code: Option<String>,
    pub(super) text: String,
    pub(super) commit: Option<String>,
    /// When to come back, as the upstream says it: `Retry-After`, and `RateLimit`.
    pub(super) pause: Option<String>,
    pub(super) rate_limit: Option<String>,
}

/// Asks, and keeps what is told.
pub(super) struct UpstreamAnswers {
    fetches: Arc<Fetches>,
    fresh: Duration,
    turns: AskingTurns,
    allowed: AllowedFiles,
    /// Bytes that were kept since this was asked for.
    grown: AtomicU64,
    /// Until when nobody asks, because nobody answered.
    away_until: Mutex<Option<Instant>>,
}

pub(super) type HubTold = std::result::Result<KeptAnswer, UpstreamRefusal>;

impl UpstreamAnswers {
    pub(super) fn new(fetches: Arc<Fetches>, fresh: Duration) -> Self {
        Self {
            fetches,
            fresh,
            turns: AskingTurns::default(),
            allowed: AllowedFiles::default(),
            grown: AtomicU64::new(0),
            away_until: Mutex::default(),
        }
    }

    /// The answer to a question, kept or new.
    ///
    /// # Errors
    /// `Busy` while the upstream cannot be asked and nothing is kept; those of the file system.
    pub(super) fn of(&self, question: &HubQuestion<'_>) -> Result<HubTold> {
        let store = &self.fetches.store;
        let name = record_name(question);
        let (kept, holds) = self.kept(question, &name)?;
        if let Some(kept) = kept.as_ref().filter(|_| holds) {
            store.touch_record(&name);
            return Ok(Ok(kept.clone()));
        }

        let turn = self.turns.take();
        // Somebody else may have asked the same meanwhile.
        let (kept, holds) = self.kept(question, &name)?;
        if let Some(kept) = kept.as_ref().filter(|_| holds) {
            return Ok(Ok(kept.clone()));
        }
        let asked = turn.and_then(|_turn| self.ask(question));
        match asked {
            Ok(Ok(told)) => {
                let bytes = serde_json::to_vec(&told).unwrap_or_default();
                self.grown.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                if let Err(error) = store.keep_record(&name, &bytes) {
                    log::warn!("mirror: what the upstream says cannot be kept: {error}");
                }
                Ok(Ok(told))
            }
            Ok(Err(refusal)) if refusal.status < 500 && refusal.status != 429 => Ok(Err(refusal)),
            asked => match kept {
                Some(kept) => Ok(Ok(KeptAnswer {
                    is_stale: true,
                    ..kept
                })),
                None => asked,
            },
        }
    }

    /// What is kept of an answer, and whether it still holds.
    fn kept(&self, question: &HubQuestion<'_>, name: &str) -> Result<(Option<KeptAnswer>, bool)> {
        let kept = self.fetches.store.record(name)?;
        let kept = kept.and_then(|bytes| serde_json::from_slice::<KeptAnswer>(&bytes).ok());
        let age = kept
            .as_ref()
            .and_then(|kept| clock::seconds().checked_sub(kept.fetched));
        let is_fresh = age.is_some_and(|age| age < self.fresh.as_secs());
        let holds = kept.is_some() && (question.is_fixed || is_fresh);
        Ok((kept, holds))
    }

    /// Whether a file of the upstream may be had, of which nothing travels.
    ///
    /// # Errors
    /// `Busy` while the upstream cannot be asked.
    pub(super) fn allows(&self, path: &str) -> Result<std::result::Result<(), UpstreamRefusal>> {
        if self.allowed.has(path) {
            return Ok(Ok(()));
        }
        let _turn = self.turns.take()?;
        if self.allowed.has(path) {
            return Ok(Ok(()));
        }
        let answer = self.reached(|upstream| upstream.look(path))?;
        if answer.status() >= 400 {
            return Ok(Err(refusal(&answer)));
        }
        self.allowed.add(path);
        Ok(Ok(()))
    }

    /// Whether so much was kept that it is time to look what can go.
    pub(super) fn has_grown(&self) -> bool {
        let has_grown = self.grown.load(Ordering::Relaxed) >= GROWN_BYTES;
        if has_grown {
            self.grown.store(0, Ordering::Relaxed);
        }
        has_grown
    }

    fn ask(&self, question: &HubQuestion<'_>) -> Result<HubTold> {
        read(self.reached(|upstream| upstream.ask(&question.path, question.content))?)
    }

    /// Asks the upstream, unless it was away a moment ago.
    fn reached(
        &self,
        ask: impl FnOnce(&Upstream) -> Result<UpstreamAnswer>,
    ) -> Result<UpstreamAnswer> {
        let upstream = &self.fetches.upstream;
        let away = || {
            let text = format!("{} cannot be reached", upstream.shown());
            Error::new(ErrorKind::Busy, text)
        };
        if lock(&self.away_until).is_some_and(|until| Instant::now() < until) {
            return Err(away());
        }
        ask(upstream).map_err(|error| {
            log::warn!("mirror: {}", error.with_cause());
            // One answer that cannot be read says nothing of the others.
            if error.kind() != ErrorKind::Unreachable {
                let text = "the upstream gives an answer that cannot be used";
                return Error::new(ErrorKind::Busy, text);
            }
            *lock(&self.away_until) = Some(Instant::now() + PAUSE);
            away()
        })
    }
}

/// What an answer says; nothing of it leads callers anywhere else.
fn read(mut answer: UpstreamAnswer) -> Result<HubTold> {
    let field = |name: &str| answer.field(name).map(str::to_owned);
    let commit = field("x-repo-commit").filter(|commit| is_commit(commit));
    if answer.status() != 200 {
        return Ok(Err(refusal(&answer)));
    }

    let next = field("link").and_then(|link| next_of(&link));
    let mut bytes = Vec::new();
    let broken = |error: std::io::Error| {
        let text = "the connection with the upstream broke";
        Error::new(ErrorKind::Busy, text).because(error)
    };
    answer
        .content()
        .take(ANSWER_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(broken)?;
    let told = serde_json::from_slice(&bytes).ok();
    let told = told.filter(|_| bytes.len() as u64 <= ANSWER_BYTES_MAX);
    let Some(mut told) = told else {
        let text = "the upstream sends no JSON that can be read, or too much of it";
        return Err(Error::new(ErrorKind::Busy, text));
    };
    forget_xet(&mut told);
    if !is_sound(&told) {
        let text = "the upstream names a commit or a file as no hub does";
        return Err(Error::new(ErrorKind::Busy, text));
    }
    Ok(Ok(KeptAnswer {
        fetched: clock::seconds(),
        commit,
        next,
        told,
        is_stale: false,
    }))
}

/// Why the upstream does not tell something, in its own words.
fn refusal(answer: &UpstreamAnswer) -> UpstreamRefusal {
    let field = |name: &str| answer.field(name).map(str::to_owned);
    let code = field("x-error-code");
    let code = code.filter(|code| code.bytes().all(|one| one.is_ascii_alphanumeric()));
    let text = field("x-error-message");
    let pause = field("retry-after");
    let is_limit = |limit: &String| limit.len() <= RATE_LIMIT_BYTES_MAX;

    // Without rights, a repository that is not there looks like one that is private.
    let (status, code) = match (answer.status(), code) {
        (401, None) | (300..=399, _) => (404, Some("RepoNotFound".to_owned())),
        (401, code) => (404, code),
        other => other,
    };
    UpstreamRefusal {
        text: text.unwrap_or_else(|| format!("the upstream answers {}", answer.status())),
        commit: field("x-repo-commit").filter(|commit| is_commit(commit)),
        pause: pause.filter(|pause| pause.bytes().all(|one| one.is_ascii_digit())),
        rate_limit: field("ratelimit").filter(is_limit),
        status,
        code,
    }
}

/// The path of the next page, below the root of the hub.
fn next_of(link: &str) -> Option<String> {
    let (address, rest) = link.split_once('<')?.1.split_once('>')?;
    let is_next = rest.contains("rel=\"next\"") || rest.contains("rel=next");
    let start = address.find("/api/").filter(|_| is_next)?;
    let path = &address[start..];
    let is_plain = path
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'"');
    is_plain.then(|| path.to_owned())
}

/// Callers would ask for parts of files that the mirror does not have.
fn forget_xet(told: &mut Value) {
    match told {
        Value::Object(members) => {
            members.remove("xetHash");
            members.values_mut().for_each(forget_xet);
        }
        Value::Array(values) => values.iter_mut().for_each(forget_xet),
        _ => {}
    }
}

/// Whether commits and paths are such: clients make names of folders of them.
fn is_sound(told: &Value) -> bool {
    match told {
        Value::Object(members) => members.iter().all(|(key, value)| {
            let is_sound_text = |text: &str| match key.as_str() {
                "sha" => is_commit(text),
                "path" | "rfilename" => {
                    let is_sound = |part: &str| !matches!(part, "" | "." | "..");
                    text.split('/').all(is_sound) && !text.contains(['\\', '\0'])
                }
                _ => true,
            };
            value.as_str().is_none_or(is_sound_text) && is_sound(value)
        }),
        Value::Array(values) => values.iter().all(is_sound),
        _ => true,
    }
}

/// Whether this is the name of a commit.
pub(super) fn is_commit(text: &str) -> bool {
    text.len() == 40
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn record_name(question: &HubQuestion<'_>) -> String {
    let mut whole = question.path.clone().into_bytes();
    if let Some((kind, bytes)) = question.content {
        whole.push(0);
        whole.extend_from_slice(kind.as_bytes());
        whole.push(0);
        whole.extend_from_slice(bytes);
    }
    format!("answer.{}", Digest::of(&whole))
}

/// For how long nobody asks an upstream that does not answer.
const PAUSE: Duration = Duration::from_secs(5);

/// Between two looks at what is kept.
const GROWN_BYTES: u64 = 64 << 20;

const RATE_LIMIT_BYTES_MAX: usize = 200;

/// A page of a tree has a thousand files.
const ANSWER_BYTES_MAX: u64 = 8 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_lead_on_below_the_root_of_this_hub() {
        for (link, expected) in [
            (
                "<https://huggingface.co/api/models/a/tree/x?cursor=b>; rel=\"next\"",
                Some("/api/models/a/tree/x?cursor=b"),
            ),
            (
                "<http://127.0.0.1:1/hf/api/models?cursor=b>; rel=next",
                Some("/api/models?cursor=b"),
            ),
            ("<https://cas/x>; rel=\"xet-auth\"", None),
            ("<https://x/api/y>; rel=\"prev\"", None),
            ("<https://x/api/y\" z>; rel=\"next\"", None),
            ("", None),
        ] {
            assert_eq!(next_of(link).as_deref(), expected, "{link}");
        }
    }

    #[test]
    fn names_that_lead_elsewhere_are_not_told() {
        let commit = "0".repeat(40);
        for (told, is_good) in [
            (
                serde_json::json!({"sha": commit, "siblings": [{"rfilename": "a/b.c"}]}),
                true,
            ),
            (serde_json::json!([{"path": "a", "oid": "../x"}]), true),
            (serde_json::json!({"sha": "../../x"}), false),
            (serde_json::json!([{"path": "a"}, {"path": "../a"}]), false),
            (
                serde_json::json!({"siblings": [{"rfilename": "/etc/passwd"}]}),
                false,
            ),
            (serde_json::json!({"a": {"b": [{"path": "a\\b"}]}}), false),
        ] {
            assert_eq!(is_sound(&told), is_good, "{told}");
        }
    }

    #[test]
    fn nothing_of_xet_is_told() {
        let mut told =
            serde_json::json!([{"path": "a", "xetHash": "x", "lfs": {"oid": "o", "xetHash": "y"}}]);
        forget_xet(&mut told);
        assert_eq!(
            told,
            serde_json::json!([{"path": "a", "lfs": {"oid": "o"}}])
        );
    }
}
