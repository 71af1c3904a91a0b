// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Whatever bytes are sent, handlers see as many requests as a strict reading of RFC 9112 allows. The
//! reading here is a second one, made from the RFC and the limits alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use skep::{Request, Response, Status};

use crate::support::raw::Running;

/// Counts the requests, with their bodies, before the first fault.
fn count(bytes: &[u8]) -> usize {
    let (mut rest, mut count) = (bytes, 0);
    while let Some((after, goes_on)) = request(rest) {
        count += 1;
        rest = after;
        if !goes_on {
            break;
        }
    }
    count
}

/// What follows a whole request, and whether another may follow.
fn request(bytes: &[u8]) -> Option<(&[u8], bool)> {
    let bytes = bytes.strip_prefix(b"\r\n").unwrap_or(bytes);
    let (first, mut rest) = line(bytes)?;
    let old = request_line(first)?;
    let mut fields = Vec::new();
    loop {
        let (next, after) = line(rest)?;
        rest = after;
        if next.is_empty() {
            break;
        }
        fields.push(field(next)?);
    }
    if bytes.len() - rest.len() > 16 * 1024 || fields.len() > 64 {
        return None;
    }
    let all = |name: &str| -> Vec<&str> {
        fields
            .iter()
            .filter(|field| field.0 == name)
            .map(|field| &*field.1)
            .collect()
    };
    match &all("host")[..] {
        [host] if !host.contains([' ', '/', '@', ',', '?', '#']) => {}
        [] if old => {}
        _ => return None,
    }
    let expected = all("expect").join(",");
    let is_100 = |member: &str| member.trim().eq_ignore_ascii_case("100-continue");
    if !old && !all("expect").is_empty() && !expected.split(',').all(is_100) {
        return None;
    }
    let rest = match (&all("content-length")[..], &all("transfer-encoding")[..]) {
        ([], []) => rest,
        ([length], []) if !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit()) => {
            rest.get(length.parse::<usize>().ok()?..)?
        }
        ([], [coding]) if !old && coding.eq_ignore_ascii_case("chunked") => chunks(rest)?,
        _ => return None,
    };
    let options = all("connection").join(",").to_ascii_lowercase();
    let has = |option| options.split(',').any(|member| member.trim() == option);
    Some((
        rest,
        if old {
            has("keep-alive") && !has("close")
        } else {
            !has("close")
        },
    ))
}

/// A line that ends in CR LF and has neither of the two elsewhere.
fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes
        .iter()
        .position(|byte| matches!(byte, b'\r' | b'\n'))?;
    Some((&bytes[..end], bytes[end..].strip_prefix(b"\r\n")?))
}

/// Whether it is HTTP/1.0.
fn request_line(line: &[u8]) -> Option<bool> {
    let parts: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let [method, target, version] = parts[..] else {
        return None;
    };
    let known: [&[u8]; 7] = [
        b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS",
    ];
    let path = target.split(|byte| *byte == b'?').next()?;
    let mut decoded = Vec::new();
    let mut index = 0;
    while index < path.len() {
        let hex = path
            .get(index + 1..index + 3)
            .and_then(|hex| str::from_utf8(hex).ok());
        let escape = hex.filter(|hex| path[index] == b'%' && !hex.starts_with('+'));
        match escape.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => decoded.push(byte),
            // RFC 3986 section 2.1.
            None if path[index] == b'%' => return None,
            None => decoded.push(path[index]),
        }
        index += if escape.is_some_and(|hex| u8::from_str_radix(hex, 16).is_ok()) {
            3
        } else {
            1
        };
    }
    let is_path = target.first() == Some(&b'/') || target == b"*";
    let is_clean = target
        .iter()
        .all(|byte| byte.is_ascii_graphic() && *byte != b'#');
    if !known.contains(&method) || !is_path || !is_clean || String::from_utf8(decoded).is_err() {
        return None;
    }
    match version {
        b"HTTP/1.0" if line.len() <= 8192 => Some(true),
        // A later minor version is read as the one that is known (RFC 9110 section 2.5).
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor] if line.len() <= 8192 => {
            minor.is_ascii_digit().then_some(false)
        }
        _ => None,
    }
}

fn field(line: &[u8]) -> Option<(String, String)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let is_text = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~' | 0x80..);
    if name.is_empty() || !name.iter().all(is_token) || !value.iter().all(is_text) {
        return None;
    }
    let text = String::from_utf8_lossy(value);
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    Some((name, text.trim_matches([' ', '\t']).to_owned()))
}

fn chunks(mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        let (text, after) = line(rest)?;
        let digits = text
            .iter()
            .take_while(|byte| byte.is_ascii_hexdigit())
            .count();
        let extension = &text[digits..];
        let start = extension.iter().find(|byte| !matches!(byte, b' ' | b'\t'));
        let is_text = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~');
        if !(extension.is_empty() || start == Some(&b';')) || !extension.iter().all(is_text) {
            return None;
        }
        let size = u64::from_str_radix(str::from_utf8(&text[..digits]).ok()?, 16).ok()?;
        if size == 0 {
            rest = after;
            break;
        }
        let size = usize::try_from(size).ok()?;
        rest = after.get(size..)?.strip_prefix(b"\r\n")?;
    }
    loop {
        let (text, after) = line(rest)?;
        rest = after;
        if text.is_empty() {
            return Some(rest);
        }
        let is_text = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~' | 0x80..);
        let is_field = text.contains(&b':') && !matches!(text[0], b' ' | b'\t' | b':');
        if !is_field || !text.iter().all(is_text) {
            return None;
        }
    }
}

fn requests() -> impl Strategy<Value = Vec<u8>> {
    let fields = prop::sample::select(vec![
        "",
        "",
        "",
        "Connection: close\r\n",
        "Connection: keep-alive\r\n",
        "Host: b\r\n",
        "Content-Length: 3\r\n",
        "content-length:\t4 \r\n",
        "Transfer-Encoding: chunked\r\n",
        "Expect: 100-continue\r\n",
        "Expect: x\r\n",
        "X: y\r\n z\r\n",
        "X : y\r\n",
        "X: \u{e9}\r\n",
    ]);
    let target = prop::sample::select(vec!["/", "/a/b?c=%41", "//x", "/%ff", "*", "x", "/a#b"]);
    let version = prop::sample::select(vec!["1.1", "1.1", "1.1", "1.1", "1.0", "1.2", "2.0"]);
    let body = prop::sample::select(vec![
        ("", ""),
        ("", ""),
        ("Content-Length: 6\r\n", "GET / "),
        ("Content-Length: 0\r\n", "\r\n"),
        ("Content-Length: 5\r\n", "1234"),
        ("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n00\r\n\r\n"),
        (
            "Transfer-Encoding: chunked\r\n",
            "a;b=c\r\n0123456789\r\n0\r\nX: y\r\n\r\n",
        ),
        ("Transfer-Encoding: chunked\r\n", "3 \r\nabc\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\n", "2\r\nabc\r\n0\r\n\r\n"),
        (
            "Transfer-Encoding: chunked\r\n",
            "2\r\nab2\r\ncd\r\n0\r\n\r\n",
        ),
    ]);
    (target, version, fields, body).prop_map(|(target, version, extra, (framing, body))| {
        let head = format!("PUT {target} HTTP/{version}\r\nHost: a\r\n{extra}{framing}\r\n{body}");
        head.into_bytes()
    })
}

/// Requests one after the other, most of them good; then some bytes are changed, added or taken out.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let good = "PUT /g HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok";
    let one = prop_oneof![3 => Just(good.as_bytes().to_vec()), 2 => requests()];
    let byte = prop::sample::select(b"\r\n\0 \t:;,0159xX%/\x80\xff".to_vec());
    let change = (any::<prop::sample::Index>(), byte, 0..3);
    let changes = prop_oneof![Just(0..1_usize), Just(1..4)];
    let changes = changes.prop_flat_map(move |range| prop::collection::vec(change.clone(), range));
    (prop::collection::vec(one, 1..8), changes).prop_map(|(requests, changes)| {
        let mut bytes = requests.concat();
        for (index, byte, how) in changes {
            let at = index.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        bytes
    })
}

#[test]
fn handlers_see_what_a_strict_reading_allows() {
    let seen = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&seen);
    let handler = move |request: &mut Request<'_>| match request.body().read_all(1 << 20) {
        Ok(_) => {
            counter.fetch_add(1, Ordering::SeqCst);
            Response::text(Status::OK, "seen")
        }
        Err(error) => Response::error(&error),
    };
    let server = Running::start(handler, |_| {});
    let total = AtomicUsize::new(0);
    proptest!(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() },
        |(bytes in stream())| {
            seen.store(0, Ordering::SeqCst);
            let mut raw = server.open();
            raw.send(&bytes);
            raw.end();
            let answers = raw.rest().expect("an end that is no reset");
            let answers = answers.windows(13).filter(|window| window == b"HTTP/1.1 200 ").count();
            let allowed = count(&bytes);
            let seen = seen.load(Ordering::SeqCst);
            prop_assert_eq!(seen, allowed, "seen and allowed");
            prop_assert_eq!(answers, allowed, "answered and allowed");
            total.fetch_add(allowed, Ordering::SeqCst);
        }
    );
    assert!(
        total.into_inner() > 200,
        "the mixture holds too few good requests"
    );
}
