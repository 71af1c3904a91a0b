// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The section `[access]` of the settings: who may do what, and when an address is locked out.

use crate::config::settings::setting::{Effect, Setting, list, networks, row, set};
use crate::text::{count_or_none, duration, switch};

/// The rows of this section.
pub(crate) const ROWS: &[Setting] = &[
    row(
        "anonymous-read",
        "",
        "false",
        "Let everybody list and download models",
        Effect::NextStart,
        |config, text| {
            config.access.anonymous_read = switch(text)?;
            Ok(())
        },
    ),
    row(
        "certificate-roles",
        "NAME=ROLE,...",
        "",
        "Roles of client certificates, * for all others; without a role: read",
        Effect::NextStart,
        |config, text| {
            config.access.certificate_roles = text.parse()?;
            Ok(())
        },
    ),
    row(
        "host-names",
        "NAME,...",
        "",
        "Further host names of this server; *.NAME for all names one level below",
        Effect::NextStart,
        set!(list, access.host_names),
    ),
    row(
        "plain-passwords",
        "",
        "false",
        "Accept passwords and tokens that other devices send unencrypted",
        Effect::NextStart,
        |config, text| {
            config.access.plain_passwords = switch(text)?;
            Ok(())
        },
    ),
    row(
        "trusted-proxies",
        "ADDRESS,...",
        "",
        "Proxies (addresses, networks, unix) that say for whom they call in Forwarded or X-Forwarded-*",
        Effect::NextStart,
        |config, text| {
            config.access.trusted_proxies = text.parse()?;
            Ok(())
        },
    ),
    row(
        "plain-dearning",
        "",
        "false",
        "Accept passwords of the dearning API unencrypted from other devices",
        Effect::NextStart,
        |config, text| {
            config.access.plain_dearning = switch(text)?;
            Ok(())
        },
    ),
    row(
        "dearning",
        "true|false",
        "true",
        "Answer the dearning API: /import_model and /load_model",
        Effect::NextStart,
        set!(switch, dearning),
    ),
    row(
        "insecure-default-password",
        "",
        "false",
        "Accept the published default password of dearning, on this device only",
        Effect::NextStart,
        |config, text| {
            config.access.insecure_default_password = switch(text)?;
            Ok(())
        },
    ),
    row(
        "max-request-rate",
        "N",
        "none",
        "Requests a minute of one principal, or of one address where nobody is known; further ones are answered 429",
        Effect::NextStart,
        |config, text| {
            config.access.request_rate_max = count_or_none(text)?;
            Ok(())
        },
    )
    .off("any number"),
    row(
        "lockout-failures",
        "N",
        "10",
        "Wrong secrets from one address before it is locked out",
        Effect::NextStart,
        |config, text| {
            config.access.lockout.failures_max = count_or_none(text)?;
            Ok(())
        },
    )
    .off("nobody is locked out"),
    row(
        "lockout-time",
        "TIME",
        "30s",
        "Length of the first lockout, and the time after which one more attempt is allowed",
        Effect::NextStart,
        |config, text| {
            config.access.lockout.time = duration(text)?;
            Ok(())
        },
    )
    .stays(
        "without it, secrets could be guessed at any speed; lockout-failures none locks nobody out",
    ),
    row(
        "lockout-time-max",
        "TIME",
        "15m",
        "Length of the longest lockout: each lasts twice as long as the one before",
        Effect::NextStart,
        |config, text| {
            config.access.lockout.time_max = duration(text)?;
            Ok(())
        },
    )
    .stays("whoever mistypes often would be locked out for years"),
    row(
        "lockout-exempt",
        "ADDRESS,...",
        "",
        "Addresses and networks (10.0.0.0/8) whose wrong secrets are not counted",
        Effect::NextStart,
        set!(networks, access.lockout.exempt),
    ),
];
