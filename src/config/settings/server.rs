// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The section `[server]` of the settings: the model directory, where the server listens, and its threads.

use crate::config::settings::setting::{Effect, Setting, list, path, row, set, whole_path};
use crate::text::{count, switch};

/// The rows of this section.
pub(crate) const ROWS: &[Setting] = &[
    row(
        "dir",
        "DIR",
        "dm_models",
        "The model directory",
        Effect::NextStart,
        |config, text| {
            if text.is_empty() {
                return Err("name a directory".to_owned());
            }
            config.directory = whole_path(text)?;
            Ok(())
        },
    )
    .legacy("DEARNING_MODEL_DIR"),
    row(
        "port",
        "PORT",
        "8443",
        "Port of addresses that name none; 0 chooses a free port",
        Effect::NextStart,
        set!(count, port),
    )
    .legacy("DEARNING_PORT"),
    row(
        "listen",
        "ADDRESS,...",
        "*",
        "Where to listen if no ADDRESS is given; a list with commas",
        Effect::NextStart,
        |config, text| {
            config.addresses = list(text)?;
            if config.addresses.is_empty() {
                return Err("write an address, for example 127.0.0.1 or *:8443".to_owned());
            }
            Ok(())
        },
    ),
    row(
        "plain",
        "",
        "false",
        "Serve plain HTTP instead of HTTPS",
        Effect::NextStart,
        set!(switch, plain),
    ),
    row(
        "write-addr",
        "FILE",
        "",
        "Write the URLs to this file, one per line, once the server listens",
        Effect::NextStart,
        set!(path, address_file),
    ),
    row(
        "landlock",
        "true|false",
        "true",
        "Confine the server to home, model directory and what its settings name (Linux 5.13)",
        Effect::NextStart,
        set!(switch, landlock),
    ),
    row(
        "workers",
        "N",
        "8",
        "Threads that handle requests",
        Effect::NextStart,
        set!(count, limits.workers),
    )
    .stays("without one, no request is answered"),
];
