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
        "Authorities in PEM, a file or a directory; only callers with a certificate of theirs are let in",
        Effect::NextStart,
        set!(path, client_ca),
    ),
    row(
        "client-crl",
        "FILE",
        "",
        "What they have revoked [default: crl.pem beside the authority]",
        Effect::NextStart,
        set!(path, client_crl),
    ),
    row(
        "allow-unauthenticated-clients",
        "",
        "false",
        "Let callers in without a certificate, too: then passwords and tokens guard the doors",
        Effect::NextStart,
        set!(switch, allow_unauthenticated_clients),
    ),
];
