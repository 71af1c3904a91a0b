// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The rows of the settings that say who may do what, and what is logged of it.

use super::setting::{Setting, row};
use crate::text::{bytes, count, duration, switch};

pub(crate) const ANONYMOUS_READ: Setting = row(
    "anonymous-read",
    "",
    "false",
    "Let everybody list and fetch models",
    |config, text| {
        config.access.anonymous_read = switch(text)?;
        Ok(())
    },
);

pub(crate) const PLAIN_DEARNING: Setting = row(
    "plain-dearning",
    "",
    "false",
    "Take the passwords of the dearning API unencrypted from other devices",
    |config, text| {
        config.access.plain_dearning = switch(text)?;
        Ok(())
    },
);

pub(crate) const INSECURE_DEFAULT_PASSWORD: Setting = row(
    "insecure-default-password",
    "",
    "false",
    "Take the published default password of dearning, on this device only",
    |config, text| {
        config.access.insecure_default_password = switch(text)?;
        Ok(())
    },
);

pub(crate) const HOST_NAMES: Setting = row(
    "host-names",
    "NAME,...",
    "",
    "Names this server is called by, besides its addresses and its own; *.NAME for all below",
    |config, text| {
        let names = text
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty());
        config.access.host_names = names.map(str::to_owned).collect();
        Ok(())
    },
);

pub(crate) const CERTIFICATE_ROLES: Setting = row(
    "certificate-roles",
    "NAME=ROLE,...",
    "",
    "Roles of client certificates, * for those not named; without a row: read",
    |config, text| {
        config.access.certificate_roles = text.parse()?;
        Ok(())
    },
);

pub(crate) const LOCKOUT_FAILURES: Setting = row(
    "lockout-failures",
    "N",
    "10",
    "Wrong secrets from one address before it is locked out; 0 never does",
    |config, text| {
        config.access.lockout.failures_max = count(text)?;
        Ok(())
    },
);

pub(crate) const LOCKOUT_TIME: Setting = row(
    "lockout-time",
    "TIME",
    "30s",
    "The first lock, and the time in which one more attempt is earned",
    |config, text| {
        config.access.lockout.time = duration(text)?;
        Ok(())
    },
);

pub(crate) const LOCKOUT_TIME_MAX: Setting = row(
    "lockout-time-max",
    "TIME",
    "15m",
    "The longest lock: each lasts twice as long as the one before",
    |config, text| {
        config.access.lockout.time_max = duration(text)?;
        Ok(())
    },
);

pub(crate) const LOG_FORMAT: Setting = row(
    "log-format",
    "FORMAT",
    "line",
    "How the log is written: line, logfmt, json or clf",
    |config, text| {
        config.log.audit.format = text.parse()?;
        Ok(())
    },
);

pub(crate) const LOG_POLLS: Setting = row(
    "log-polls",
    "",
    "false",
    "Log successful calls of /, /healthz and the list, too",
    |config, text| {
        config.log.audit.polls = switch(text)?;
        Ok(())
    },
);

pub(crate) const LOG_FILE: Setting = row(
    "log-file",
    "FILE",
    "",
    "Log to this file instead of standard error",
    |config, text| {
        config.log.file = (!text.is_empty()).then(|| text.into());
        Ok(())
    },
);

pub(crate) const LOG_MAX_BYTES: Setting = row(
    "log-max-bytes",
    "SIZE",
    "1MiB",
    "Size at which the log file is set aside and begun anew",
    |config, text| {
        config.log.bytes_max = bytes(text)?;
        Ok(())
    },
);

pub(crate) const LOG_KEEP: Setting = row(
    "log-keep",
    "N",
    "3",
    "Log files that were set aside and are kept: FILE.1, FILE.2 and so on",
    |config, text| {
        config.log.keep = count(text)?;
        Ok(())
    },
);

pub(crate) const LOG_SYSLOG: Setting = row(
    "log-syslog",
    "SOCKET",
    "",
    "Log to syslog at this socket (/dev/log) instead of standard error",
    |config, text| {
        config.log.syslog = (!text.is_empty()).then(|| text.into());
        Ok(())
    },
);
