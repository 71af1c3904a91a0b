// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The section `[limits]` of the settings: bounds of connections, requests and bodies, in number, size and time.

use crate::config::settings::setting::{Effect, Setting, row, set, size};
use crate::text::{bytes, count, duration};

/// The rows of this section.
pub(crate) const ROWS: &[Setting] = &[
    row(
        "max-connections",
        "N",
        "25",
        "Requests that run at one time; further ones are answered 503",
        Effect::NewConnections,
        set!(count, limits.connections_max),
    ),
    row(
        "max-idle-connections",
        "N",
        "256",
        "Connections that wait at one time; strangers make room for further ones; 0: no limit",
        Effect::NewConnections,
        set!(count, limits.connections_idle_max),
    ),
    row(
        "max-connections-per-address",
        "N",
        "16",
        "Connections at one time from one address",
        Effect::NewConnections,
        set!(count, limits.connections_per_address_max),
    ),
    row(
        "reserved-connections",
        "N",
        "2",
        "Requests that are reserved for callers on this device",
        Effect::NewConnections,
        set!(count, limits.connections_reserved),
    ),
    row(
        "max-requests-per-connection",
        "N",
        "100",
        "Requests on one connection before it is closed",
        Effect::NewConnections,
        set!(count, limits.requests_per_connection_max),
    ),
    row(
        "max-head-bytes",
        "SIZE",
        "16KiB",
        "Largest size of a request head",
        Effect::NewConnections,
        |config, text| {
            config.limits.head_bytes_max = size(text)?;
            Ok(())
        },
    ),
    row(
        "max-fields",
        "N",
        "64",
        "Largest number of fields in a request head",
        Effect::NewConnections,
        set!(count, limits.fields_max),
    ),
    row(
        "max-json-bytes",
        "SIZE",
        "1MiB",
        "Largest size of a JSON body, without streamed content",
        Effect::AtOnce,
        |config, text| {
            config.limits.json_bytes_max = size(text)?;
            Ok(())
        },
    ),
    row(
        "max-upload-bytes",
        "SIZE",
        "64GiB",
        "Largest size of an uploaded model",
        Effect::AtOnce,
        set!(bytes, limits.upload_bytes_max),
    ),
    row(
        "max-import-bytes-before-password",
        "SIZE",
        "16MiB",
        "Bytes that an import may send before its password",
        Effect::NextStart,
        set!(bytes, import_bytes_before_password),
    ),
    row(
        "timeout",
        "TIME",
        "15s",
        "Time limit of any single read or write",
        Effect::NewConnections,
        set!(duration, limits.timeout),
    ),
    row(
        "head-timeout",
        "TIME",
        "10s",
        "Time limit of a TLS handshake, and of a request head from its first byte",
        Effect::NewConnections,
        set!(duration, limits.head_timeout),
    ),
    row(
        "idle-timeout",
        "TIME",
        "15s",
        "How long a connection may be idle between requests",
        Effect::NewConnections,
        set!(duration, limits.idle_timeout),
    ),
    row(
        "body-timeout",
        "TIME",
        "15s",
        "How long a request body may stall",
        Effect::NewConnections,
        set!(duration, limits.body_timeout),
    ),
    row(
        "write-timeout",
        "TIME",
        "20s",
        "How long an answer may stall because the caller reads nothing",
        Effect::NewConnections,
        set!(duration, limits.write_timeout),
    ),
    row(
        "min-rate",
        "SIZE",
        "1KiB",
        "Lowest average rate of a body or an answer, per second",
        Effect::NewConnections,
        set!(bytes, limits.rate_min),
    ),
    row(
        "drain-timeout",
        "TIME",
        "10s",
        "How long a shutdown waits for running requests",
        Effect::AtOnce,
        set!(duration, limits.drain_timeout),
    ),
    row(
        "max-drain-bytes",
        "SIZE",
        "64KiB",
        "How much of a refused body is read and discarded",
        Effect::NewConnections,
        set!(bytes, limits.drain_bytes_max),
    ),
];
