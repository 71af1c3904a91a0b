// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A directory of this device beside a folder of a server: what has to be done to make them equal.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::{Value, json};

use crate::cli::terminal::{Output, ShownItem, size};
use crate::cli::verbs::transfer::tree::tree_wish::TreeWish;
use crate::client::{HiddenFiles, LocalFile, LocalTree, RememberedDigests};
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Model, ModelName, Revision};
use crate::signature::Signature;
use crate::text::{composed, counted};

/// A directory and the folder that it becomes.
pub(super) struct SourceTree {
    pub(super) directory: PathBuf,
    pub(super) root: ModelName,
    pub(super) local: LocalTree,
    /// Its files by the names that they get.
    pub(super) files: BTreeMap<ModelName, LocalFile>,
}

impl ShownItem for SourceTree {
    fn shown(&self) -> String {
        self.directory.display().to_string()
    }
}

impl SourceTree {
    pub(super) fn read(
        directory: &Path,
        root: ModelName,
        wish: &TreeWish,
        output: &Output,
    ) -> Result<Self> {
        let mut local = LocalTree::read(directory, wish.hidden, wish.follows_links)?;
        for (path, reason) in &local.left_out {
            let path = directory.join(path);
            output.incomplete(&format!("{} {reason} and is not sent", path.display()));
        }
        if local.hidden > 0 {
            let files = counted(local.hidden as u64, "hidden file or folder");
            output.note(&format!("{files} left out (--hidden)"));
        }

        let (mut files, mut wrong) = (BTreeMap::new(), Vec::new());
        for file in std::mem::take(&mut local.files) {
            let name: Result<ModelName> = format!("{root}/{}", file.way).parse();
            match name {
                Ok(name) => drop(files.insert(name, file)),
                Err(error) => wrong.push(error.message().to_owned()),
            }
        }
        check_names(directory, &wrong)?;
        if files.is_empty() {
            let text = format!(
                "there are no files in the directory {}",
                directory.display()
            );
            return Err(Error::new(ErrorKind::Usage, text).hint("hidden files need --hidden"));
        }

        Ok(Self {
            directory: directory.to_owned(),
            root,
            local,
            files,
        })
    }

    /// Finds out what has to be done.
    pub(super) fn compare(
        &self,
        there: &FolderThere,
        wish: &TreeWish,
        digests: &mut RememberedDigests,
    ) -> Result<TreeSteps> {
        let mut steps = TreeSteps::default();

        for (name, file) in &self.files {
            let model = there.models.get(&composed(name.as_str()));
            let is_same_size = model.is_some_and(|model| model.size == file.stamp.size);
            let is_elsewhere = there.sizes.contains(&file.stamp.size);

            // A file is read for its digest only where the server has something of its size.
            let digest = if is_same_size || is_elsewhere {
                Some(self.digest(file, digests)?)
            } else {
                None
            };
            let is_same = digest.is_some() && model.and_then(|model| model.digest) == digest;
            let is_unchanged = is_same && (wish.key.is_none() || there.has_signature(name));

            if is_unchanged && !wish.sends_always {
                steps.unchanged += 1;
            } else if let Some(digest) =
                digest.filter(|digest| there.digests.contains(digest.as_bytes()))
                && wish.key.is_none()
                && !wish.sends_always
            {
                steps.named.push((name.clone(), digest));
            } else {
                steps.sent.push((name.clone(), file.stamp.size));
            }
        }

        if wish.removes {
            let signed = self.files.keys().filter(|_| wish.key.is_some());
            let signatures = signed.filter_map(|name| Signature::name_for(name).ok());
            let own: BTreeSet<String> = self
                .files
                .keys()
                .map(|name| composed(name.as_str()))
                .chain(signatures.map(|name| composed(name.as_str())))
                .collect();
            let gone = there.models.iter().filter(|(name, model)| {
                // What is left out here is left alone there.
                let way = &model.name.as_str()[self.root.as_str().len() + 1..];
                let is_hidden = way.split('/').any(|segment| segment.starts_with('.'));
                !own.contains(*name)
                    && (!is_hidden || wish.hidden == HiddenFiles::Meant)
                    && !self.is_left_out(way)
            });
            steps.removed = gone.map(|(_, model)| model.name.clone()).collect();
        }
        Ok(steps)
    }

    /// The names of the models that the files become, in one form of Unicode: the server may have the other one.
    pub(super) fn composed_names(&self) -> BTreeSet<String> {
        let names = self.files.keys();
        names.map(|name| composed(name.as_str())).collect()
    }

    /// Whether something is here under a path, or in the place of a folder of it, that is not sent.
    fn is_left_out(&self, way: &str) -> bool {
        let way = composed(way);
        let mut left_out = self.local.left_out.iter();
        left_out.any(|(left, _)| {
            let rest = way.strip_prefix(composed(left).as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }

    pub(super) fn digest(
        &self,
        file: &LocalFile,
        digests: &mut RememberedDigests,
    ) -> Result<Digest> {
        if let Some(digest) = digests.find(&file.way, file.stamp) {
            return Ok(digest);
        }
        let begun = SystemTime::now();
        let digest = Digest::of_reader(self.local.open(file)?)
            .map_err(|error| Error::local(format!("reading {}", file.way), error))?;
        digests.learn(&file.way, file.stamp, digest, begun);
        Ok(digest)
    }
}

/// Refuses a directory with names that no model can have, all of them at once.
fn check_names(directory: &Path, wrong: &[String]) -> Result<()> {
    if wrong.is_empty() {
        return Ok(());
    }

    let mut text = wrong[..wrong.len().min(WRONG_SHOWN_MAX)].join("; ");
    if wrong.len() > WRONG_SHOWN_MAX {
        let others = counted((wrong.len() - WRONG_SHOWN_MAX) as u64, "other file");
        text += &format!("; and {others}");
    }
    let directory = directory.display();
    let text =
        format!("{directory} has files that no model can be called like: {text}; nothing was sent");
    Err(Error::new(ErrorKind::Usage, text).hint("rename them, or move them out of the directory"))
}

const WRONG_SHOWN_MAX: usize = 10;

/// What the server has in a folder.
pub(super) struct FolderThere {
    /// By composed names: both forms of Unicode are one name.
    models: BTreeMap<String, Model>,
    digests: BTreeSet<[u8; 32]>,
    /// The sizes of models whose digests are known.
    sizes: BTreeSet<u64>,
    pub(super) revision: Option<Revision>,
}

impl FolderThere {
    pub(super) fn of(mut models: Vec<Model>, root: &ModelName) -> Self {
        models.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        let start = root.as_str().len() + 1;
        let members = models.iter().map(|model| {
            let digest = model.digest?;
            Some((&model.name.as_str()[start..], digest))
        });
        // Only where all digests are known, there is a revision.
        let members: Option<Vec<_>> = members.collect();
        let revision = members.map(|members| Revision::of(members.into_iter()));

        let known = || {
            models
                .iter()
                .filter_map(|model| Some((model, model.digest?)))
        };
        let digests = known().map(|(_, digest)| *digest.as_bytes()).collect();
        let sizes = known().map(|(model, _)| model.size).collect();
        Self {
            digests,
            sizes,
            revision,
            models: models
                .into_iter()
                .map(|model| (composed(model.name.as_str()), model))
                .collect(),
        }
    }
}

impl FolderThere {
    /// Whether a signature stands beside a model.
    fn has_signature(&self, name: &ModelName) -> bool {
        let side = Signature::name_for(name);
        side.is_ok_and(|side| self.models.contains_key(&composed(side.as_str())))
    }
}

/// What has to be done.
#[derive(Default)]
pub(super) struct TreeSteps {
    /// Names and sizes of what has to travel.
    pub(super) sent: Vec<(ModelName, u64)>,
    /// Names that get bytes which the server has.
    pub(super) named: Vec<(ModelName, Digest)>,
    pub(super) removed: Vec<ModelName>,
    pub(super) unchanged: usize,
}

impl TreeSteps {
    pub(super) fn is_nothing(&self) -> bool {
        self.sent.is_empty() && self.named.is_empty() && self.removed.is_empty()
    }

    /// Says what would be done.
    pub(super) fn tell(&self, root: &ModelName, output: &Output) -> Result<Value> {
        for (name, length) in &self.sent {
            output.line(&format!("would send {name}  {}", size(*length)))?;
        }
        for (name, _) in &self.named {
            output.line(&format!("would name {name}  its bytes are there"))?;
        }
        for name in &self.removed {
            output.line(&format!("would remove {name}"))?;
        }

        let bytes = self.sent.iter().map(|(_, length)| *length);
        let bytes = bytes.fold(0, u64::saturating_add);
        let models = counted(self.sent.len() as u64, "model");
        output.note(&format!(
            "{models} ({}) to send, {} to name, {} to remove, {} unchanged; nothing was done",
            size(bytes),
            self.named.len(),
            self.removed.len(),
            self.unchanged
        ));

        let names = |names: &mut dyn Iterator<Item = &ModelName>| -> Vec<String> {
            names.map(ToString::to_string).collect()
        };
        Ok(json!({
            "name": format!("{root}/"),
            "send": names(&mut self.sent.iter().map(|(name, _)| name)),
            "known": names(&mut self.named.iter().map(|(name, _)| name)),
            "remove": names(&mut self.removed.iter()),
            "same": self.unchanged,
        }))
    }
}
