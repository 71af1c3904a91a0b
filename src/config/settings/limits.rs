// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The section `[limits]` of the settings: bounds of connections, requests and bodies, in number, size and time.

use crate::config::settings::setting::{Effect, Setting, row, set, size};
use crate::text::{bytes, bytes_or_none, count, count_or_none, duration, duration_or_none};

/// The rows of this section.
pub(crate) const ROWS: &[Setting] = &[
    row(
        "max-connections",
        "N",
        "25",
        "Requests that run at one time; further ones are answered 503",
        Effect::NewConnections,
        set!(count_or_none, limits.connections_max),
    )
    .off("as many as there are descriptors for"),
    row(
        "max-idle-connections",
        "N",
        "256",
        "Connections that wait at one time; strangers make room for further ones",
        Effect::NewConnections,
        set!(count_or_none, limits.connections_idle_max),
    )
    .off("as many as there are descriptors for"),
    row(
        "max-connections-per-address",
        "N",
        "16",
        "Connections at one time from one address",
        Effect::NewConnections,
        set!(count_or_none, limits.connections_per_address_max),
    )
    .off("no limit"),
    row(
        "reserved-connections",
        "N",
        "2",
        "Requests, and waiting connections, that are reserved for callers on this device",
        Effect::NewConnections,
        set!(count_or_none, limits.connections_reserved),
    )
    .off("nothing is reserved"),
    row(
        "max-requests-per-connection",
        "N",
        "100",
        "Requests on one connection before it is closed",
        Effect::NewConnections,
        set!(count_or_none, limits.requests_per_connection_max),
    )
    .off("no limit"),
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
    )
    .stays("every caller can have a head in memory before it is known"),
    row(
        "max-fields",
        "N",
        "64",
        "Largest number of fields in a request head",
        Effect::NewConnections,
        set!(count, limits.fields_max),
    )
    .stays("a table of them is in memory for every head"),
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
    )
    .stays("such a body is in memory as a whole"),
    row(
        "max-upload-bytes",
        "SIZE",
        "64GiB",
        "Largest size of an uploaded model",
        Effect::AtOnce,
        set!(bytes_or_none, limits.upload_bytes_max),
    )
    .off("no limit but that of the disk"),
    row(
        "max-upload-bytes-per-day",
        "SIZE",
        "none",
        "Bytes that one principal, or one address where nobody is known, may send in a day; more are answered 429",
        Effect::AtOnce,
        set!(bytes_or_none, limits.upload_bytes_per_day_max),
    )
    .off("any number"),
    row(
        "max-download-bytes-per-day",
        "SIZE",
        "none",
        "The same for the bytes that they are sent",
        Effect::AtOnce,
        set!(bytes_or_none, limits.download_bytes_per_day_max),
    )
    .off("any number"),
    row(
        "max-import-bytes-before-password",
        "SIZE",
        "64KiB",
        "Bytes that an import may send before its password",
        Effect::NextStart,
        set!(bytes, import_bytes_before_password),
    )
    .stays("these bytes come from callers that are not known; 0 takes none of them"),
    row(
        "timeout",
        "TIME",
        "15s",
        "Time limit of any single read or write",
        Effect::NewConnections,
        set!(duration_or_none, limits.timeout),
    )
    .off("no limit"),
    row(
        "head-timeout",
        "TIME",
        "10s",
        "Time limit of a TLS handshake, and of a request head from its first byte",
        Effect::NewConnections,
        set!(duration_or_none, limits.head_timeout),
    )
    .off("no limit"),
    row(
        "idle-timeout",
        "TIME",
        "15s",
        "How long a connection may be idle between requests",
        Effect::NewConnections,
        set!(duration_or_none, limits.idle_timeout),
    )
    .off("no limit"),
    row(
        "body-timeout",
        "TIME",
        "15s",
        "How long a request body may stall",
        Effect::NewConnections,
        set!(duration_or_none, limits.body_timeout),
    )
    .off("no limit"),
    row(
        "write-timeout",
        "TIME",
        "20s",
        "How long an answer may stall because the caller reads nothing",
        Effect::NewConnections,
        set!(duration_or_none, limits.write_timeout),
    )
    .off("no limit"),
    row(
        "min-rate",
        "SIZE",
        "1KiB",
        "Lowest average rate of a body or an answer, per second",
        Effect::NewConnections,
        set!(bytes_or_none, limits.rate_min),
    )
    .off("any rate"),
    row(
        "drain-timeout",
        "TIME",
        "10s",
        "How long a shutdown waits for running requests",
        Effect::AtOnce,
        set!(duration, limits.drain_timeout),
    )
    .stays("one caller could put off the end for ever"),
    row(
        "max-drain-bytes",
        "SIZE",
        "16MiB",
        "How much of a refused body is read and discarded",
        Effect::NewConnections,
        set!(bytes, limits.drain_bytes_max),
    )
    .stays("a caller could send without end; 0 reads none of them"),
];
