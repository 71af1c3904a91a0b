// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Models on their way into a directory, several at a time; told of in the order of their paths.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Mutex;

use serde_json::{Value, json};

use crate::cli::terminal::{FolderProgress, Output, ends_all, signals};
use crate::cli::verbs::signing::tell;
use crate::cli::verbs::transfer::saved;
use crate::client::{
    Client, Fetched, Proof, TargetTree, TransferEvents, TransferList, TransferNews,
    TransferOptions, digest_of,
};
use crate::error::{Error, ErrorKind, Result};
use crate::model::Model;
use crate::signature::Signature;
use crate::threads::lock;

/// Where models go.
pub(super) struct TreeTarget<'a> {
    /// What goes there, for people.
    pub(super) shown: &'a str,
    pub(super) directory: &'a Path,
    pub(super) tree: &'a TargetTree,
    pub(super) connections: usize,
    /// Whether all come from the revision that the folder had at the beginning.
    pub(super) is_pinned: bool,
}

/// What was fetched so far.
pub(super) struct FetchedTree<'a> {
    target: TreeTarget<'a>,
    models: &'a [(String, Model)],
    output: &'a Output,
    /// What was told in JSON.
    pub(super) files: Vec<Value>,
    pub(super) unchanged: u64,
    /// The first model that was not told of.
    next: usize,
    /// Models that have ended before others that come first.
    early: BTreeMap<usize, Result<FetchedModel>>,
}

/// A model that is there now.
enum FetchedModel {
    Fetched(Fetched, Option<Box<Signature>>),
    /// It was there before.
    Kept,
}

impl<'a> FetchedTree<'a> {
    /// Fetches all of the models, which are sorted by the paths at which they are saved. Failures are told of,
    /// and others go on unless they would fail in the same way.
    ///
    /// # Errors
    /// `Interrupted` if the client was stopped.
    pub(super) fn fetch(
        target: TreeTarget<'a>,
        models: &'a [(String, Model)],
        client: &mut Client,
        options: &TransferOptions,
        output: &'a Output,
    ) -> Result<Self> {
        let bytes = models.iter().map(|(_, model)| model.size);
        let bytes = bytes.fold(0, u64::saturating_add);
        let _resumable = signals::Interruptible::resumable(client.shutdown());
        let mut progress = FolderProgress::start(output, target.shown, models.len(), bytes);

        let tree = target.tree;
        let done = Mutex::new(BTreeMap::new());
        let list = TransferList {
            count: models.len(),
            connections: target.connections,
            work: &|client, number, events| {
                let (way, model) = &models[number];
                let mut options = options.clone();
                // What a folder had in a revision is known; of what it has now, others may send more.
                options.digest = model.digest.filter(|_| client.has_revision());
                let fetched = fetch_one(way, model, tree, client, options, events)?;
                lock(&done).insert(number, fetched);
                Ok(())
            },
            is_last: ends_all,
        };

        let mut fetched = Self {
            target,
            models,
            output,
            files: Vec::new(),
            unchanged: 0,
            next: 0,
            early: BTreeMap::new(),
        };
        let ended = client.do_all(&list, &mut |number, news| {
            let model = &models[number].1;
            progress.tell(number, model.name.as_str(), &news);
            let TransferNews::Done(result) = news else {
                return ControlFlow::Continue(());
            };
            progress.finish(number, model.size);
            let result = result.map(|()| lock(&done).remove(&number));
            fetched
                .early
                .extend(result.transpose().map(|result| (number, result)));
            fetched.tell_in_order(&progress)
        });

        // What the end of all has left out is no reason to keep silent of what is there.
        while let Some((number, _)) = fetched.early.first_key_value() {
            fetched.next = *number;
            if fetched.tell_in_order(&progress).is_break() {
                break;
            }
        }
        ended.map(|()| fetched)
    }

    /// Tells of what has no unfinished models before it.
    fn tell_in_order(&mut self, progress: &FolderProgress<'_>) -> ControlFlow<()> {
        while let Some(result) = self.early.remove(&self.next) {
            let (way, model) = &self.models[self.next];
            self.next += 1;

            progress.aside(|| {
                let told = result.and_then(|fetched| self.tell(way, model, &fetched));
                if let Err(error) = told {
                    let error = self.explained(error);
                    let _ = self.output.failed_at(model.name.as_str(), &error);
                }
            });
            // Nobody reads on (`skep get me/ | head`).
            if self.output.is_closed() {
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }

    /// Says what has happened where a revision that nobody asked for is gone.
    fn explained(&self, error: Error) -> Error {
        if error.kind() != ErrorKind::RevisionGone || !self.target.is_pinned {
            return error;
        }
        let text = "the folder has changed since the command began, and this is not kept";
        Error::new(ErrorKind::RevisionGone, text)
            .hint("fetch it again: what is here already does not travel twice")
    }

    fn tell(&mut self, way: &str, model: &Model, fetched: &FetchedModel) -> Result<()> {
        let (path, output) = (self.target.directory.join(way), self.output);
        let FetchedModel::Fetched(fetched, signature) = fetched else {
            self.unchanged += 1;
            let digest = model.digest.map(|digest| format!("{digest:?}"));
            let file = json!({
                "name": model.name.as_str(),
                "path": path.display().to_string(),
                "size": model.size,
                "digest": digest,
                "received": 0,
                "resumed_at": null,
                "unchanged": true,
            });
            return self.keep(file);
        };

        if let Some(signature) = signature {
            tell(output, model.name.as_str(), signature);
        }
        if fetched.proof == Proof::Nothing {
            saved::unverified(&model.name, output);
        }
        self.unchanged += u64::from(fetched.proof == Proof::Unchanged);
        self.keep(saved::value(&model.name, &path, fetched))?;
        output.done(&path.display().to_string())
    }

    /// Keeps what is told of a file, also for a signal that ends the command.
    fn keep(&mut self, file: Value) -> Result<()> {
        self.output.json_item(&file)?;
        self.files.push(file);
        Ok(())
    }
}

fn fetch_one(
    way: &str,
    model: &Model,
    tree: &TargetTree,
    client: &mut Client,
    mut options: TransferOptions,
    events: TransferEvents<'_>,
) -> Result<FetchedModel> {
    if is_there(tree, way, model, &options) {
        return Ok(FetchedModel::Kept);
    }

    // A signature is checked with what it is for, and has none of its own.
    if Signature::is_name(&model.name) {
        options.signer = None;
    }
    if options.signer.is_some() {
        options.signature = Some(client.signature(&model.name)?);
    }
    let place = tree.made(way)?;
    let fetched = client.fetch_at(&model.name, place, &options, events)?;
    let signature = options.signature.map(Box::new);
    Ok(FetchedModel::Fetched(fetched, signature))
}

/// Whether a file has the bytes of a model already, as far as the list tells. Who signed them is another
/// question.
pub(super) fn is_there(
    tree: &TargetTree,
    way: &str,
    model: &Model,
    options: &TransferOptions,
) -> bool {
    let Ok(Some(place)) = tree.file(way) else {
        return false;
    };
    let has_size = place.facts().is_ok_and(|facts| facts.size == model.size);
    options.signer.is_none()
        && has_size
        && model.digest.is_some()
        && digest_of(&place) == model.digest
}
