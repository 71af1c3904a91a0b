// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Fetching a model into a file, from where an earlier attempt stopped (RFC 9110 sections 13.1.5 and 14).

use std::path::Path;
use std::time::Duration;

use ureq::http::header::{IF_NONE_MATCH, IF_RANGE, RANGE};
use ureq::http::{Method, StatusCode};

use crate::client::Client;
use crate::client::api::answers;
use crate::client::download::download_stream::announced;
use crate::client::download::landing_place::LandingPlace;
use crate::client::download::partial_file::{PartialFile, digest_of};
use crate::client::download::receiving::{Fetched, Fetching, Proof};
use crate::client::retry::{self, Retry};
use crate::client::transfer::{
    Changes, SignedName, TransferEvent, TransferEvents, TransferOptions,
};
use crate::digest::Digest;
use crate::disk::FilePlace;
use crate::error::{Error, ErrorKind, Result};
use crate::model::ModelName;

impl Client {
    /// Fetches a model and saves it as a file, which appears only when it is whole and right. What a
    /// cut leaves is kept beside it, as far as the server knows the digest of the model, and the next
    /// call for the same target goes on there, also from another address of the server.
    ///
    /// # Errors
    /// `NotFound`, `Busy` if another process is fetching the same file, `Integrity` if the bytes are not
    /// those announced or not signed by the signer that `options` name, and those of the connection, of
    /// the server and of the file system.
    pub fn fetch(
        &mut self,
        name: &ModelName,
        target: &Path,
        options: &TransferOptions,
        events: TransferEvents<'_>,
    ) -> Result<Fetched> {
        self.fetch_to(name, LandingPlace::of(target)?, options, events)
    }

    /// The same for a place in an open folder, in which no link is followed.
    ///
    /// # Errors
    /// As [`Client::fetch`].
    pub(crate) fn fetch_at(
        &mut self,
        name: &ModelName,
        place: FilePlace,
        options: &TransferOptions,
        events: TransferEvents<'_>,
    ) -> Result<Fetched> {
        self.fetch_to(name, LandingPlace::at(place), options, events)
    }

    fn fetch_to(
        &mut self,
        name: &ModelName,
        place: LandingPlace,
        options: &TransferOptions,
        events: TransferEvents<'_>,
    ) -> Result<Fetched> {
        let opened = place.opened().ok();

        // The file is digested each time, because anybody may have changed it since.
        let known = match options.changes {
            Changes::Required => opened.and_then(digest_of),
            Changes::Ignored => None,
        };

        // The signature is fetched first: without one, nothing of the model needs to be downloaded.
        let signed = match (&options.signer, &options.signature) {
            (None, _) => None,
            (Some(signer), Some(signature)) => Some((signer, signature.clone())),
            (Some(signer), None) => Some((signer, self.signature(name)?)),
        };

        if let Some((_, signature)) = &signed
            && options.signed_name == SignedName::Same
        {
            signature.check_name(&format!("'{name}'"), name.as_str())?;
        }

        let partial = opened.map_or(Ok(None), PartialFile::find)?;
        let mut retries = self.retry(options.retries);
        // Bytes of an earlier attempt show that the server exists, so it is worth waiting for.
        if partial.as_ref().is_some_and(|partial| partial.done() > 0) {
            retries.met();
        }

        let pace = self.pace.clone();
        // A caller who wants no retries does not want to wait for a digest either.
        let (received, resumed_at, has_waited) = (0, None, options.retries == 0);

        let mut fetching = Fetching {
            name,
            place,
            known,
            wanted: self.wanted(name, options.digest),
            partial,
            signed,
            pace,
            received,
            resumed_at,
            has_waited,
            times: options.times,
            modified: None,
        };

        loop {
            let before = fetching.received;
            let error = match self.fetch_once(&mut fetching, &mut retries, events) {
                Ok(fetched) => return Ok(fetched),
                Err(error) => error,
            };
            // A line that is cut again and again still gets there, so any progress starts a new count.
            if fetching.received > before {
                retries.progressed();
            }
            // At once and not counted: nothing is resumed then, so the same cannot happen again.
            if fetching.is_damaged(&error) {
                events(TransferEvent::Restarted {
                    reason: "the part that was kept is damaged",
                });
                continue;
            }
            // Whatever the error says, no attempt can succeed after a stop.
            if self.stop.is_stopped() {
                fetching.rest();
                return Err(retry::stopped());
            }
            let (pause, error) = retries.after(error).inspect_err(|_| fetching.rest())?;
            events(TransferEvent::Retrying {
                pause,
                error: &error,
            });
            retry::pause(pause, &self.stop).inspect_err(|_| fetching.rest())?;
        }
    }

    fn fetch_once(
        &mut self,
        fetching: &mut Fetching<'_>,
        retry: &mut Retry,
        events: TransferEvents<'_>,
    ) -> Result<Fetched> {
        let path = self.fetched_path(fetching.name);
        // Bytes can be resumed only if the digest of the whole is known, which then goes into If-Range.
        let kept = fetching.partial.as_ref();
        let kept = kept.and_then(|partial| Some((partial.done(), partial.whole()?)));
        let kept = kept.filter(|(done, whole)| {
            let is_wanted = fetching.wanted.is_none_or(|wanted| wanted == whole.digest);
            *done > 0 && is_wanted
        });

        let response = self.exchange_again(|| {
            let mut request = self.builder(Method::GET, &path);
            if let Some(known) = fetching.known {
                request = request.header(IF_NONE_MATCH, known.etag());
            }

            // With If-Range, a model that has changed comes whole in the same answer, without a second
            // request (RFC 9110 section 13.1.5).
            if let Some((done, whole)) = kept {
                request = request.header(RANGE, format!("bytes={done}-"));
                request = request.header(IF_RANGE, whole.digest.etag());
            }
            request
        })?;

        if let (StatusCode::NOT_MODIFIED, Some(digest)) = (response.status(), fetching.known) {
            let facts = fetching.place.opened().and_then(FilePlace::facts);
            let size = facts.map_or(0, |facts| facts.size);
            fetching.check_wanted(digest)?;
            // The bytes are those of the server, but this signer may not have been asked for before.
            fetching.check_kept()?;
            let proof = Proof::Unchanged;
            return Ok(Fetched {
                size,
                digest,
                proof,
                received: 0,
                resumed_at: None,
            });
        }

        // A server that heeds no If-Range may have a shorter model now. Nothing is kept afterwards, so this
        // happens once.
        if kept.is_some() && response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            drop(response);
            fetching.start_over(events)?;
            return self.fetch_once(fetching, retry, events);
        }

        let response = answers::accepted(response)?;
        retry.met();
        let size = response.body().content_length();

        // A server that was just restarted does not know the digest yet and sends everything. To wait for
        // the digest is cheaper than to fetch again what is here. It is done once.
        if let Some((done, whole)) = kept
            && !fetching.has_waited
            && response.status() == StatusCode::OK
            && size == Some(whole.size)
            && matches!(announced(response.headers()), Ok(None))
        {
            drop(response);
            fetching.has_waited = true;
            self.await_digest(&path, done, events)?;
            return self.fetch_once(fetching, retry, events);
        }

        match fetching.take(response, kept, events)? {
            Some(fetched) => Ok(fetched),
            None => self.fetch_once(fetching, retry, events),
        }
    }
}

impl Client {
    /// What the bytes of a model must have: of an old version, the digest by which it was chosen.
    pub(crate) fn wanted(&self, name: &ModelName, digest: Option<Digest>) -> Option<Digest> {
        digest.or_else(|| self.chosen_version(name))
    }

    /// Gives a server that was restarted the time to read a model again, so that what was kept of it
    /// can be resumed: at most as long as fetching that again would take on a good line.
    fn await_digest(&mut self, path: &str, kept: u64, events: TransferEvents<'_>) -> Result<()> {
        let text = "the server does not know the digest of the model yet";
        let error = Error::new(ErrorKind::Busy, text);

        for pause in digest_pauses(kept) {
            events(TransferEvent::Retrying {
                pause,
                error: &error,
            });
            retry::pause(pause, &self.stop)?;
            let response = self.exchange_again(|| self.builder(Method::HEAD, path))?;
            // Also a digest that cannot be read ends the wait: the next request reports it.
            if !matches!(announced(answers::accepted(response)?.headers()), Ok(None)) {
                break;
            }
        }

        Ok(())
    }
}

/// The pauses between two looks whether a digest is known of a model, so many bytes of which are here. Only
/// pauses count, so that a slow line does not shorten the wait.
fn digest_pauses(kept: u64) -> impl Iterator<Item = Duration> {
    let mut left = Duration::from_secs(DIGEST_SECONDS + kept / DIGEST_RATE);
    let mut next = Duration::from_millis(250);

    std::iter::from_fn(move || {
        let pause = (left > Duration::ZERO).then_some(next)?;
        left = left.saturating_sub(pause);
        next = (pause * 2).min(DIGEST_PAUSE_MAX);
        Some(pause)
    })
}

/// What any server needs to begin with, and the bytes per second that even slow ones read.
const DIGEST_SECONDS: u64 = 10;
const DIGEST_RATE: u64 = 10 << 20;

const DIGEST_PAUSE_MAX: Duration = Duration::from_secs(4);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_waited_for_as_long_as_fetching_again_would_take() {
        let second = Duration::from_secs(1);
        for (kept, least) in [(0, 10), (10 << 20, 11), (1 << 30, 112)] {
            let pauses: Vec<_> = digest_pauses(kept).take(1_000).collect();
            let all: Duration = pauses.iter().sum();
            assert!(all >= least * second && all < least * second + DIGEST_PAUSE_MAX);
            assert_eq!(pauses[..3], [second / 4, second / 2, second]);
            assert_eq!(pauses.iter().max(), Some(&DIGEST_PAUSE_MAX));
        }
    }
}
