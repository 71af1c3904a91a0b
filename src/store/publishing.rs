// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The only place where a name gets bytes: whatever was sent, in one piece or many, by any API, and
//! whatever is brought back. Every rule of the store is asked here.

use std::collections::BTreeSet;

use crate::error::Result;
use crate::event::Happening;
use crate::store::catalog::Stamp;
use crate::store::claim::{BytesOrigin, Claim, NewBytes, Published};
use crate::store::failure::{check_digest, unstored};
use crate::store::locking::name_locks::NameScope;
use crate::store::rules::{self, side_file};
use crate::store::store_handle::Store;
use crate::store::versions::{self, VersionRoom};

impl Store {
    /// Makes bytes the model that they claim to be, if the claim holds and the rules allow it.
    ///
    /// # Errors
    /// As [`Upload::commit`](crate::store::Upload::commit).
    pub(crate) fn publish(&self, mut bytes: impl NewBytes, claim: &Claim<'_>) -> Result<Published> {
        let catalog = self.catalog();
        let (name, digest) = (claim.name, claim.digest);

        // An upload can last for hours: the card may have been unmounted meanwhile, and whoever
        // embeds the store may not have called `admit` before.
        catalog.check_changeable()?;
        check_digest(digest, claim.expected)?;
        catalog.check_kind(name, claim.metadata)?;
        catalog.check_start(claim, &mut bytes)?;
        catalog.check_imports(claim, &mut bytes)?;
        let vouching = catalog.check_signature(claim, &mut bytes)?;
        let digested = catalog.digest_for(name, claim.condition)?;

        // The long fsync comes before the lock on the names, for which other uploads would have to
        // wait.
        bytes.settle().map_err(unstored)?;

        // From the check of the condition until the name has its new bytes, no other upload or
        // removal may come between.
        let guard = catalog.changing(NameScope::of(name))?;
        let tally = catalog.tally(name);
        let current = catalog.judge(name, claim.condition, digested)?;
        let mut room = VersionRoom::UNBOUNDED;
        if claim.origin == BytesOrigin::Upload {
            catalog.check_replace(name, claim.condition, current)?;
            let described = !claim.metadata.is_empty() || claim.signature.is_some();
            let described = described.then_some(name);
            room.bytes = catalog.check_total(name, claim.size, described)?;
        }
        room.removed = catalog.check_number(name)?;
        let _unready = catalog.unready([name]).map_err(unstored)?;
        let signature = vouching.or_else(|| side_file::of_new_bytes(catalog, claim, current));

        // Texts and the old version are durable before the rename: a power cut leaves superfluous
        // lines or a superfluous version, but never new bytes without them.
        let needed = versions::digests(catalog, name);
        rules::keep(catalog, claim, signature.as_ref(), &needed).map_err(unstored)?;
        // What a version replaces is kept whatever the settings say: it was asked for.
        let keeps = |stamp: &Stamp| {
            claim.origin == BytesOrigin::Version || catalog.keeps_versions([stamp.size], room)
        };
        let old_version = current.filter(keeps);
        if let Some(stamp) = &old_version {
            versions::keep(catalog, name, stamp).map_err(unstored)?;
        }
        let was_same =
            current.is_some_and(|stamp| catalog.index.find(name, &stamp) == Some(digest));

        // The rename gives the new file a new stamp, so what is known of the old one goes, also
        // after a failure.
        let old = current.and_then(|stamp| catalog.index.find(name, &stamp));
        let old = old.filter(|_| catalog.is_linked(name));
        let place = catalog.layout.made_place(name);
        let published = place.and_then(|place| bytes.publish(&place));
        catalog.forget(name);
        if published.is_err() {
            catalog.layout.remove_empty_folders(name);
        }
        if let Some(old) = old {
            catalog.learn_linked(&BTreeSet::from([*old.as_bytes()]));
        }
        let metadata = published
            .and_then(|file| file.metadata())
            .map_err(unstored)?;

        // The digest was computed while the bytes arrived; nobody has to read them again.
        let stamp = Stamp::of(&metadata);
        catalog.learn(name, stamp, digest);
        match claim.origin {
            BytesOrigin::Upload => versions::tidy(catalog, name),
            BytesOrigin::Version => versions::remove_empty(catalog, name),
        }
        side_file::follow(catalog, claim, signature.as_ref());
        drop(tally);
        if claim.origin == BytesOrigin::Upload {
            guard.keep_within(room);
        }

        let published = Published {
            model: stamp.model(name, Some(digest)),
            replaced: current.is_some(),
            kept: current.is_none() || old_version.is_some() || was_same,
        };

        catalog.events.model(|| happening(claim, &published));
        Ok(published)
    }
}

fn happening(claim: &Claim<'_>, published: &Published) -> Happening {
    let (name, size) = (claim.name.clone(), published.model.size);
    match claim.origin {
        BytesOrigin::Upload => Happening::ModelPublished {
            name,
            size,
            digest: claim.digest,
            replaced: published.replaced,
        },
        BytesOrigin::Version => Happening::ModelRolledBack {
            name,
            size,
            digest: Some(claim.digest),
        },
    }
}
