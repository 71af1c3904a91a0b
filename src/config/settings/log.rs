// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The section `[log]` of the settings: what is logged, how, and where to.

use crate::config::settings::setting::{Effect, Setting, row};
use crate::text::{bytes_or_none, count_or_none, switch};

/// The rows of this section.
pub(crate) const ROWS: &[Setting] = &[
    row(
        "log-format",
        "FORMAT",
        "line",
        "How the log is written: line, logfmt, json or clf",
        Effect::NextStart,
        |config, text| {
            config.log.audit.format = text.parse()?;
            Ok(())
        },
    ),
    row(
        "log-polls",
        "",
        "false",
        "Log successful requests of /, /healthz and the list of models, too",
        Effect::NextStart,
        |config, text| {
            config.log.audit.polls = switch(text)?;
            Ok(())
        },
    ),
    row(
        "log-file",
        "FILE",
        "",
        "Log to this file instead of standard error",
        Effect::AtOnce,
        |config, text| {
            config.log.file = (!text.is_empty()).then(|| text.into());
            Ok(())
        },
    ),
    row(
        "log-max-bytes",
        "SIZE",
        "1MiB",
        "Size at which the log file is renamed and a new one is started",
        Effect::AtOnce,
        |config, text| {
            config.log.bytes_max = bytes_or_none(text)?;
            Ok(())
        },
    )
    .off("it is never renamed"),
    row(
        "log-keep",
        "N",
        "3",
        "Renamed log files that are kept: FILE.1, FILE.2 and so on",
        Effect::AtOnce,
        |config, text| {
            config.log.keep = count_or_none(text)?;
            Ok(())
        },
    )
    .off("none is kept"),
    row(
        "log-syslog",
        "SOCKET",
        "",
        "Log to syslog at this socket (/dev/log) instead of standard error",
        Effect::AtOnce,
        |config, text| {
            config.log.syslog = (!text.is_empty()).then(|| text.into());
            Ok(())
        },
    ),
];
