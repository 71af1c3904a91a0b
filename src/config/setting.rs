// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The table of settings: each row is the flag, the variable, its help and how it is read.

use std::path::PathBuf;
use std::time::Duration;

use super::{Config, access};
use crate::signature::PublicKey;
use crate::store::Replace;
use crate::text::{bytes, count, duration, switch};

/// One setting. Its flag is `--KEY`, its variable `SKEP_KEY` in capitals with underscores.
pub struct Setting {
    /// The name, in lower case with hyphens.
    pub key: &'static str,
    /// What the value is, for help texts; empty for a switch.
    pub value: &'static str,
    /// The default, as a user would write it.
    pub default: &'static str,
    /// A variable of the dearning server that is read where ours is not set.
    pub legacy: Option<&'static str>,
    /// What it does, in one line.
    pub help: &'static str,
    pub(crate) apply: fn(&mut Config, &str) -> Result<(), String>,
}

impl Setting {
    /// The name of its variable.
    pub fn variable(&self) -> String {
        format!("SKEP_{}", self.key.to_ascii_uppercase().replace('-', "_"))
    }

    /// Whether it is on or off, without a value.
    pub fn is_switch(&self) -> bool {
        self.value.is_empty()
    }

    const fn legacy(mut self, variable: &'static str) -> Self {
        self.legacy = Some(variable);
        self
    }
}

type Apply = fn(&mut Config, &str) -> Result<(), String>;

pub(crate) const fn row(
    key: &'static str,
    value: &'static str,
    default: &'static str,
    help: &'static str,
    apply: Apply,
) -> Setting {
    Setting {
        key,
        value,
        default,
        legacy: None,
        help,
        apply,
    }
}

/// Reads a value and puts it where it belongs.
macro_rules! set {
    ($read:ident, $($place:ident).+) => {
        |config, text| {
            config.$($place).+ = $read(text)?;
            Ok(())
        }
    };
}

/// All settings.
pub const SETTINGS: &[Setting] = &[
    row(
        "dir",
        "DIR",
        "dm_models",
        "The model directory",
        |config, text| {
            if text.is_empty() {
                return Err("name a directory".to_owned());
            }
            config.directory = text.into();
            Ok(())
        },
    )
    .legacy("DEARNING_MODEL_DIR"),
    row(
        "port",
        "PORT",
        "8443",
        "The port of addresses that name none; 0 takes a free one",
        set!(count, port),
    )
    .legacy("DEARNING_PORT"),
    row(
        "write-addr",
        "FILE",
        "",
        "Write the URLs to this file, one a line, once they are bound",
        set!(path, address_file),
    ),
    row(
        "listen",
        "ADDRESS,...",
        "0.0.0.0",
        "Where to listen, if no ADDRESS is given; several with commas",
        |config, text| {
            let addresses = text
                .split(',')
                .map(str::trim)
                .filter(|address| !address.is_empty());
            config.addresses = addresses.map(str::to_owned).collect();
            Ok(())
        },
    ),
    row(
        "plain",
        "",
        "false",
        "Speak plain HTTP instead of HTTPS",
        set!(switch, plain),
    ),
    row(
        "cert",
        "FILE",
        "",
        "A certificate chain in PEM, instead of the identity in the home",
        set!(path, cert_file),
    ),
    row(
        "key",
        "FILE",
        "",
        "The key of that certificate",
        set!(path, key_file),
    ),
    row(
        "client-ca",
        "PATH",
        "",
        "Authorities in PEM, a file or a directory; only callers with a certificate of theirs are let in",
        set!(path, client_ca),
    ),
    row(
        "client-crl",
        "FILE",
        "",
        "What they have revoked [default: crl.pem beside the authority]",
        set!(path, client_crl),
    ),
    row(
        "allow-unauthenticated-clients",
        "",
        "false",
        "Let callers in without a certificate, too: then passwords and tokens guard the doors",
        set!(switch, allow_unauthenticated_clients),
    ),
    row(
        "workers",
        "N",
        "8",
        "Threads that run requests",
        set!(count, limits.workers),
    ),
    row(
        "max-connections",
        "N",
        "25",
        "Connections at one time; a further one is answered 503",
        set!(count, limits.connections_max),
    ),
    row(
        "max-connections-per-address",
        "N",
        "16",
        "Connections at one time from one address",
        set!(count, limits.connections_per_address_max),
    ),
    row(
        "reserved-connections",
        "N",
        "2",
        "Places among the connections for callers on this device",
        set!(count, limits.connections_reserved),
    ),
    row(
        "max-requests-per-connection",
        "N",
        "100",
        "Requests on one connection before it is closed",
        set!(count, limits.requests_per_connection_max),
    ),
    row(
        "max-head-bytes",
        "SIZE",
        "16KiB",
        "Size of a request head",
        |config, text| {
            config.limits.head_bytes_max = size(text)?;
            Ok(())
        },
    ),
    row(
        "max-fields",
        "N",
        "64",
        "Fields of a request head",
        set!(count, limits.fields_max),
    ),
    row(
        "max-json-bytes",
        "SIZE",
        "1MiB",
        "Size of a JSON body, streamed content aside",
        |config, text| {
            config.limits.json_bytes_max = size(text)?;
            Ok(())
        },
    ),
    row(
        "max-upload-bytes",
        "SIZE",
        "64GiB",
        "Size of an uploaded model",
        set!(bytes, limits.upload_bytes_max),
    ),
    row(
        "max-total-bytes",
        "SIZE",
        "0",
        "Size of all models and their kept versions; 0 for any",
        set!(bytes, store.total_bytes_max),
    ),
    row(
        "reserve-bytes",
        "SIZE",
        "64MiB",
        "What uploads leave free on the disk",
        set!(bytes, store.reserve_bytes),
    ),
    row(
        "accept",
        "PATTERN,...",
        "",
        "The names that are taken, with * and ?; any if there is none",
        |config, text| {
            let patterns = text
                .split(',')
                .map(str::trim)
                .filter(|pattern| !pattern.is_empty());
            config.store.accept = patterns.map(str::to_owned).collect();
            Ok(())
        },
    ),
    row(
        "replace",
        "HOW",
        "replace",
        "Whether uploads replace models (replace) or not (refuse)",
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
        set!(count, store.versions_max),
    ),
    row(
        "require-license",
        "",
        "false",
        "Take only models whose licence is named",
        set!(switch, store.require_license),
    ),
    row(
        "scrub-interval",
        "TIME",
        "never",
        "How often all models are read again to find damage",
        |config, text| {
            config.store.scrub_interval = match text {
                "never" => Duration::ZERO,
                time => duration(time)?,
            };
            Ok(())
        },
    ),
    row(
        "max-import-bytes-before-password",
        "SIZE",
        "16MiB",
        "What an import may send before its password",
        set!(bytes, import_bytes_before_password),
    ),
    row(
        "timeout",
        "TIME",
        "15s",
        "Any single read or write",
        set!(duration, limits.timeout),
    ),
    row(
        "head-timeout",
        "TIME",
        "10s",
        "TLS handshake, and request head from its first byte",
        set!(duration, limits.head_timeout),
    ),
    row(
        "idle-timeout",
        "TIME",
        "15s",
        "A connection without a request",
        set!(duration, limits.idle_timeout),
    ),
    row(
        "body-timeout",
        "TIME",
        "15s",
        "A body of which nothing arrives",
        set!(duration, limits.body_timeout),
    ),
    row(
        "write-timeout",
        "TIME",
        "20s",
        "A caller that takes nothing of its answer",
        set!(duration, limits.write_timeout),
    ),
    row(
        "min-rate",
        "SIZE",
        "1KiB",
        "The slowest average of a body or an answer, per second",
        set!(bytes, limits.rate_min),
    ),
    row(
        "drain-timeout",
        "TIME",
        "10s",
        "How long a shutdown waits for running requests",
        set!(duration, limits.drain_timeout),
    ),
    row(
        "max-drain-bytes",
        "SIZE",
        "64KiB",
        "What is read away of a body that was refused",
        set!(bytes, limits.drain_bytes_max),
    ),
    row(
        "max-uploads",
        "N",
        "16",
        "Unfinished uploads that can be gone on with; a further one is answered 503",
        set!(count, store.uploads_max),
    ),
    row(
        "max-uploads-bytes",
        "SIZE",
        "128GiB",
        "Size of all unfinished uploads together",
        set!(bytes, store.uploads_bytes_max),
    ),
    row(
        "upload-max-age",
        "TIME",
        "24h",
        "How long an unfinished upload is kept with which nobody goes on",
        set!(duration, store.upload_age_max),
    ),
    row(
        "upload-sync-bytes",
        "SIZE",
        "8MiB",
        "What a power cut may cost an upload at most",
        set!(bytes, store.upload_sync_bytes),
    ),
    row(
        "require-signature",
        "KEY,...",
        "",
        "Take only models that one of these minisign keys (or files with one) has signed",
        |config, text| {
            let keys = text.split(',').map(str::trim).filter(|key| !key.is_empty());
            let keys = keys.map(|key| PublicKey::named(key).map_err(|error| error.to_string()));
            config.store.signers = keys.collect::<Result<_, _>>()?;
            Ok(())
        },
    ),
    row(
        "cache-bytes",
        "SIZE",
        "8MiB",
        "Memory for small models",
        set!(bytes, store.cache_bytes_max),
    ),
    row(
        "cache-file-bytes",
        "SIZE",
        "2MiB",
        "The largest model that is kept in memory",
        set!(bytes, store.cache_file_bytes_max),
    ),
    row(
        "cache-entries",
        "N",
        "50",
        "How many models are kept in memory",
        set!(count, store.cache_entries_max),
    ),
    row(
        "cache-idle",
        "TIME",
        "1m",
        "How long an unused model stays in memory",
        set!(duration, store.cache_idle),
    ),
    access::ANONYMOUS_READ,
    access::CERTIFICATE_ROLES,
    access::HOST_NAMES,
    access::PLAIN_DEARNING,
    access::INSECURE_DEFAULT_PASSWORD,
    access::LOCKOUT_FAILURES,
    access::LOCKOUT_TIME,
    access::LOCKOUT_TIME_MAX,
    access::LOG_FORMAT,
    access::LOG_POLLS,
    access::LOG_FILE,
    access::LOG_MAX_BYTES,
    access::LOG_KEEP,
    access::LOG_SYSLOG,
];

/// A path; an empty one is none.
#[allow(
    clippy::unnecessary_wraps,
    reason = "all readers of values have one form"
)]
fn path(text: &str) -> Result<Option<PathBuf>, String> {
    Ok((!text.is_empty()).then(|| text.into()))
}

/// A size that has to fit into memory.
fn size(text: &str) -> Result<usize, String> {
    usize::try_from(bytes(text)?).map_err(|_| "that is too large for this device".to_owned())
}
