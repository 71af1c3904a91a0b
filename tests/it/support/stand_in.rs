// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A hub that answers as huggingface.co does: small files behind a relative redirect, large ones behind one to another
//! host, pages of trees, and fields that nobody else is to see. Paths and tokens are in lower case.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use serde_json::{Value, json};

use super::liar::{Liar, Question, Then};
use super::process::{DEADLINE, digest};

/// A file of a repository.
#[derive(Clone)]
pub(crate) struct HubFile {
    pub(crate) path: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) is_lfs: bool,
}

/// What the hub does besides.
#[derive(Default)]
pub(crate) struct Conduct {
    /// By their names, such as `me/r` or `datasets/me/d`.
    pub(crate) repositories: BTreeMap<&'static str, (String, Vec<HubFile>)>,
    /// Names that repositories had, and those that they have.
    pub(crate) renamed: BTreeMap<&'static str, &'static str>,
    /// Those of which files are for whoever shows the token.
    pub(crate) gated: BTreeSet<&'static str>,
    /// Bytes of the bodies that break off, of one after the other.
    pub(crate) cuts: VecDeque<usize>,
    /// At this place a body waits.
    pub(crate) hold_at: Option<usize>,
    /// How many bodies wait there.
    held: usize,
    /// Nobody is answered.
    pub(crate) is_down: bool,
    /// The content has other bytes than are announced.
    pub(crate) is_wrong: bool,
    /// The whole answer of all requests instead.
    pub(crate) answers: Option<&'static str>,
    /// Where large files are instead.
    pub(crate) content: Option<String>,
}

/// A hub, and the host of its large files.
pub(crate) struct StandIn {
    pub(crate) hub: Liar,
    pub(crate) content: Liar,
    shared: Arc<(Mutex<Conduct>, Condvar)>,
}

/// What is shown to the hub, and to nobody else.
pub(crate) const TOKEN: &str = "hf_upstreamsecretupstreamsecretupstream";

impl StandIn {
    pub(crate) fn start() -> Self {
        let shared = Arc::new((Mutex::new(Conduct::default()), Condvar::new()));
        let of_content = Arc::clone(&shared);
        let content = Liar::start(move |question| {
            let path = question_path(question);
            let found = file_at(&lock(&of_content), path.strip_prefix("/lfs/").unwrap());
            send(
                question,
                &of_content,
                &found.unwrap().1.bytes,
                "\"of the content\"",
            )
        });
        let (of_hub, place) = (Arc::clone(&shared), content.url.clone());
        let hub = Liar::start(move |question| answer(question, &of_hub, &place));
        Self {
            hub,
            content,
            shared,
        }
    }

    /// What it does from now on.
    pub(crate) fn conduct(&self) -> MutexGuard<'_, Conduct> {
        lock(&self.shared)
    }

    /// Gives it a repository; returns the commit.
    pub(crate) fn keep(&self, name: &'static str, files: &[HubFile]) -> String {
        let all: Vec<_> = files.iter().map(|file| git_oid(&file.bytes)).collect();
        let commit = git_oid(all.concat().as_bytes());
        let kept = (commit.clone(), files.to_vec());
        self.conduct().repositories.insert(name, kept);
        commit
    }

    /// Waits until so many bodies wait.
    pub(crate) fn until_held(&self, count: usize) {
        let waited = self
            .shared
            .1
            .wait_timeout_while(self.conduct(), DEADLINE, |conduct| conduct.held < count);
        assert!(!waited.unwrap().1.timed_out(), "nothing is held");
    }

    /// Has bodies that wait go on, and later ones not wait.
    pub(crate) fn release(&self) {
        self.conduct().hold_at = None;
        self.shared.1.notify_all();
    }

    /// Ends all that is under way, and answers nobody any more.
    pub(crate) fn go_down(&self) {
        self.conduct().is_down = true;
        self.shared.1.notify_all();
    }

    pub(crate) fn come_back(&self) {
        self.conduct().is_down = false;
    }

    /// How many requests began so at the host of large files.
    pub(crate) fn fetched(&self, start: &str) -> usize {
        count(&self.content, start)
    }
}

fn count(liar: &Liar, start: &str) -> usize {
    let heads = liar.heads();
    heads.iter().filter(|head| head.starts_with(start)).count()
}

pub(crate) fn small(path: &'static str, bytes: impl AsRef<[u8]>) -> HubFile {
    HubFile {
        path,
        bytes: bytes.as_ref().to_vec(),
        is_lfs: false,
    }
}

pub(crate) fn large(path: &'static str, bytes: impl AsRef<[u8]>) -> HubFile {
    HubFile {
        is_lfs: true,
        ..small(path, bytes)
    }
}

/// What git computes of a file.
pub(crate) fn git_oid(bytes: &[u8]) -> String {
    let algorithm = &ring::digest::SHA1_FOR_LEGACY_USE_ONLY;
    let mut context = ring::digest::Context::new(algorithm);
    context.update(format!("blob {}\0", bytes.len()).as_bytes());
    context.update(bytes);
    let mut text = String::new();
    for byte in context.finish().as_ref() {
        write!(text, "{byte:02x}").unwrap();
    }
    text
}

fn sha256(bytes: &[u8]) -> String {
    digest(bytes).replace("sha256:", "")
}

fn lock(shared: &(Mutex<Conduct>, Condvar)) -> MutexGuard<'_, Conduct> {
    shared.0.lock().unwrap()
}

fn question_path(question: &Question<'_>) -> String {
    let target = question.head.split(' ').nth(1).unwrap();
    target.split('?').next().unwrap().to_owned()
}

/// The repository and the file of `NAME/FILE`.
fn file_at(conduct: &Conduct, path: &str) -> Option<(String, HubFile)> {
    let mut all = conduct.repositories.iter();
    all.find_map(|(name, (commit, files))| {
        let path = path.strip_prefix(name)?.strip_prefix('/')?;
        let file = files.iter().find(|file| file.path == path)?;
        Some((commit.clone(), file.clone()))
    })
}

fn answer(question: &mut Question<'_>, shared: &(Mutex<Conduct>, Condvar), content: &str) -> Then {
    if lock(shared).is_down {
        return Then::Close;
    }
    if let Some(whole) = lock(shared).answers {
        question.say(whole);
        return Then::Close;
    }
    let path = question_path(question);
    let renamed = lock(shared).renamed.clone();
    let renamed = renamed.iter().find(|(old, _)| path.contains(*old));
    if let Some((old, new)) = renamed {
        let target = question.head.split(' ').nth(1).unwrap();
        let fields = format!("Location: {}\r\n", target.replacen(old, new, 1));
        return question.answer("307 Temporary Redirect", &fields, b"");
    }
    if let Some(path) = path.strip_prefix("/api/resolve-cache/") {
        let found = file_at(&lock(shared), path).unwrap().1;
        let tag = format!("\"{}\"", git_oid(&found.bytes));
        return send(question, shared, &found.bytes, &tag);
    }
    if let Some(path) = path.strip_prefix("/api/") {
        return api(
            question,
            shared,
            path.strip_prefix("models/").unwrap_or(path),
        );
    }
    resolve(question, shared, path.trim_start_matches('/'), content)
}

/// `NAME/resolve/REV/FILE`
fn resolve(
    question: &mut Question<'_>,
    shared: &(Mutex<Conduct>, Condvar),
    path: &str,
    content: &str,
) -> Then {
    let Some((name, rest)) = path.split_once("/resolve/") else {
        return refuse(question, "404 Not Found", "RepoNotFound", "no such path");
    };
    let (revision, file) = rest.split_once('/').unwrap();
    let conduct = lock(shared);
    let Some((commit, _)) = conduct.repositories.get(name) else {
        drop(conduct);
        return refuse(
            question,
            "401 Unauthorized",
            "RepoNotFound",
            "Repository not found",
        );
    };
    let commit = commit.clone();
    let found = file_at(&conduct, &format!("{name}/{file}"));
    let is_closed = conduct.gated.contains(name) && !shows_token(question);
    let content = conduct
        .content
        .clone()
        .unwrap_or_else(|| content.to_owned());
    drop(conduct);
    if is_closed {
        let text = "Access to it is restricted";
        return refuse(question, "403 Forbidden", "GatedRepo", text);
    }
    if revision != "main" && revision != commit {
        return refuse(question, "404 Not Found", "RevisionNotFound", "no revision");
    }
    let Some((_, found)) = found else {
        return refuse(question, "404 Not Found", "EntryNotFound", "no entry");
    };
    let common = format!("X-Repo-Commit: {commit}\r\nSet-Cookie: token=secret\r\n");
    if !found.is_lfs {
        let fields = format!(
            "{common}Location: /api/resolve-cache/{name}/{file}?etag=x\r\nETag: \"{}\"\r\n",
            git_oid(&found.bytes)
        );
        return question.answer("307 Temporary Redirect", &fields, b"");
    }
    let fields = format!(
        "{common}X-Linked-Size: {}\r\nX-Linked-ETag: \"{}\"\r\nX-Xet-Hash: abc\r\n\
         Link: <https://nowhere.example/x>; rel=\"xet-auth\"\r\nLocation: {content}/lfs/{name}/{file}?sig=x\r\n",
        found.bytes.len(),
        sha256(&found.bytes)
    );
    question.answer("302 Found", &fields, b"")
}

fn shows_token(question: &Question<'_>) -> bool {
    question.field("authorization") == Some(&format!("bearer {TOKEN}"))
}

fn refuse(question: &mut Question<'_>, status: &str, code: &str, text: &str) -> Then {
    let fields = format!("X-Error-Code: {code}\r\nX-Error-Message: {text}\r\n");
    let body = json!({ "error": text }).to_string();
    question.answer(status, &fields, body.as_bytes())
}

/// `NAME`, `NAME/revision/REV`, `NAME/tree/REV`, `NAME/refs` and `NAME/commits/REV`.
fn api(question: &mut Question<'_>, shared: &(Mutex<Conduct>, Condvar), path: &str) -> Then {
    let conduct = lock(shared);
    let meant = conduct.repositories.iter().find_map(|(name, kept)| {
        let rest = path.strip_prefix(name)?;
        (rest.is_empty() || rest.starts_with('/')).then(|| (*name, rest.to_owned(), kept.clone()))
    });
    drop(conduct);
    let Some((name, rest, (commit, files))) = meant else {
        return refuse(
            question,
            "401 Unauthorized",
            "RepoNotFound",
            "Repository not found",
        );
    };
    let words: Vec<_> = rest.split('/').skip(1).collect();
    if words.len() > 1 && !["main", &commit].contains(&words[1]) {
        return refuse(question, "404 Not Found", "RevisionNotFound", "no revision");
    }
    let mut fields = "Content-Type: application/json\r\nSet-Cookie: token=secret\r\n".to_owned();
    let told = match words.first() {
        None | Some(&"revision") => json!({
            "id": name.rsplit("datasets/").next(),
            "sha": commit,
            "private": false,
            "gated": false,
            "siblings": files.iter().map(|file| json!({"rfilename": file.path})).collect::<Vec<_>>(),
        }),
        Some(&"tree") => {
            // Two entries a page.
            let query = question.head.split(' ').nth(1).unwrap();
            let start = query.split("cursor=").nth(1);
            let start = start.map_or(0, |start| start.parse().unwrap());
            if files.len() > start + 2 {
                let host = question.field("host").unwrap();
                let next = format!("http://{host}/api/models/{name}{rest}?recursive=true");
                let next =
                    format!("{next}&cursor={}", start + 2).replace("models/datasets", "datasets");
                write!(fields, "Link: <{next}>; rel=\"next\"\r\n").unwrap();
            }
            files.iter().skip(start).take(2).map(entry).collect()
        }
        Some(&"refs") => json!({
            "branches": [{"name": "main", "ref": "refs/heads/main", "targetCommit": commit}],
            "tags": [],
            "converts": [],
        }),
        _ => json!([{
            "id": commit,
            "title": "first",
            "message": "",
            "authors": [{"user": "me"}],
            "date": "2026-01-02T03:04:05.000Z",
        }]),
    };
    question.answer("200 OK", &fields, told.to_string().as_bytes())
}

fn entry(file: &HubFile) -> Value {
    let size = file.bytes.len();
    let mut told =
        json!({"type": "file", "path": file.path, "size": size, "oid": git_oid(&file.bytes)});
    if file.is_lfs {
        told["oid"] = json!(git_oid(b"a pointer"));
        told["lfs"] = json!({"oid": sha256(&file.bytes), "size": size, "pointerSize": 130});
        told["xetHash"] = json!("abc");
    }
    told
}

/// Sends a body, or the part that is asked for, as the hub behaves now.
fn send(
    question: &mut Question<'_>,
    shared: &(Mutex<Conduct>, Condvar),
    bytes: &[u8],
    tag: &str,
) -> Then {
    let mut bytes = bytes.to_vec();
    let range = question.field("range");
    let start = range.map_or(0, |range| {
        let start = range.strip_prefix("bytes=").unwrap();
        start.split('-').next().unwrap().parse().unwrap()
    });
    let (cut, hold) = {
        let mut conduct = lock(shared);
        if conduct.is_down {
            return Then::Close;
        }
        if conduct.is_wrong
            && let Some(last) = bytes.last_mut()
        {
            *last = !*last;
        }
        (conduct.cuts.pop_front(), conduct.hold_at)
    };

    let mut head = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n",
        bytes.len() - start
    );
    if range.is_some() {
        let (last, size) = (bytes.len() - 1, bytes.len());
        head = head.replace("200 OK", "206 Partial Content");
        write!(head, "Content-Range: bytes {start}-{last}/{size}\r\n").unwrap();
    }
    question.say(format!("{head}ETag: {tag}\r\nAccept-Ranges: bytes\r\n\r\n"));
    if question.is("head ") {
        return Then::Again;
    }

    let place = cut
        .or(hold)
        .unwrap_or(bytes.len())
        .clamp(start, bytes.len());
    question.say(&bytes[start..place]);
    if cut.is_some() {
        return Then::Close;
    }
    if hold.is_some() {
        let mut conduct = lock(shared);
        conduct.held += 1;
        shared.1.notify_all();
        let waits = |conduct: &mut Conduct| conduct.hold_at.is_some() && !conduct.is_down;
        let (conduct, _) = shared
            .1
            .wait_timeout_while(conduct, DEADLINE, waits)
            .unwrap();
        if conduct.is_down {
            return Then::Close;
        }
    }
    question.say(&bytes[place..]);
    Then::Again
}
