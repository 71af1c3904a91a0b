// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The target of a request: its form, and the decoded segments of its path.

use percent_encoding::{AsciiSet, utf8_percent_encode};

use crate::error::{Error, ErrorKind, Result};

/// The target in origin form. The absolute form is reduced to it, and leading slashes are folded, so
/// that no answer can be mistaken for a redirect to another host. Letters beyond ASCII are as good as their escapes:
/// there are clients that send them as they are.
pub(crate) fn target(sent: &str) -> Result<String> {
    let sent = &*utf8_percent_encode(sent, &AsciiSet::EMPTY).to_string();
    let is_visible = |byte: u8| matches!(byte, 0x21..=0x7e);
    if !sent.bytes().all(is_visible) || sent.contains('#') {
        return Err(bad("the target must be visible ASCII without a fragment"));
    }

    // The absolute form of a proxy (RFC 9112 section 3.2.2). Only letters and digits in front of
    // `://` make a scheme: elsewhere in a path, it is an ordinary text.
    let origin = match sent.find("://") {
        Some(colon)
            if sent[..colon]
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric()) =>
        {
            let authority = &sent[colon + 3..];
            match authority.find(['/', '?']) {
                Some(start) => &authority[start..],
                None => "/",
            }
        }
        _ => sent,
    };

    // The asterisk form of OPTIONS (RFC 9112 section 3.2.4).
    if sent == "*" {
        return Ok(sent.to_owned());
    }

    if !origin.starts_with(['/', '?']) || sent.starts_with('?') {
        return Err(bad("the target is not a path that starts with a slash"));
    }

    Ok(format!("/{}", origin.trim_start_matches('/')))
}

/// What stands between the slashes of the path, decoded (RFC 3986 section 3.3).
pub(crate) fn segments(target: &str) -> Result<Vec<String>> {
    let path = target.split('?').next().unwrap_or_default();
    if !are_escapes_whole(path) {
        return Err(bad(
            "a % in the path is not followed by two hexadecimal digits",
        ));
    }

    // The path is split before it is decoded: an escaped slash belongs to its segment and separates
    // nothing.
    let decoded = path.trim_start_matches('/').split('/').map(|segment| {
        let decoded = percent_encoding::percent_decode_str(segment).decode_utf8();
        decoded
            .map(Into::into)
            .map_err(|_| bad("the decoded path is not UTF-8"))
    });

    decoded.collect()
}

fn are_escapes_whole(path: &str) -> bool {
    let is_whole = |rest: &str| {
        let digits = rest.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    path.split('%').skip(1).all(is_whole)
}

fn bad(text: &str) -> Error {
    Error::new(ErrorKind::BadRequest, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_scheme_makes_a_target_absolute() {
        for (sent, path) in [
            ("/v1/models?a=b", "/v1/models?a=b"),
            ("http://other.example/v1/models", "/v1/models"),
            ("http://other.example?a=b", "/?a=b"),
            ("http://other.example", "/"),
            // Elsewhere, the same three characters are an ordinary text.
            (
                "/v1/models/http://other.example/m",
                "/v1/models/http://other.example/m",
            ),
            (
                "/m?at=http://other.example/v1",
                "/m?at=http://other.example/v1",
            ),
            ("//other.example/m", "/other.example/m"),
            ("/\u{e9}?\u{e9}", "/%C3%A9?%C3%A9"),
            ("*", "*"),
        ] {
            assert_eq!(target(sent).unwrap(), path);
        }
        for bad in ["", "m", "?a", "a-b://host/m", "/a#b", "/a b", "http:/m"] {
            assert_eq!(
                target(bad).unwrap_err().kind(),
                ErrorKind::BadRequest,
                "{bad}"
            );
        }
    }

    #[test]
    fn segments_are_split_before_they_are_decoded() {
        let read = |path: &str| segments(path).map(|all| all.join(" "));
        assert_eq!(read("/a%2Fb/%63?d/e").unwrap(), "a/b c");
        for bad in ["/%", "/%4", "/%4x", "/%ff"] {
            assert_eq!(
                read(bad).unwrap_err().kind(),
                ErrorKind::BadRequest,
                "{bad}"
            );
        }
    }
}
