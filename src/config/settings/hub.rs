// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The section `[mirroring]` of the settings: another hub, and what is kept of it.

use crate::config::settings::setting::{Effect, Setting, list, path, row, set};
use crate::config::settings::uploads::{unbounded_bytes, unbounded_time};
use crate::text::duration_or_none;

/// The rows of this section.
pub(crate) const ROWS: &[Setting] = &[
    row(
        "upstream",
        "URL",
        "",
        "The address of another hub, of which repositories come that are not here",
        Effect::NextStart,
        |config, text| {
            config.mirror.upstream = text.to_owned();
            Ok(())
        },
    ),
    row(
        "upstream-token-file",
        "FILE",
        "",
        "A file with a token for the upstream; what it opens there, everybody may read here who may read",
        Effect::NextStart,
        set!(path, mirror.token_file),
    ),
    row(
        "upstream-ca",
        "FILE",
        "",
        "Authorities that vouch for the upstream, or its own certificate, in PEM, instead of the public ones",
        Effect::NextStart,
        set!(path, mirror.authority),
    ),
    row(
        "mirror-repositories",
        "PATTERN,...",
        "",
        "Repositories that are fetched (NS/NAME, datasets/NS/NAME), with * and ?; without a pattern, every one, which needs to be written as * beside a token and anonymous-read",
        Effect::NextStart,
        set!(list, mirror.repositories),
    ),
    row(
        "mirror-keep",
        "TIME",
        "30d",
        "How long what was fetched stays that nobody asks for",
        Effect::NextStart,
        set!(unbounded_time, mirror.keep),
    )
    .off("for ever"),
    row(
        "mirror-fresh",
        "TIME",
        "5m",
        "How long a branch of the upstream counts as what it was",
        Effect::NextStart,
        set!(duration_or_none, mirror.fresh),
    )
    .off("it is asked for each time"),
    row(
        "max-mirror-bytes",
        "SIZE",
        "64GiB",
        "Size of all files of the upstream together; what was asked for longest ago gives way",
        Effect::NextStart,
        set!(unbounded_bytes, mirror.bytes_max),
    )
    .off("no limit but that of the disk"),
    row(
        "max-mirror-file-bytes",
        "SIZE",
        "64GiB",
        "Size of one file of the upstream",
        Effect::NextStart,
        set!(unbounded_bytes, mirror.file_bytes_max),
    )
    .off("no limit but that of the disk"),
    row(
        "max-mirror-fetches",
        "N",
        "4",
        "Files that are fetched from the upstream at one time",
        Effect::NextStart,
        set!(some, mirror.fetches_max),
    ),
];

fn some(text: &str) -> Result<usize, String> {
    let count = text.parse().map_err(|_| "use a number".to_owned())?;
    if count == 0 {
        return Err("it must be more than 0".to_owned());
    }
    Ok(count)
}
