// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The signature that stands beside a model as `NAME.minisig`: it comes and goes with the bytes that it is
//! of, so that none vouches for others.
//!
//! Which bytes those are is kept with the description of the model. A signature that nobody has linked
//! with bytes yet was stored before its model, and belongs to what comes next. One that is stored beside
//! a model without any is of that model.
//!
//! All of it happens while the names are locked, and a failure is only logged: the model itself is well.

use std::fs::File;
use std::io::{self, Write as _};

use crate::digest::Digest;
use crate::event::Happening;
use crate::model::ModelName;
use crate::signature::Signature;
use crate::store::catalog::{Catalog, Stamp, Standing};
use crate::store::claim::{BytesOrigin, Claim};
use crate::store::rules::metadata::{keep_signature, signature_of};
use crate::store::rules::signed::read_signature;
use crate::store::versions::{self, VersionRoom};

/// The signature beside a model.
struct SideFile {
    name: ModelName,
    stamp: Stamp,
    signature: Signature,
}

/// The signature of bytes that are about to replace `current`, where none came with them: the one they
/// had before, or the one that was stored for them.
pub(crate) fn of_new_bytes(
    catalog: &Catalog,
    claim: &Claim<'_>,
    current: Option<Stamp>,
) -> Option<Signature> {
    let name = claim.name;
    if Signature::is_name(name) {
        return None;
    }

    let known = signature_of(catalog, name, Some(claim.digest));
    if known.is_some() || claim.origin == BytesOrigin::Version {
        return known;
    }

    let replaced = current.and_then(|stamp| catalog.index.find(name, &stamp));
    let of_replaced = signature_of(catalog, name, replaced);
    let beside = find(catalog, name)?.signature;

    // A new one for bytes that are replaced is none for those that replace them.
    match of_replaced {
        Some(old) if old.is_same(&beside) => None,
        _ => Some(beside),
    }
}

/// Has the signature beside a model be the one of its new bytes, or none.
pub(crate) fn follow(catalog: &Catalog, claim: &Claim<'_>, signature: Option<&Signature>) {
    let name = claim.name;
    if Signature::is_name(name) {
        link_with_model(catalog, name);
        return;
    }

    match (find(catalog, name), signature) {
        (Some(beside), Some(signature)) if beside.signature.is_same(signature) => {}
        (Some(_), Some(signature)) => put(catalog, name, signature),
        (Some(beside), None) => take_away(catalog, &beside),
        // It was there before the version was replaced. With uploads, whoever sends one stores it.
        (None, Some(signature)) if claim.origin == BytesOrigin::Version => {
            put(catalog, name, signature)
        }
        (None, _) => {}
    }
}

/// Has the signature that is known of a model stand beside it.
pub(crate) fn restore(catalog: &Catalog, name: &ModelName, digest: Digest) {
    let Some(signature) = signature_of(catalog, name, Some(digest)) else {
        return;
    };
    if find(catalog, name).is_some_and(|beside| beside.signature.is_same(&signature)) {
        return;
    }

    // No other change is around this one.
    match catalog.unready([name]) {
        Ok(_unready) => put(catalog, name, &signature),
        Err(error) => log::warn!("the signature of '{name}' does not come back: {error}"),
    }
}

/// Removes the signature beside a model that was removed.
pub(crate) fn remove(catalog: &Catalog, name: &ModelName) {
    if !Signature::is_name(name)
        && let Some(beside) = find(catalog, name)
    {
        take_away(catalog, &beside);
    }
}

/// A signature that was stored beside a model without any is of that model.
fn link_with_model(catalog: &Catalog, side: &ModelName) {
    let Some(name) = Signature::model_of(side) else {
        return;
    };
    let Some(digest) = standing_digest(catalog, &name) else {
        return;
    };

    if signature_of(catalog, &name, Some(digest)).is_none()
        && let Some(beside) = find(catalog, &name)
        && let Err(error) = keep_signature(catalog, &name, digest, &beside.signature)
    {
        log::warn!("the signature of '{name}' is not linked with it: {error}");
    }
}

fn standing_digest(catalog: &Catalog, name: &ModelName) -> Option<Digest> {
    match catalog.layout.standing(name) {
        Ok(Standing::Model(stamp)) => catalog.index.find(name, &stamp),
        _ => None,
    }
}

/// The signature beside a model; whatever else has its name is left alone.
fn find(catalog: &Catalog, model: &ModelName) -> Option<SideFile> {
    let name = Signature::name_for(model).ok()?;
    let (file, stamp) = catalog.layout.open_model(&name).ok()??;
    let signature = read_signature(&file).ok()?.ok()?;

    Some(SideFile {
        name,
        stamp,
        signature,
    })
}

fn take_away(catalog: &Catalog, beside: &SideFile) {
    let SideFile { name, stamp, .. } = beside;
    let digest = catalog.index.find(name, stamp);

    let _tally = catalog.tally(name);
    let removed = versions::put_away(catalog, name, stamp);
    catalog.layout.remove_empty_folders(name);
    catalog.forget(name);

    if let Err(error) = removed {
        log::warn!("'{name}' cannot be removed, but is no signature of its model: {error}");
        return;
    }
    if catalog.options.versions_max > 0 {
        versions::tidy(catalog, name);
    }

    catalog.events.model(|| Happening::ModelRemoved {
        name: name.clone(),
        size: stamp.size,
        digest,
    });
}

fn put(catalog: &Catalog, model: &ModelName, signature: &Signature) {
    let Ok(name) = Signature::name_for(model) else {
        return;
    };

    match write(catalog, &name, signature.to_string().as_bytes()) {
        Err(error) => log::warn!("the signature '{name}' cannot be written: {error}"),
        Ok((size, digest, replaced)) => catalog.events.model(|| Happening::ModelPublished {
            name,
            size,
            digest,
            replaced,
        }),
    }
}

/// Writes a signature file in the place of the one that is there.
fn write(catalog: &Catalog, name: &ModelName, text: &[u8]) -> io::Result<(u64, Digest, bool)> {
    let current = match catalog.layout.standing(name)? {
        Standing::Model(stamp) => Some(stamp),
        Standing::Nothing => None,
        Standing::Other(kind) => return Err(io::Error::other(format!("it is {kind}"))),
    };

    let _tally = catalog.tally(name);
    let mut part = catalog.layout.part()?;
    part.write_all(text)?;
    let keeps = |stamp: &Stamp| catalog.keeps_versions([stamp.size], VersionRoom::UNBOUNDED);
    if let Some(stamp) = current.filter(keeps) {
        versions::keep(catalog, name, &stamp)?;
    }

    let written: File = part.publish_at(&catalog.layout.made_place(name)?)?;
    catalog.forget(name);
    let digest = Digest::of(text);
    let stamp = Stamp::of(&written.metadata()?);
    catalog.learn(name, stamp, digest);
    versions::tidy(catalog, name);

    Ok((stamp.size, digest, current.is_some()))
}
