// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The section `[store]` of the settings: which models are taken, and how they are kept.

use std::time::Duration;

use crate::config::settings::setting::{Effect, Setting, list, row, set};
use crate::signature::PublicKey;
use crate::store::Replace;
use crate::text::{bytes, count, duration, switch};

/// The rows of this section.
pub(crate) const ROWS: &[Setting] = &[
    row(
        "max-total-bytes",
        "SIZE",
        "0",
        "Total size of all models and their kept versions; 0 for no limit",
        Effect::NextStart,
        set!(bytes, store.total_bytes_max),
    ),
    row(
        "reserve-bytes",
        "SIZE",
        "64MiB",
        "Space that uploads leave free on the disk",
        Effect::NextStart,
        set!(bytes, store.reserve_bytes),
    ),
    row(
        "accept",
        "PATTERN,...",
        "",
        "Accepted names, with * and ?; without a pattern, every name",
        Effect::NextStart,
        set!(list, store.accept),
    ),
    row(
        "replace",
        "HOW",
        "replace",
        "Whether uploads replace models (replace) or not (refuse)",
        Effect::NextStart,
        |config, text| {
            config.store.replace = match text {
                "replace" => Replace::Replace,
                "refuse" => Replace::Refuse,
                _ => return Err("use replace or refuse".to_owned()),
            };
            Ok(())
        },
    ),
    row(
        "keep-versions",
        "N",
        "0",
        "How many old versions of a model are kept",
        Effect::NextStart,
        set!(count, store.versions_max),
    ),
    row(
        "require-license",
        "",
        "false",
        "Accept only models with a licence",
        Effect::NextStart,
        set!(switch, store.require_license),
    ),
    row(
        "require-signature",
        "KEY,...",
        "",
        "Accept only models signed with one of these minisign keys (or key files)",
        Effect::NextStart,
        |config, text| {
            let keys = text.split(',').map(str::trim).filter(|key| !key.is_empty());
            let keys = keys.map(|key| PublicKey::named(key).map_err(|error| error.to_string()));
            config.store.signers = keys.collect::<Result<_, _>>()?;
            Ok(())
        },
    ),
    row(
        "scrub-interval",
        "TIME",
        "never",
        "How often all models are read again to find damage",
        Effect::NextStart,
        |config, text| {
            config.store.scrub_interval = match text {
                "never" => Duration::ZERO,
                time => duration(time)?,
            };
            Ok(())
        },
    ),
];
