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
        "Size of all models and their kept versions; 0 for any",
        Effect::NextStart,
        set!(bytes, store.total_bytes_max),
    ),
    row(
        "reserve-bytes",
        "SIZE",
        "64MiB",
        "What uploads leave free on the disk",
        Effect::NextStart,
        set!(bytes, store.reserve_bytes),
    ),
    row(
        "accept",
        "PATTERN,...",
        "",
        "The names that are taken, with * and ?; any if there is none",
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
                _ => return Err("say replace or refuse".to_owned()),
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
        "Take only models whose licence is named",
        Effect::NextStart,
        set!(switch, store.require_license),
    ),
    row(
        "require-signature",
        "KEY,...",
        "",
        "Take only models that one of these minisign keys (or files with one) has signed",
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
