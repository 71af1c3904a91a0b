// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The section `[tls]` of the settings: which identity the server shows, and whose callers are let in.

use crate::config::settings::setting::{Effect, Setting, path, row, set};
use crate::text::switch;

/// The rows of this section.
pub(crate) const ROWS: &[Setting] = &[
    row(
        "cert",
        "FILE",
        "",
        "A certificate chain in PEM, instead of the identity in the home",
        Effect::NextStart,
        set!(path, cert_file),
    ),
    row(
        "key",
        "FILE",
        "",
        "The key of that certificate",
        Effect::NextStart,
        set!(path, key_file),
    ),
    row(
        "client-ca",
        "PATH",
        "",
        "Authorities in PEM (file or directory); only callers with a certificate from them are admitted",
        Effect::NextStart,
        set!(path, client_ca),
    ),
    row(
        "client-crl",
        "FILE",
        "",
        "Their revocation list [default: crl.pem beside the authority]",
        Effect::NextStart,
        set!(path, client_crl),
    ),
    row(
        "tls-min",
        "VERSION",
        "1.2",
        "The oldest version of TLS that is spoken: 1.2 or 1.3",
        Effect::NextStart,
        |config, text| {
            config.tls_min = text.parse()?;
            Ok(())
        },
    ),
    row(
        "allow-unauthenticated-clients",
        "",
        "false",
        "Admit callers without a certificate, too: they need a password or a token",
        Effect::NextStart,
        set!(switch, allow_unauthenticated_clients),
    ),
];
