// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A directory on its way into a change set of a server.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Mutex;
use std::time::SystemTime;

use crate::cli::terminal::{FolderProgress, Output, signals};
use crate::cli::verbs::signing::sign;
use crate::cli::verbs::transfer::tree::source_tree::{SourceTree, TreeSteps};
use crate::cli::verbs::transfer::tree::tree_wish::TreeWish;
use crate::client::{
    Client, Committed, RememberedDigests, RememberedSet, TransferEvents, TransferList,
    TransferNews, TransferOptions,
};
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{ModelName, Revision};
use crate::signature::Signature;
use crate::text::counted;
use crate::threads::lock;

/// A directory on its way.
pub(super) struct SentTree<'a> {
    pub(super) tree: &'a SourceTree,
    pub(super) client: &'a mut Client,
    pub(super) options: &'a TransferOptions,
    pub(super) digests: &'a mut RememberedDigests,
    pub(super) wish: &'a TreeWish,
    /// Bytes that travelled.
    pub(super) sent: u64,
    pub(super) output: &'a Output,
}

impl SentTree<'_> {
    /// Fills a change set and commits it.
    ///
    /// # Errors
    /// Those of the files, of the connection and of the server.
    pub(super) fn carry_out(
        &mut self,
        steps: &TreeSteps,
        expected: Option<Revision>,
    ) -> Result<Committed> {
        let server = self.client.identity();
        let root = &self.tree.root;
        let mut remembered = RememberedSet::open(self.client.home(), &server, root);

        let committed = self.go_on(steps, expected, &mut remembered);
        // What does not fit would fill the disk of the server until it expires.
        if matches!(&committed, Err(error) if error.kind() == ErrorKind::NoSpace)
            && self.client.abandon_change().is_ok()
        {
            remembered.clear();
        }
        committed
    }

    fn go_on(
        &mut self,
        steps: &TreeSteps,
        expected: Option<Revision>,
        remembered: &mut RememberedSet,
    ) -> Result<Committed> {
        let root = &self.tree.root;
        let total = steps.sent.iter().map(|(_, length)| *length);
        let total = total.fold(0, u64::saturating_add);
        let files = steps.sent.len() + steps.named.len();
        let mut progress = FolderProgress::start(self.output, &format!("{root}/"), files, total);
        let _phase = signals::Interruptible::resumable(self.client.shutdown());

        let mut staged = self.client.enter_change(root, remembered)?;
        // What an earlier command wanted and this one does not.
        let signed = steps.sent.iter().filter(|_| self.wish.key.is_some());
        let signatures = signed.map(|(name, _)| Signature::name_for(name));
        let signatures = signatures.collect::<Result<Vec<_>>>()?;
        let mut wanted: BTreeSet<&ModelName> = steps.sent.iter().map(|(name, _)| name).collect();
        wanted.extend(steps.named.iter().map(|(name, _)| name));
        wanted.extend(&signatures);
        if staged.keys().any(|name| !wanted.contains(name)) {
            self.client.abandon_change()?;
            remembered.clear();
            staged = self.client.enter_change(root, remembered)?;
        }

        for tries_left in (0..TRIES).rev() {
            self.fill(steps, &staged, &mut progress)?;
            let committed =
                self.client
                    .commit_change(expected, self.options.retries, &mut |event| {
                        progress.tell(usize::MAX, root.as_str(), &event.into());
                    });
            match committed {
                // Bytes were lost with the power, or others have removed them.
                Err(error) if error.kind() == ErrorKind::Conflict && tries_left > 0 => {
                    let now = self.client.staged_now()?;
                    if now.len() == wanted.len() {
                        return Err(error);
                    }
                    self.output.note(error.message());
                    staged = now;
                }
                committed => {
                    let committed = committed?;
                    remembered.clear();
                    check(&committed, wanted.len())?;
                    return Ok(committed);
                }
            }
        }
        Err(Error::new(ErrorKind::Busy, "the server loses what is sent"))
    }

    /// Brings into the set what is not in it.
    fn fill(
        &mut self,
        steps: &TreeSteps,
        staged: &BTreeMap<ModelName, Digest>,
        progress: &mut FolderProgress<'_>,
    ) -> Result<()> {
        progress.begin_again();
        let steps_left = self.steps_left(steps, staged, progress)?;
        let done = Mutex::new(BTreeMap::new());
        let (tree, wish, options) = (self.tree, self.wish, self.options);

        let mut failure = None;
        let list = TransferList {
            count: steps_left.len(),
            connections: wish.connections,
            work: &|client, number, events| {
                let sent = steps_left[number].run(client, tree, wish, options, events)?;
                lock(&done).extend(sent.map(|sent| (number, sent)));
                Ok(())
            },
            is_last: |_| true,
        };

        let ended = self.client.do_all(&list, &mut |number, news| {
            let step = &steps_left[number];
            let name = step.name();
            let file = tree.files.get(name);
            let size = file.map_or(0, |file| file.stamp.size);
            progress.tell(number, name.as_str(), &news);

            match news {
                // It was to be named only.
                TransferNews::Started { .. } if !matches!(step, SetStep::Send(_)) => {
                    progress.extend(size);
                }
                TransferNews::Done(Ok(())) => {
                    let sent = lock(&done).remove(&number);
                    if !matches!(step, SetStep::Remove(_)) {
                        progress.finish(number, sent.as_ref().map_or(0, |_| size));
                    }
                    if let (Some(sent), Some(file)) = (sent, file) {
                        self.sent += sent.bytes;
                        self.digests
                            .learn(&file.way, file.stamp, sent.digest, sent.begun);
                    }
                }
                TransferNews::Done(Err(error)) => failure = Some(about(name, error)),
                _ => {}
            }
            ControlFlow::Continue(())
        });
        failure.map_or(ended, Err)
    }

    /// What is to be done for the set to have all.
    fn steps_left<'s>(
        &mut self,
        steps: &'s TreeSteps,
        staged: &BTreeMap<ModelName, Digest>,
        progress: &mut FolderProgress<'_>,
    ) -> Result<Vec<SetStep<'s>>> {
        let mut steps_left = Vec::new();

        for (name, digest) in &steps.named {
            if staged.get(name) == Some(digest) {
                progress.skip(0);
            } else {
                steps_left.push(SetStep::Name(name, *digest));
            }
        }
        for (name, length) in &steps.sent {
            let file = self.tree.files.get(name);
            let is_there = match (staged.get(name), file) {
                (Some(staged), Some(file)) => self.tree.digest(file, self.digests)? == *staged,
                _ => false,
            };
            if is_there {
                progress.skip(*length);
            } else {
                steps_left.push(SetStep::Send(name));
            }
        }
        steps_left.extend(steps.removed.iter().map(SetStep::Remove));
        Ok(steps_left)
    }
}

/// What brings a name into the set.
enum SetStep<'s> {
    /// Its bytes are there.
    Name(&'s ModelName, Digest),
    Send(&'s ModelName),
    Remove(&'s ModelName),
}

/// A file that was sent.
struct SentFile {
    digest: Digest,
    /// Bytes that travelled.
    bytes: u64,
    /// When reading it began.
    begun: SystemTime,
}

impl SetStep<'_> {
    fn name(&self) -> &ModelName {
        match self {
            Self::Name(name, _) | Self::Send(name) | Self::Remove(name) => name,
        }
    }

    /// Does it; what was sent, if anything was.
    fn run(
        &self,
        client: &mut Client,
        tree: &SourceTree,
        wish: &TreeWish,
        options: &TransferOptions,
        events: TransferEvents<'_>,
    ) -> Result<Option<SentFile>> {
        let retries = options.retries;
        match self {
            Self::Remove(name) => {
                let mut remove = |client: &Client| client.stage_removal(name);
                return client
                    .persistently(retries, events, &mut remove)
                    .map(|()| None);
            }
            Self::Name(name, digest) => {
                let mut is_there = false;
                let modified = tree.files.get(*name).map(|file| file.stamp.modified);
                client.persistently(retries, events, &mut |client| {
                    is_there = client.stage_known(name, *digest, modified)?;
                    Ok(())
                })?;
                if is_there {
                    return Ok(None);
                }
            }
            Self::Send(_) => {}
        }

        let name = self.name();
        let Some(file) = tree.files.get(name) else {
            return Ok(None);
        };
        let opened = tree.local.open(file)?;
        let mut options = options.clone();
        if let Some(key) = &wish.key {
            let signature = sign::opened(key, &opened, name)?;
            put_signature(client, name, &signature)?;
            options.signature = Some(signature);
        }

        let begun = SystemTime::now();
        let stored = client.put_file(name, &opened, &options, events)?;
        Ok(Some(SentFile {
            digest: stored.digest,
            bytes: stored.sent,
            begun,
        }))
    }
}

/// Sends a signature, as a model beside its own. It comes first: a set that goes on later asks only for the model.
fn put_signature(client: &mut Client, name: &ModelName, signature: &Signature) -> Result<()> {
    let side = Signature::name_for(name)?;
    let text = signature.to_string();
    let length = Some(text.len() as u64);
    let stored = client.put(&side, &mut text.as_bytes(), length, &mut |_| {});
    stored.map(drop)
}

/// Names the file that an error is about, where the message does not.
fn about(name: &ModelName, error: Error) -> Error {
    if error.message().contains(name.as_str()) {
        return error;
    }

    let told = Error::new(error.kind(), format!("{name}: {}", error.message()));
    let told = match error.hint_text() {
        Some(hint) => told.hint(hint),
        None => told,
    };
    told.because(error)
}

/// Makes sure that a commit has all names that are in its set.
fn check(committed: &Committed, names: usize) -> Result<()> {
    let told = committed.published.saturating_add(committed.unchanged);
    if told >= names as u64 {
        return Ok(());
    }
    let names = counted(names as u64, "file");
    let text = format!("the server says that it has {told} of the {names} that were sent");
    Err(Error::new(ErrorKind::Integrity, text)
        .hint("'skep put --dry-run' shows what it does not have"))
}

/// How often lost bytes are sent again.
const TRIES: u32 = 3;
