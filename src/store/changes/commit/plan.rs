// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a commit would do: every rule of the store is asked, for all names together, and nothing is changed.

use std::collections::{BTreeMap, BTreeSet};

use crate::digest::Digest;
use crate::disk::FilePlace;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{ModelName, charge};
use crate::store::blobs::ProvenVersions;
use crate::store::catalog::{Catalog, Stamp, Standing};
use crate::store::changes::change::{Change, Others};
use crate::store::changes::change_set::ChangeSet;
use crate::store::changes::commit::assembled::new_folder;
use crate::store::changes::commit::commit_plan::{CommitPlan, Gone, Planned};
use crate::store::changes::commit::making_way::is_made;
use crate::store::claim::Condition;
use crate::store::failure::{unlisted, unstored};
use crate::store::rules::FolderBlocks;
use crate::store::versions::{self, VersionRoom};
use crate::text::counted;

/// Looks at every name of a set, with the names locked; `proven` is what [`known_versions`] found before.
///
/// # Errors
/// `Conflict` if a name cannot be a model, or if bytes are not there any more; `NoSpace` for the bounds of the
/// store; otherwise those of the file system.
pub(crate) fn plan(
    catalog: &Catalog,
    set: &ChangeSet,
    others: Others,
    proven: &ProvenVersions,
) -> Result<CommitPlan> {
    let mut plan = CommitPlan {
        published: Vec::new(),
        removed: Vec::new(),
        unchanged: 0,
        described: Vec::new(),
        new_folder: None,
        exchange: None,
        keeps_versions: false,
        room: VersionRoom::UNBOUNDED,
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
            if !bytes.metadata.is_empty() || bytes.signature.is_some() {
                plan.described.push((name.clone(), bytes.clone()));
            }
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

    find_sources(catalog, set, &mut plan, proven)?;
    plan.room = check_bounds(catalog, &plan)?;
    let replaced = plan.published.iter().filter_map(|one| one.current);
    let gone = plan.removed.iter().map(|gone| gone.stamp);
    let old = replaced.chain(gone).map(|stamp| stamp.size);
    plan.keeps_versions = catalog.keeps_versions(old, plan.room);
    if !plan.published.is_empty()
        && let Some(common) = ModelName::common_folder(plan.names())
    {
        plan.new_folder = new_folder(catalog, &common)?;
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

fn gone(catalog: &Catalog, name: &ModelName, stamp: Stamp) -> Gone {
    Gone {
        name: name.clone(),
        stamp,
        digest: catalog.index.find(name, &stamp),
    }
}

/// Finds the bytes that were only named.
fn find_sources(
    catalog: &Catalog,
    set: &ChangeSet,
    plan: &mut CommitPlan,
    proven: &ProvenVersions,
) -> Result<()> {
    let is_known = |name: &ModelName| matches!(set.entries.get(name), Some(Change::Known(_)));
    let wanted = plan.published.iter().filter(|one| is_known(&one.name));
    let wanted: BTreeSet<[u8; 32]> = wanted.map(|one| *one.bytes.digest.as_bytes()).collect();
    if wanted.is_empty() {
        return Ok(());
    }

    let mut sources = BTreeMap::new();
    for digest in present(catalog, wanted, &mut sources) {
        // Nobody may have put other bytes there since they were read.
        if let Some((place, stamp)) = proven.get(&digest)
            && let Ok(now) = place.facts().map(Stamp::of)
            && (now == *stamp || now.is_linked_since(stamp))
        {
            sources.insert(digest, place.clone());
        }
    }

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

/// The old versions with bytes that a set only names, which are read if that was not done just now. That may
/// take long, and comes before the names are locked.
///
/// # Errors
/// Those of the file system.
pub(crate) fn known_versions(catalog: &Catalog, set: &ChangeSet) -> Result<ProvenVersions> {
    let wanted = set.entries.values().filter_map(|change| match change {
        Change::Known(bytes) => Some(*bytes.digest.as_bytes()),
        Change::Sent(_) | Change::Removal => None,
    });
    let wanted = present(catalog, wanted.collect(), &mut BTreeMap::new());
    catalog.proven_versions(&wanted)
}

/// Where the bytes with these digests are, as far as they are here; old versions are read for that.
///
/// # Errors
/// Those of the file system.
pub(crate) fn sources(
    catalog: &Catalog,
    wanted: BTreeSet<[u8; 32]>,
) -> Result<BTreeMap<[u8; 32], FilePlace>> {
    let mut found = BTreeMap::new();
    let wanted = present(catalog, wanted, &mut found);
    let proven = catalog.proven_versions(&wanted)?;
    found.extend(
        proven
            .into_iter()
            .map(|(digest, (place, _))| (digest, place)),
    );
    Ok(found)
}

/// The digests among these of which no bytes are here, by what is known of models and by the names of old
/// versions, which are not read for that.
///
/// # Errors
/// Those of the file system.
pub(crate) fn absent(catalog: &Catalog, wanted: BTreeSet<[u8; 32]>) -> Result<BTreeSet<[u8; 32]>> {
    let mut absent = present(catalog, wanted, &mut BTreeMap::new());
    if !absent.is_empty() {
        for digest in versions::places_of(catalog, &absent)
            .map_err(unlisted)?
            .keys()
        {
            absent.remove(digest);
        }
        for digest in catalog
            .objects
            .places(catalog.layout.hidden(), &absent)
            .keys()
        {
            absent.remove(digest);
        }
    }
    Ok(absent)
}

/// Finds the models that have these digests; returns those that none has.
fn present(
    catalog: &Catalog,
    mut wanted: BTreeSet<[u8; 32]>,
    found: &mut BTreeMap<[u8; 32], FilePlace>,
) -> BTreeSet<[u8; 32]> {
    if wanted.is_empty() {
        return wanted;
    }
    for (name, _, digest) in catalog.index.having(&wanted) {
        // What the index says holds for a file that has this stamp.
        let Ok(place) = catalog.layout.place(&name) else {
            continue;
        };
        let facts = place.facts();
        if facts.is_ok_and(|facts| catalog.index.find(&name, &Stamp::of(facts)) == Some(digest)) {
            wanted.remove(digest.as_bytes());
            found.insert(*digest.as_bytes(), place);
        }
    }
    wanted
}

/// Whether the store may become what the plan makes of it; returns what versions may take then.
fn check_bounds(catalog: &Catalog, plan: &CommitPlan) -> Result<VersionRoom> {
    Ok(VersionRoom {
        bytes: check_total(catalog, plan)?,
        removed: check_number(catalog, plan)?,
    })
}

fn check_number(catalog: &Catalog, plan: &CommitPlan) -> Result<u64> {
    let max = catalog.options.models_max as u64;
    if max == 0 {
        return Ok(u64::MAX);
    }

    let added = plan.published.iter().filter(|one| one.current.is_none());
    let added = added.count() as u64;
    let models = catalog.layout.models().map_err(unstored)?.len() as u64;
    let after = (models + added).saturating_sub(plan.removed.len() as u64);
    if after <= max || added == 0 {
        return Ok(max.saturating_sub(after));
    }

    let text = format!(
        "this server keeps at most {}, and there would be {after}",
        counted(max, "model")
    );
    Err(Error::new(ErrorKind::NoSpace, text)
        .hint("remove models that are not needed any more, or raise max-models"))
}

fn check_total(catalog: &Catalog, plan: &CommitPlan) -> Result<u64> {
    let max = catalog.options.total_bytes_max;
    if max == 0 {
        return Ok(u64::MAX);
    }

    let models = catalog.layout.models().map_err(unstored)?;
    let sizes = models.iter().map(|(_, stamp)| charge(stamp.size));
    let pinned = catalog.objects.pinned_bytes();
    let mut after = sizes.fold(pinned, u64::saturating_add);
    for one in &plan.published {
        after = after.saturating_add(charge(one.bytes.size));
    }
    let replaced = plan.published.iter().filter_map(|one| one.current);
    for gone in replaced.chain(plan.removed.iter().map(|gone| gone.stamp)) {
        after = after.saturating_sub(charge(gone.size));
    }

    let names = models.iter().map(|(name, _)| name);
    let folders = folders_after(catalog, plan, names);
    let beside = folders.bytes();
    let all = after.saturating_add(beside);
    if all <= max || plan.published.is_empty() {
        return Ok(max.saturating_sub(all.saturating_add(folders.version_bytes())));
    }
    let text = format!(
        "the quota of {} does not suffice: {after} would be used by models, and {beside} by folders and \
         descriptions",
        counted(max, "byte")
    );
    Err(Error::new(ErrorKind::NoSpace, text)
        .hint("remove models that are not needed any more, or raise max-total-bytes"))
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

/// Where bytes with this digest are, and how many.
///
/// # Errors
/// Those of the file system.
pub(crate) fn known_place(catalog: &Catalog, digest: Digest) -> Result<Option<(FilePlace, u64)>> {
    let wanted = BTreeSet::from([*digest.as_bytes()]);
    let found = sources(catalog, wanted)?.remove(digest.as_bytes());
    Ok(found.and_then(|place| {
        let size = place.facts().ok()?.size;
        Some((place, size))
    }))
}
