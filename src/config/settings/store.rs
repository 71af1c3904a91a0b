// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The section `[store]` of the settings: which models are taken, and how they are kept.

use crate::config::settings::setting::{Effect, Setting, list, row, set, size};
use crate::signature::PublicKey;
use crate::store::Replace;
use crate::text::{bytes_or_none, count_or_none, duration_or_none, switch};

/// The rows of this section.
pub(crate) const ROWS: &[Setting] = &[
    row(
        "max-total-bytes",
        "SIZE",
        "none",
        "Total size of all models and kept versions, at least 4 KiB for each, and of their folders, 4 KiB for each (8 KiB with ready-files); old versions give way to models",
        Effect::NextStart,
        set!(bytes_or_none, store.total_bytes_max),
    )
    .off("no limit but that of the disk"),
    row(
        "max-models",
        "N",
        "none",
        "How many models there may be; a further name is refused with 507. Removed ones of which versions are kept count, but give way",
        Effect::NextStart,
        set!(count_or_none, store.models_max),
    )
    .off("no limit"),
    row(
        "reserve-bytes",
        "SIZE",
        "64MiB",
        "Space that uploads leave free on the disk; old versions give way to uploads",
        Effect::NextStart,
        set!(bytes_or_none, store.reserve_bytes),
    )
    .off("nothing is left free"),
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
        "read-only",
        "",
        "false",
        "Serve the models as they are, and take no changes",
        Effect::NextStart,
        set!(switch, store.read_only),
    ),
    row(
        "keep-versions",
        "N",
        "1",
        "How many old versions of a model are kept",
        Effect::NextStart,
        set!(count_or_none, store.versions_max),
    )
    .off("no old version is kept"),
    row(
        "max-version-bytes",
        "SIZE",
        "4GiB",
        "Total size of all old versions; the oldest go first, and what is larger is not kept",
        Effect::NextStart,
        set!(bytes_or_none, store.version_bytes_max),
    )
    .off("no limit but max-version-share"),
    row(
        "max-version-share",
        "N",
        "10",
        "How many percent of the file system old versions may take, within max-version-bytes",
        Effect::NextStart,
        set!(count_or_none, store.version_share_max),
    )
    .off("no limit but max-version-bytes"),
    row(
        "exchange-files",
        "N",
        "1000",
        "Files of a folder that may stay as they are where a change set changes it in one step, also for programs that look into the directory",
        Effect::NextStart,
        set!(count_or_none, store.exchange_files),
    )
    .off("each file changes by itself"),
    row(
        "require-license",
        "",
        "false",
        "Accept only models with a licence",
        Effect::NextStart,
        set!(switch, store.require_license),
    ),
    row(
        "max-meta",
        "N",
        "16",
        "Keys with values that may be said of a model (put --meta)",
        Effect::NextStart,
        set!(count_or_none, store.meta_max),
    )
    .off("none are taken"),
    row(
        "max-meta-bytes",
        "SIZE",
        "4KiB",
        "Bytes of these keys and values together, at most 8KiB",
        Effect::NextStart,
        |config, text| {
            config.store.meta_bytes_max = size(text)?;
            if config.store.meta_bytes_max > META_BYTES_MAX {
                return Err("at most 8KiB, so that they fit into one request".to_owned());
            }
            Ok(())
        },
    ),
    row(
        "require-format",
        "",
        "false",
        "Accept models with known endings (.onnx, .gguf, .zip) only if their first bytes are of that format",
        Effect::NextStart,
        set!(switch, store.require_format),
    ),
    row(
        "refuse-unsafe-pickles",
        "",
        "false",
        "Refuse pickles (.pt, .pth, .bin, .pkl, .pickle, .ckpt, .joblib) that import more than what makes tensors",
        Effect::NextStart,
        set!(switch, store.refuse_unsafe_pickles),
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
        "ready-files",
        "",
        "false",
        "Keep a file .ready with its revision in each folder of models, for programs that look into the directory",
        Effect::NextStart,
        set!(switch, store.ready_files),
    ),
    row(
        "scrub-interval",
        "TIME",
        "none",
        "How often all models are read again to find damage",
        Effect::NextStart,
        set!(duration_or_none, store.scrub_interval),
    )
    .off("never"),
];

/// A request of 16 KiB and a line of a change set have room for that.
const META_BYTES_MAX: usize = 8 << 10;
