// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A directory on its way into a change set of a server.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use crate::cli::terminal::{Output, Progress, signals};
use crate::cli::verbs::signing::sign;
use crate::cli::verbs::transfer::tree::source_tree::{SourceTree, TreeSteps};
use crate::client::{
    Client, Committed, RememberedDigests, RememberedSet, TransferEvent, TransferOptions,
};
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{ModelName, Revision};
use crate::signature::SecretKey;
use crate::text::counted;

/// A directory on its way.
pub(super) struct SentTree<'a> {
    pub(super) tree: &'a SourceTree,
    pub(super) client: &'a mut Client,
    pub(super) options: &'a mut TransferOptions,
    pub(super) digests: &'a mut RememberedDigests,
    pub(super) key: Option<&'a SecretKey>,
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
        let shown = format!("{root}/ ({})", counted(steps.sent.len() as u64, "file"));
        let mut progress = Progress::start(self.output, &shown, Some(total));
        let _phase = signals::Interruptible::resumable(self.client.shutdown());

        let mut staged = self.client.enter_change(root, remembered)?;
        // What an earlier command wanted and this one does not.
        let mut wanted: BTreeSet<&ModelName> = steps.sent.iter().map(|(name, _)| name).collect();
        wanted.extend(steps.named.iter().map(|(name, _)| name));
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
                        progress.tell(&event);
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
                    if committed.is_ok() {
                        remembered.clear();
                    }
                    return committed;
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
        progress: &mut Progress<'_>,
    ) -> Result<()> {
        let mut left = steps.sent.clone();
        for (name, digest) in &steps.named {
            if staged.get(name) == Some(digest) || self.client.stage_known(name, *digest)? {
                continue;
            }
            let length = self.tree.files.get(name).map_or(0, |file| file.stamp.size);
            left.push((name.clone(), length));
        }

        for (name, _) in &left {
            self.file(name, staged.get(name).copied(), progress)?;
        }
        for name in &steps.removed {
            self.client.stage_removal(name)?;
        }
        Ok(())
    }

    fn file(
        &mut self,
        name: &ModelName,
        staged: Option<Digest>,
        progress: &mut Progress<'_>,
    ) -> Result<()> {
        let Some(file) = self.tree.files.get(name) else {
            return Ok(());
        };
        if let Some(staged) = staged
            && self.tree.digest(file, self.digests)? == staged
        {
            progress.advance(file.stamp.size);
            return Ok(());
        }

        let opened = self.tree.local.open(file)?;
        self.options.signature = match self.key {
            Some(key) => Some(sign::opened(key, &opened, name)?),
            None => None,
        };
        let (begun, before) = (SystemTime::now(), progress.done());
        let stored =
            self.client
                .put_file(name, &opened, self.options, &mut |event| match event {
                    TransferEvent::Started { at, .. } => progress.go_to(before + at),
                    TransferEvent::Progress(done) => progress.go_to(before + done),
                    other => progress.tell(&other),
                })?;
        progress.go_to(before + file.stamp.size);

        self.sent += stored.sent;
        self.digests
            .learn(&file.way, file.stamp, stored.digest, begun);
        Ok(())
    }
}

/// How often lost bytes are sent again.
const TRIES: u32 = 3;
