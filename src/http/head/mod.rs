// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The head of a request, read strictly: whatever two readers could understand differently is refused.
//!
//! The rules are those of RFC 9112 where it says MUST for senders, without its leniences for
//! receivers: no bare LF, no obs-fold, no white space before a colon, one reading of the length.

mod request_target;
#[cfg(test)]
mod tests;
mod words;

use std::borrow::Cow;

use request_target::{segments, target};
pub(crate) use words::Framing;
pub use words::{Fields, Method, Version};

use crate::error::{Error, ErrorKind, Result};
use crate::limits::Limits;
use crate::text::quotable;

/// The head of a request (RFC 9112 section 2.1), checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The method.
    pub method: Method,
    /// The target in origin form, in visible ASCII; its path never begins with `//`.
    pub target: String,
    /// The segments of the target's path, decoded.
    pub(crate) segments: Vec<String>,
    /// The version.
    pub version: Version,
    /// The fields.
    pub fields: Fields,
    /// How the body is delimited.
    pub(crate) framing: Framing,
}

impl Head {
    /// Reads a head that ends with an empty line, for handlers that are tested without a socket.
    ///
    /// # Errors
    /// As an HTTP server would answer: `BadRequest`, `FieldsTooLarge`, `NotImplemented`, ...
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        parse(bytes, &Limits::default())
    }

    /// Whether the connection may carry another request after this one (RFC 9112 section 9.3).
    pub(crate) fn keeps_alive(&self) -> bool {
        match self.version {
            Version::Http11 => !self.fields.has_token("connection", "close"),
            Version::Http10 => {
                let is_in = |token| self.fields.has_token("connection", token);
                is_in("keep-alive") && !is_in("close")
            }
        }
    }

    /// Whether the body is read before the request is handled: it is small, and its caller sends it unasked.
    /// What counts in pieces is left to the handler, however small it is.
    pub(crate) fn has_early_body(&self) -> bool {
        let counts_in_pieces = || self.fields.value("upload-complete").is_some();
        match self.framing {
            Framing::Length(0) => true,
            Framing::Length(length) => {
                length <= PREFETCH_BYTES && !self.expects_continue() && !counts_in_pieces()
            }
            Framing::Chunked => false,
        }
    }

    /// Whether the caller waits for a 100 before it sends the body (RFC 9110 section 10.1.1).
    pub(crate) fn expects_continue(&self) -> bool {
        self.version == Version::Http11
            && self.framing != Framing::Length(0)
            && self.fields.has_token("expect", "100-continue")
    }
}

/// Where the head at the start of `bytes` ends, if it does. `from` says how many bytes were searched
/// before.
pub(crate) fn end(bytes: &[u8], from: usize) -> Option<usize> {
    let start = from.saturating_sub(3);
    let found = bytes[start..]
        .windows(4)
        .position(|window| window == b"\r\n\r\n")?;
    Some(start + found + 4)
}

/// Says early that what began cannot become a head that is served, so nobody waits for the rest.
pub(crate) fn check_start(bytes: &[u8]) -> Result<()> {
    // 0x16 begins a TLS handshake record (RFC 8446 section 5.1): somebody used https:// for a plain
    // port.
    if bytes.first() == Some(&0x16) {
        return Err(
            bad("this is a TLS handshake, but this port expects plain HTTP")
                .hint("use http:// instead of https://"),
        );
    }

    let line = bytes
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();

    // The connection preface of HTTP/2 (RFC 9113 section 3.4).
    if line.starts_with(b"PRI * HTTP/2") {
        let text = "HTTP/2 is not supported";
        return Err(Error::new(ErrorKind::VersionNotSupported, text).hint("use HTTP/1.1"));
    }

    // Checked before the line is complete, so that no caller can fill the buffer with one line.
    if line.len() > LINE_BYTES_MAX {
        let text = format!(
            "the request line is longer than {} KiB",
            LINE_BYTES_MAX / 1024
        );
        return Err(Error::new(ErrorKind::TargetTooLong, text));
    }

    // As soon as the request line is complete, it is checked whole; fields may still be missing.
    match bytes.iter().position(|byte| *byte == b'\n') {
        Some(position) if position == 0 || bytes[position - 1] != b'\r' => {
            Err(bad("a line ends in a bare LF"))
        }
        // So an HTTP/0.9 request, which has no empty line, is not waited for.
        Some(_) => check_request_line(bytes),
        None => Ok(()),
    }
}

/// Reads a whole head.
///
/// # Errors
/// One kind for each way HTTP has to refuse; the connection must then be closed.
pub(crate) fn parse(bytes: &[u8], limits: &Limits) -> Result<Head> {
    check_start(bytes)?;
    check_bytes(bytes)?;

    // The parser is more lenient than this server; what it would let pass was refused above.
    let mut fields = vec![httparse::EMPTY_HEADER; limits.fields_max];
    // A later minor version of HTTP/1 means what 1.1 means (RFC 9110 section 2.5), which is what the parser
    // knows.
    let as_known = as_known_version(bytes);
    let bytes = as_known.as_ref();
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) if length == bytes.len() => {}
        // The bytes were cut at their first empty line. Another end would mean that there are two
        // readings.
        Ok(_) => return Err(bad("the head does not end where its empty line is")),
        Err(httparse::Error::TooManyHeaders) => {
            let text = format!("the head has more than {} fields", limits.fields_max);
            return Err(Error::new(ErrorKind::FieldsTooLarge, text));
        }
        Err(error) => return Err(bad(format!("the head is malformed: {error}"))),
    }

    let version = match request.version {
        Some(0) => Version::Http10,
        _ => Version::Http11,
    };

    let method = method(request.method.unwrap_or_default())?;
    let target = target(request.path.unwrap_or_default())?;
    let segments = segments(&target)?;

    let fields = request
        .headers
        .iter()
        .map(|field| (field.name, latin1(field.value)))
        .collect();

    // What is said about several fields can be checked only now that all of them are known.
    let framing = framing(&fields, version)?;
    check_host(&fields, version)?;
    check_single(&fields)?;
    check_expectation(&fields, version)?;

    Ok(Head {
        method,
        target,
        segments,
        version,
        fields,
        framing,
    })
}

/// What no head may have anywhere: NUL, a CR or LF without the other, a line that continues the one
/// before (obs-fold), white space before a colon.
fn check_bytes(bytes: &[u8]) -> Result<()> {
    if bytes.contains(&0) {
        return Err(bad("the head contains a NUL byte"));
    }

    let lines = bytes.strip_suffix(b"\r\n\r\n").unwrap_or(bytes);
    let mut rest = lines;

    // A bare CR or LF is a line end for some readers only, and so a way to hide a second request
    // from a proxy (RFC 9112 section 11.2).
    while let Some(position) = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
        if !rest[position..].starts_with(b"\r\n") {
            return Err(bad("a line ends in a bare CR or LF"));
        }
        rest = &rest[position + 2..];
        if matches!(rest.first(), Some(b' ' | b'\t')) {
            return Err(bad("a field is continued on the next line (obs-fold)"));
        }

        let name = rest
            .split(|byte| matches!(byte, b':' | b'\r'))
            .next()
            .unwrap_or_default();
        if matches!(name.last(), Some(b' ' | b'\t')) {
            return Err(bad(
                "there is white space between a field name and its colon",
            ));
        }
    }
    Ok(())
}

/// The request line: three parts, one space between them, and a version of HTTP/1.
fn check_request_line(bytes: &[u8]) -> Result<()> {
    let line = bytes
        .split(|byte| *byte == b'\r')
        .next()
        .unwrap_or_default();

    // RFC 9112 section 3 lets receivers accept more white space, but then two of them can see
    // different targets.
    let mut parts = line.split(|byte| *byte == b' ');
    let (Some(_), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(bad("the request line is not METHOD TARGET HTTP/1.1"));
    };

    if target.is_empty() {
        return Err(bad("the request has no target"));
    }

    // What looks like another version is answered 505; anything else is no request at all.
    match version {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor] if minor.is_ascii_digit() => Ok(()),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            let text = "only HTTP/1.1 and HTTP/1.0 are supported";
            Err(Error::new(ErrorKind::VersionNotSupported, text))
        }
        _ => Err(bad("the request line has no HTTP version")),
    }
}

/// The head with 1.1 in place of a later minor version; its request line was checked before.
fn as_known_version(bytes: &[u8]) -> Cow<'_, [u8]> {
    let end = bytes.iter().position(|byte| *byte == b'\r');
    match end.and_then(|end| end.checked_sub(1)) {
        Some(minor) if bytes[minor] > b'1' => {
            let mut bytes = bytes.to_vec();
            bytes[minor] = b'1';
            Cow::Owned(bytes)
        }
        _ => Cow::Borrowed(bytes),
    }
}

fn method(name: &str) -> Result<Method> {
    Method::ALL
        .into_iter()
        .find(|method| method.as_str() == name)
        .ok_or_else(|| {
            Error::new(
                ErrorKind::NotImplemented,
                format!("the method {} is not supported", quotable(name)),
            )
        })
}

/// The one reading of a body's length (RFC 9112 section 6.3); whatever could have two is refused.
fn framing(fields: &Fields, version: Version) -> Result<Framing> {
    let mut lengths = fields.values("content-length");
    let mut codings = fields.values("transfer-encoding");
    let (length, coding) = (lengths.next(), codings.next());

    // Two lengths, or a length beside chunks, let a proxy and this server see different ends of the
    // body: requests could be smuggled (RFC 9112 section 11.2).
    if lengths.next().is_some() {
        return Err(bad("there is more than one Content-Length"));
    }
    if length.is_some() && coding.is_some() {
        return Err(bad(
            "there is both a Content-Length and a Transfer-Encoding",
        ));
    }

    if let Some(coding) = coding {
        if version == Version::Http10 {
            return Err(bad("HTTP/1.0 has no Transfer-Encoding"));
        }
        // Other codings would have to be undone before the content is known, and none of them is
        // needed here.
        if codings.next().is_some() || !coding.eq_ignore_ascii_case("chunked") {
            let text = "the only supported Transfer-Encoding is chunked";
            return Err(Error::new(ErrorKind::NotImplemented, text));
        }
        return Ok(Framing::Chunked);
    }

    // Without either field, a request has no body (RFC 9112 section 6.3).
    let Some(length) = length else {
        return Ok(Framing::Length(0));
    };

    // `parse` would accept a sign in front of the digits.
    let digits = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
    match length.parse::<u64>() {
        // One bit is left free, so that sums of two lengths cannot overflow.
        Ok(length) if digits && i64::try_from(length).is_ok() => Ok(Framing::Length(length)),
        _ => Err(bad(
            "the Content-Length is not a number of bytes below 2^63",
        )),
    }
}

/// HTTP/1.1 wants exactly one Host (RFC 9112 section 3.2).
fn check_host(fields: &Fields, version: Version) -> Result<()> {
    let mut hosts = fields.values("host");
    match (hosts.next(), hosts.next()) {
        (_, Some(_)) => Err(bad("there is more than one Host field")),
        (None, None) if version == Version::Http11 => Err(bad("there is no Host field")),
        (Some(host), None) if host.contains([' ', '/', '@', ',', '?', '#']) => {
            Err(bad("the Host field is not a host and a port"))
        }
        _ => Ok(()),
    }
}

/// Nothing but a 100 can be expected (RFC 9110 section 10.1.1); HTTP/1.0 knows no expectations.
fn check_expectation(fields: &Fields, version: Version) -> Result<()> {
    let mut members = fields.values("expect").flat_map(|value| value.split(','));
    if version == Version::Http11
        && members.any(|member| !member.trim().eq_ignore_ascii_case("100-continue"))
    {
        let text = "the only supported expectation is 100-continue";
        return Err(Error::new(ErrorKind::ExpectationFailed, text));
    }
    Ok(())
}

/// Fields that have one value; two readers might take different ones of several.
fn check_single(fields: &Fields) -> Result<()> {
    match SINGLE.iter().find(|name| fields.values(name).count() > 1) {
        Some(name) => Err(bad(format!("there is more than one {name} field"))),
        None => Ok(()),
    }
}

const SINGLE: [&str; 16] = [
    "authorization",
    "content-digest",
    "content-encoding",
    "content-range",
    "content-type",
    "if-modified-since",
    "if-range",
    "range",
    "repr-digest",
    "skep-license",
    "skep-modified",
    "skep-signature",
    "skep-source",
    "upload-complete",
    "upload-length",
    "upload-offset",
];

/// Field values are ISO 8859-1 by history (RFC 9110 section 5.5); what is UTF-8 is taken as such.
fn latin1(value: &[u8]) -> String {
    match str::from_utf8(value) {
        Ok(text) => text.to_owned(),
        Err(_) => value.iter().copied().map(char::from).collect(),
    }
}

fn bad(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::BadRequest, text)
}

/// A body of this size needs no worker while it arrives. It is in memory before anybody knows whose it is.
const PREFETCH_BYTES: u64 = 4 * 1024;

/// The longest request line without its CR LF: RFC 9112 section 3 asks for 8,000 bytes at least.
pub(crate) const LINE_BYTES_MAX: usize = 8 * 1024;
