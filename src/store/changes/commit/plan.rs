// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a commit would do: every rule of the store is asked, for all names together, and nothing is changed.

use std::collections::{BTreeMap, BTreeSet};

use crate::digest::Digest;
use crate::disk::FilePlace;
use crate::error::{Error, ErrorKind, Result};
use crate::model::ModelName;
use crate::store::catalog::{Catalog, Stamp, Standing};
use crate::store::changes::change::{Bytes, Change, Others};
use crate::store::changes::change_set::ChangeSet;
use crate::store::changes::commit::making_way::is_made;
use crate::store::claim::Condition;
use crate::store::failure::{unlisted, unstored};
use crate::store::rules::FolderBlocks;
use crate::store::versions;
use crate::text::counted;

/// What is to be done, by name.
pub(crate) struct CommitPlan {
    pub(crate) published: Vec<Planned>,
    pub(crate) removed: Vec<Gone>,
    /// Names that have the bytes already that they are to get.
    pub(crate) unchanged: usize,
    /// The folder of the set, if nothing has its name: it comes into being as a whole.
    pub(crate) new_folder: Option<ModelName>,
}

impl CommitPlan {
    /// Whether nothing would be done.
    pub(crate) fn is_nothing(&self) -> bool {
        self.published.is_empty() && self.removed.is_empty()
    }
}

/// A model that goes.
pub(crate) struct Gone {
    pub(crate) name: ModelName,
    pub(crate) stamp: Stamp,
    pub(crate) digest: Option<Digest>,
}

/// A name that gets bytes.
pub(crate) struct Planned {
    pub(crate) name: ModelName,
    pub(crate) bytes: Bytes,
    /// Where the bytes are, if they are not in the set.
    pub(crate) source: Option<FilePlace>,
    /// What it replaces.
    pub(crate) current: Option<Stamp>,
    /// The digest of that, where it is known.
    pub(crate) replaced: Option<Digest>,
    /// Whether others have to go before it can have its name.
    pub(crate) waits: bool,
}

/// Looks at every name of a set, with the names locked.
///
/// # Errors
/// `Conflict` if a name cannot be a model, or if bytes are not there any more; `NoSpace` for the bounds of the
/// store; otherwise those of the file system.
pub(crate) fn plan(catalog: &Catalog, set: &ChangeSet, others: Others) -> Result<CommitPlan> {
    let mut plan = CommitPlan {
        published: Vec::new(),
        removed: Vec::new(),
        unchanged: 0,
        new_folder: None,
    };

    plan.removed = removed(catalog, set, others)?;
    let leaving = plan.removed.iter().map(|gone| gone.name.clone()).collect();

    for (name, change) in &set.entries {
        let Some(bytes) = change.bytes() else {
            continue;
        };
        let waits = is_made(catalog, name, &leaving).map_err(unlisted)?;
        let current = if waits {
            None
        } else {
            catalog.judge(name, &Condition::Any, None)?
        };

        let known = current.and_then(|stamp| catalog.index.find(name, &stamp));
        if known == Some(bytes.digest) {
            plan.unchanged += 1;
            continue;
        }

        catalog.check_replace(name, &Condition::Any, current)?;
        plan.published.push(Planned {
            name: name.clone(),
            bytes: bytes.clone(),
            source: None,
            current,
            replaced: known,
            waits,
        });
    }

    find_sources(catalog, set, &mut plan)?;
    check_bounds(catalog, &plan)?;
    if let Some(root) = &set.request.root
        && !plan.published.is_empty()
        && is_free(catalog, root)?
    {
        plan.new_folder = Some(root.clone());
    }
    Ok(plan)
}

/// The models that go: those that are to go by their names, and those that are not in the set.
fn removed(catalog: &Catalog, set: &ChangeSet, others: Others) -> Result<Vec<Gone>> {
    let mut removed = Vec::new();
    let mut remove = |name: &ModelName| -> Result<()> {
        // What is no model has nothing that could go.
        if let Standing::Model(stamp) = catalog.standing(name)? {
            removed.push(gone(catalog, name, stamp));
        }
        Ok(())
    };

    for (name, change) in &set.entries {
        if change.bytes().is_none() {
            remove(name)?;
        }
    }
    if others == Others::Remove {
        for name in catalog.members(set.request.root.as_ref())? {
            if !set.entries.contains_key(&name) {
                remove(&name)?;
            }
        }
    }
    Ok(removed)
}

/// Whether nothing has the name of a folder.
fn is_free(catalog: &Catalog, root: &ModelName) -> Result<bool> {
    Ok(match catalog.standing(root)? {
        Standing::Nothing => true,
        Standing::Model(_) => false,
        // A power cut can leave a folder whose last model is gone.
        Standing::Other(_) => catalog.layout.remove_empty_folder(root),
    })
}

fn gone(catalog: &Catalog, name: &ModelName, stamp: Stamp) -> Gone {
    Gone {
        name: name.clone(),
        stamp,
        digest: catalog.index.find(name, &stamp),
    }
}

/// Finds the bytes that were only named.
fn find_sources(catalog: &Catalog, set: &ChangeSet, plan: &mut CommitPlan) -> Result<()> {
    let is_known = |name: &ModelName| matches!(set.entries.get(name), Some(Change::Known(_)));
    let wanted = plan.published.iter().filter(|one| is_known(&one.name));
    let wanted: BTreeSet<[u8; 32]> = wanted.map(|one| *one.bytes.digest.as_bytes()).collect();
    if wanted.is_empty() {
        return Ok(());
    }

    let sources = sources(catalog, wanted)?;
    let mut missing = Vec::new();
    for one in plan.published.iter_mut().filter(|one| is_known(&one.name)) {
        one.source = sources.get(one.bytes.digest.as_bytes()).cloned();
        if one.source.is_none() {
            missing.push(one.name.as_str());
        }
    }

    let Some(first) = missing.first() else {
        return Ok(());
    };
    let mut text = format!("the bytes of '{first}' are not here any more");
    if missing.len() > 1 {
        let others = counted(missing.len() as u64 - 1, "other name");
        text += &format!(", nor those of {others} of this change set");
    }
    Err(Error::new(ErrorKind::Conflict, text).hint("send them, and commit again"))
}

/// Where the bytes with these digests are, as far as they are here.
///
/// # Errors
/// Those of the file system.
pub(crate) fn sources(
    catalog: &Catalog,
    mut wanted: BTreeSet<[u8; 32]>,
) -> Result<BTreeMap<[u8; 32], FilePlace>> {
    let mut found = BTreeMap::new();

    for (name, stamp, digest) in catalog.index.having(&wanted) {
        // What the index says holds for a file that has this stamp.
        let Ok(place) = catalog.layout.place(&name) else {
            continue;
        };
        if place.facts().is_ok_and(|facts| Stamp::of(facts) == stamp) {
            wanted.remove(digest.as_bytes());
            found.insert(*digest.as_bytes(), place);
        }
    }

    if !wanted.is_empty() {
        found.extend(versions::places_of(catalog, &wanted).map_err(unlisted)?);
    }
    Ok(found)
}

/// Whether the store may become what the plan makes of it.
fn check_bounds(catalog: &Catalog, plan: &CommitPlan) -> Result<()> {
    let options = &catalog.options;
    if options.models_max == 0 && options.total_bytes_max == 0 {
        return Ok(());
    }

    let check = || {
        check_number(catalog, plan)?;
        check_total(catalog, plan)
    };
    catalog.counted_anew(&check)
}

fn check_number(catalog: &Catalog, plan: &CommitPlan) -> Result<()> {
    let max = catalog.options.models_max as u64;
    let added = plan.published.iter().filter(|one| one.current.is_none());
    let (mut added, mut kept) = (added.count() as u64, 0);
    if catalog.options.versions_max > 0 {
        kept = plan.removed.len() as u64;
    }

    // Whatever comes back under the name of a removed model takes its place.
    for one in plan.published.iter().filter(|one| one.current.is_none()) {
        added -= versions::kept_of(&catalog.layout, &one.name)
            .removed
            .min(added);
    }

    let models = catalog.layout.models().map_err(unstored)?.len() as u64;
    let removed = catalog.version_count.kept().removed;
    let after = (models + removed + added + kept).saturating_sub(plan.removed.len() as u64);
    if max == 0 || after <= max || added == 0 {
        return Ok(());
    }

    let text = format!(
        "this server keeps at most {}, and there would be {after}, counting removed ones with old \
         versions",
        counted(max, "model")
    );
    Err(Error::new(ErrorKind::NoSpace, text)
        .hint("remove models that are not needed any more, or raise max-models"))
}

fn check_total(catalog: &Catalog, plan: &CommitPlan) -> Result<()> {
    let max = catalog.options.total_bytes_max;
    if max == 0 {
        return Ok(());
    }

    let changed = plan.published.iter();
    let changed = changed.map(|one| (&one.name, one.current, Some(one.bytes.size)));
    let removed = plan.removed.iter();
    let changed = changed.chain(removed.map(|gone| (&gone.name, Some(gone.stamp), None)));

    let models = catalog.layout.models().map_err(unstored)?;
    let sizes = models.iter().map(|(_, stamp)| versions::charge(stamp.size));
    let kept = catalog.version_count.kept().bytes;
    let (mut after, mut old) = (sizes.fold(0, u64::saturating_add), kept);
    for (name, current, size) in changed {
        let current = current.map(|stamp| stamp.size);
        let with_own = versions::total_after(catalog, name, current).map_err(unstored)?;
        old = (old + with_own).saturating_sub(kept);
        after = after.saturating_add(size.map_or(0, versions::charge));
        after = after.saturating_sub(current.map_or(0, versions::charge));
    }

    let names = models.iter().map(|(name, _)| name);
    let beside = folders_after(catalog, plan, names).bytes();
    if after.saturating_add(old).saturating_add(beside) <= max || plan.published.is_empty() {
        return Ok(());
    }
    let text = format!(
        "the quota of {} does not suffice: {after} would be used by models, {old} by old versions, and \
         {beside} by folders and descriptions",
        counted(max, "byte")
    );
    Err(Error::new(ErrorKind::NoSpace, text).hint(
        "remove models and old versions that are not needed any more, or raise max-total-bytes",
    ))
}

/// The folders that there will be, where these are the models now.
fn folders_after<'a>(
    catalog: &Catalog,
    plan: &CommitPlan,
    models: impl Iterator<Item = &'a ModelName>,
) -> FolderBlocks {
    let mut folders = FolderBlocks::beside(&catalog.layout);
    let removed: BTreeSet<&ModelName> = plan.removed.iter().map(|gone| &gone.name).collect();
    for name in models.filter(|name| !removed.contains(name)) {
        folders.add_model(name);
    }

    let keeps = catalog.options.versions_max > 0;
    for one in &plan.published {
        folders.add_model(&one.name);
        if !one.bytes.metadata.is_empty() || one.bytes.signature.is_some() {
            folders.add_description(&one.name);
        }
        if keeps && one.current.is_some() {
            folders.add_version(&one.name);
        }
    }
    for gone in plan.removed.iter().filter(|_| keeps) {
        folders.add_version(&gone.name);
    }
    folders
}

/// Whether bytes with this digest are here.
///
/// # Errors
/// Those of the file system.
pub(crate) fn size_of(catalog: &Catalog, digest: Digest) -> Result<Option<u64>> {
    let wanted = BTreeSet::from([*digest.as_bytes()]);
    let found = sources(catalog, wanted)?.remove(digest.as_bytes());
    let facts = found.and_then(|place| place.facts().ok());
    Ok(facts.map(|facts| facts.size))
}
