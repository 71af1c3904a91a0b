// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Change sets from the side of the client: many models that a server publishes in one step.

mod change_path;
mod local_tree;
mod remembered_digests;
mod remembered_set;
mod removing;

pub(crate) use change_path::ChangePath;
pub(crate) use local_tree::{LocalFile, LocalTree};
pub(crate) use remembered_digests::RememberedDigests;
pub(crate) use remembered_set::RememberedSet;
pub(crate) use removing::{Removal, Undo};

use std::collections::BTreeMap;
use std::path::Path;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use ureq::http::header::LOCATION;
use ureq::http::{Method, StatusCode};

use crate::client::Client;
use crate::client::api::{answers, json};
use crate::client::retry;
use crate::client::transfer::{TransferEvent, TransferEvents};
use crate::client::upload::modified_field;
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{ModelName, Revision};
use crate::wire::{ChangeWire, CommitWire};

/// What a commit did, as the server counts it.
pub(crate) type Committed = CommitWire;

impl Client {
    /// Where this device keeps what it knows, if it is anywhere.
    pub(crate) fn home(&self) -> Option<&Path> {
        self.home.as_deref()
    }

    /// Begins a change set for a folder, or takes one up that an earlier command has left; and sends all models
    /// into it from now on. Returns the digests of what it has already.
    ///
    /// # Errors
    /// Those of the connection and of the server.
    pub(crate) fn enter_change(
        &mut self,
        root: &ModelName,
        remembered: &mut RememberedSet,
    ) -> Result<BTreeMap<ModelName, Digest>> {
        if let Some(left) = remembered.read()
            && let Some(staged) = self.staged(&left)?
        {
            self.change = Some(left);
            return Ok(staged);
        }

        remembered.write(&self.begin_change(Some(root))?);
        Ok(BTreeMap::new())
    }

    /// Begins a change set, for a folder or for any names, and enters it.
    fn begin_change(&mut self, root: Option<&ModelName>) -> Result<ChangePath> {
        let target = match root {
            Some(root) => {
                let root = utf8_percent_encode(root.as_str(), NON_ALPHANUMERIC);
                format!("/v1/changes?root={root}")
            }
            None => "/v1/changes".to_owned(),
        };
        let response = self.ask(Method::POST, &target)?;
        let location = response.headers().get(LOCATION);
        let location = location.and_then(|value| value.to_str().ok());
        let base = self.url.base();
        let path = location.and_then(|value| ChangePath::of_field(value, &base));
        let path = path.ok_or_else(answers::not_skep)?;

        self.change = Some(path.clone());
        Ok(path)
    }

    /// Gives the set up that is entered, and leaves it.
    ///
    /// # Errors
    /// Those of the connection and of the server.
    pub(crate) fn abandon_change(&mut self) -> Result<()> {
        let path = self.entered()?.to_string();
        self.change = None;
        let response = self.exchange_again(|| self.builder(Method::DELETE, &path))?;
        // One that is gone already is what was wanted.
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(());
        }
        answers::accepted(response).map(drop)
    }

    /// Models are sent as such again.
    pub(crate) fn leave_change(&mut self) {
        self.change = None;
    }

    /// The digests of what a change set has, by name; `None` if there is no such set.
    ///
    /// # Errors
    /// Those of the connection and of the server.
    fn staged(&mut self, path: &ChangePath) -> Result<Option<BTreeMap<ModelName, Digest>>> {
        let (mut staged, mut after) = (BTreeMap::new(), String::new());

        loop {
            let query = utf8_percent_encode(&after, NON_ALPHANUMERIC);
            let page = format!("{path}?after={query}");
            let response = self.exchange_again(|| self.builder(Method::GET, &page))?;
            if response.status() == StatusCode::NOT_FOUND {
                return Ok(None);
            }

            let told: ChangeWire = json(&mut answers::accepted(response)?)?;
            for model in told.models {
                let name = model.name.parse().map_err(|_| answers::not_skep())?;
                if let Some(digest) = model.digest()? {
                    staged.insert(name, digest);
                }
            }

            match told.next {
                // A page that does not lead on would be fetched again and again.
                Some(next) if next > after && staged.len() < NAMES_MAX => after = next,
                Some(_) => return Err(answers::not_skep()),
                None => return Ok(Some(staged)),
            }
        }
    }

    /// What the set has now that is entered.
    ///
    /// # Errors
    /// `NotFound` if it is gone; those of the connection and of the server.
    pub(crate) fn staged_now(&mut self) -> Result<BTreeMap<ModelName, Digest>> {
        let path = self.entered()?;
        let staged = self.staged(&path)?;
        staged.ok_or_else(|| Error::new(ErrorKind::NotFound, "the change set is gone"))
    }

    /// Lets a name have bytes that the server has, of a file that was modified at a time, in nanoseconds
    /// since 1970; says whether it has them.
    ///
    /// # Errors
    /// Those of the connection and of the server.
    pub(crate) fn stage_known(
        &self,
        name: &ModelName,
        digest: Digest,
        modified: Option<i128>,
    ) -> Result<bool> {
        let target = format!("{}?blob=sha256:{digest}", self.entered()?.of(name));
        let response = self.exchange_again(|| {
            let request = self.builder(Method::PUT, &target);
            let modified = modified.and_then(modified_field).into_iter();
            modified.fold(request, |request, (field, value)| {
                request.header(field, value)
            })
        })?;
        if [404, 409].contains(&response.status().as_u16()) {
            return Ok(false);
        }
        answers::accepted(response).map(|_| true)
    }

    /// Lets a name go with the commit.
    ///
    /// # Errors
    /// Those of the connection and of the server.
    pub(crate) fn stage_removal(&self, name: &ModelName) -> Result<()> {
        let target = self.entered()?.of(name);
        let response = self.exchange_again(|| self.builder(Method::DELETE, &target))?;
        answers::accepted(response).map(drop)
    }

    /// Commits the set that is entered, and leaves it. An answer that was lost is asked for again: a set is
    /// committed once.
    ///
    /// # Errors
    /// `PreconditionFailed` if its folder has another revision than is expected, `Conflict` if bytes are
    /// missing; those of the connection and of the server.
    pub(crate) fn commit_change(
        &mut self,
        expected: Option<Revision>,
        retries: u32,
        events: TransferEvents<'_>,
    ) -> Result<Committed> {
        let path = self.entered()?.to_string();
        self.commit_at(&path, expected, retries, events)
    }

    fn commit_at(
        &mut self,
        path: &str,
        expected: Option<Revision>,
        retries: u32,
        events: TransferEvents<'_>,
    ) -> Result<Committed> {
        let mut committed = None;

        self.persistently(retries, events, &mut |client| {
            let request = || {
                let request = client.builder(Method::POST, path);
                match expected {
                    Some(revision) => request.header("if-match", format!("\"{revision}\"")),
                    None => request,
                }
            };
            let response = client.exchange_again(request);
            committed = Some(json(&mut response.and_then(answers::accepted)?)?);
            Ok(())
        })?;

        self.change = None;
        committed.ok_or_else(answers::not_skep)
    }

    /// Asks a server that was met before again while a failure may pass.
    ///
    /// # Errors
    /// Those of `call`.
    pub(crate) fn persistently(
        &self,
        retries: u32,
        events: TransferEvents<'_>,
        call: &mut dyn FnMut(&Self) -> Result<()>,
    ) -> Result<()> {
        let mut retries = self.retry(retries);
        retries.met();

        loop {
            let Err(error) = call(self) else {
                return Ok(());
            };
            let (pause, error) = retries.after(error)?;
            events(TransferEvent::Retrying {
                pause,
                error: &error,
            });
            retry::pause(pause, &self.stop)?;
        }
    }

    fn entered(&self) -> Result<ChangePath> {
        let change = self.change.clone();
        change.ok_or_else(|| Error::new(ErrorKind::Internal, "no change set was begun"))
    }
}

/// More names than a set has.
const NAMES_MAX: usize = 200_000;

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;
    use crate::client::ClientOptions;

    const SET: &str = "/v1/changes/0123456789abcdef0123456789abcdef";

    /// What `ask` gets from a server that gives these answers, each once, and the targets that it asks for.
    fn answered<T>(
        answers: &[(&str, &str)],
        ask: impl FnOnce(&mut Client) -> T,
    ) -> (T, Vec<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut client = Client::new(ClientOptions::new(url.parse().unwrap())).unwrap();
        client.change = ChangePath::parse(SET);

        std::thread::scope(|scope| {
            let server = scope.spawn(|| {
                let answer = |(status, body): &(&str, &str)| {
                    let (mut socket, _) = listener.accept().unwrap();
                    let mut head = [0; 4096];
                    let count = socket.read(&mut head).unwrap();
                    let length = body.len();
                    let fields = "Content-Type: application/json\r\nConnection: close";
                    write!(
                        socket,
                        "HTTP/1.1 {status}\r\n{fields}\r\nContent-Length: {length}\r\n\r\n{body}"
                    )
                    .unwrap();
                    let head = String::from_utf8_lossy(&head[..count]).into_owned();
                    head.split(' ').nth(1).unwrap().to_owned()
                };
                answers.iter().map(answer).collect()
            });
            let result = ask(&mut client);
            (result, server.join().unwrap())
        })
    }

    fn page(names: &[&str], next: Option<&str>) -> String {
        let models = names.iter().map(|name| {
            let digest = format!("{:?}", Digest::of(name.as_bytes()));
            serde_json::json!({"name": name, "change": "sent", "size": 1, "digest": digest})
        });
        let models: Vec<_> = models.collect();
        serde_json::json!({"schema": 1, "id": "x", "root": null, "models": models, "next": next})
            .to_string()
    }

    #[test]
    fn what_a_set_has_is_read_page_by_page_and_each_page_leads_on() {
        let pages = [
            ("200 OK", &*page(&["a/b", "c"], Some("c"))),
            ("200 OK", &page(&["d"], None)),
        ];
        let (staged, targets) = answered(&pages, Client::staged_now);
        let staged: Vec<_> = staged.unwrap().into_iter().collect();
        let told = |text: &str| (text.parse().unwrap(), Digest::of(text.as_bytes()));
        assert_eq!(staged, ["a/b", "c", "d"].map(told));
        let expected = ["", "c"].map(|after| format!("{SET}?after={after}"));
        assert_eq!(targets, expected);

        for next in ["c", "b"] {
            let (first, again) = (page(&["c"], Some("c")), page(&["c"], Some(next)));
            let pages = [("200 OK", &*first), ("200 OK", &again)];
            let error = answered(&pages, Client::staged_now).0.unwrap_err();
            assert_eq!(error.kind(), answers::not_skep().kind(), "{next}");
        }
        let gone = answered(&[("404 Not Found", "{}")], Client::staged_now).0;
        assert_eq!(gone.unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_set_that_is_given_up_is_left_and_may_be_gone_already() {
        for (status, is_done) in [
            ("204 No Content", true),
            ("404 Not Found", true),
            ("403 Forbidden", false),
        ] {
            let ask = |client: &mut Client| (client.abandon_change(), client.change.clone());
            let (result, targets) = answered(&[(status, "")], ask);
            assert_eq!((result.0.is_ok(), result.1), (is_done, None), "{status}");
            assert_eq!(targets, [SET]);
        }
    }
}
