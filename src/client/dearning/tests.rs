// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The streams of the dearning API against what they must yield, however they are cut.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::wrapped::PIECE_BYTES;
use super::*;

/// Yields one byte at a time.
struct Drip<'a>(&'a [u8]);

impl Read for Drip<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min(1);
        (&mut self.0).read(&mut buffer[..count])
    }
}

fn read(text: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let length = reply(Drip(text.as_bytes()), &mut |piece: &[u8]| {
        bytes.extend_from_slice(piece);
        Ok(())
    })?;
    assert_eq!(length, bytes.len() as u64);
    Ok(bytes)
}

#[test]
fn an_upload_is_as_long_as_computed_and_decodes() {
    for length in [
        0,
        1,
        2,
        3,
        4,
        5,
        PIECE_BYTES - 1,
        PIECE_BYTES,
        PIECE_BYTES + 1,
        200_000,
    ] {
        let source: Vec<u8> = (0..length).map(|byte| (byte % 251) as u8).collect();
        let mut seen = 0;
        let mut progress = |count| seen += count;
        let mut reader = &source[..];
        let head = r#"{"content_b64":""#.to_owned();
        let mut wrapped = Wrapped::new(head, &mut reader, length, &mut progress);
        let announced = wrapped.length();
        let mut text = String::new();
        wrapped.read_to_string(&mut text).unwrap();
        assert_eq!((text.len() as u64, seen), (announced, length));
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let content = value["content_b64"].as_str().unwrap();
        assert_eq!(STANDARD.decode(content).unwrap(), source);
    }
}

#[test]
fn a_file_that_shrinks_is_noticed() {
    let (mut reader, mut progress) = (&b"12"[..], |_| {});
    let mut wrapped = Wrapped::new(String::new(), &mut reader, 3, &mut progress);
    assert!(io::copy(&mut wrapped, &mut io::sink()).is_err());
}

#[test]
fn both_shapes_of_replies_are_read() {
    for text in [
        r#"{"status": "ok", "filename": "x", "content_b64": "aGVsbG8="}"#,
        r#"{"content_b64":"aGVsbG8=","cached":true,"status":"ok"} "#,
        r#"{"content_b64":"\u0061GVsbG8\u003d"}"#,
        r#"{"status":"ok","files":[{"filename":"../x","content_b64":"aGVsbG8="}]}"#,
        r#"{"files":[null,{"filename":"x","error":"not found"},{"content_b64":"aGVsbG8="}]}"#,
    ] {
        assert_eq!(read(text).unwrap(), b"hello", "{text}");
    }
    assert_eq!(read(r#"{"content_b64":""}"#).unwrap(), b"");
    let long = "A".repeat(400_000);
    assert_eq!(
        read(&format!(r#"{{"content_b64":"{long}"}}"#)).unwrap(),
        vec![0; 300_000]
    );
}

#[test]
fn errors_and_broken_replies_are_told_apart() {
    for (text, kind) in [
        (
            r#"{"files":[{"filename":"x","error":"not found"}]}"#,
            ErrorKind::NotFound,
        ),
        (
            r#"{"files":[{"filename":"x","error":"read failed"}]}"#,
            ErrorKind::BadRequest,
        ),
        (r#"{"status":"ok","files":[]}"#, ErrorKind::NotFound),
        (r#"{"content_b64":"aGVsbG8"}"#, ErrorKind::Integrity),
        (r#"{"content_b64":"a-_="}"#, ErrorKind::Integrity),
        ("<html>", ErrorKind::NotImplemented),
        ("[]", ErrorKind::NotImplemented),
        (r#"{"content_b64":5}"#, ErrorKind::NotFound),
    ] {
        assert_eq!(read(text).unwrap_err().kind(), kind, "{text}");
    }
    for cut in [
        r#"{"content_b64":"aGVs"#,
        r#"{"content_b64":"aGVs","#,
        r#"{"error":"no"#,
        "",
    ] {
        let error = read(cut).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Interrupted, "{cut}: {error}");
        assert_eq!(error.message(), "the server ended the connection");
    }
}

#[test]
fn the_first_content_counts_and_may_be_of_any_length() {
    let twice = r#"{"content_b64":"YQ==","files":[{"content_b64":"Yg=="}]}"#;
    assert_eq!(read(twice).unwrap(), b"a");

    // More than may come beside the content, and more than any buffer.
    let content: Vec<u8> = (0..6 << 20).map(|byte| (byte % 251) as u8).collect();
    let text = format!(r#"{{"content_b64":"{}"}}"#, STANDARD.encode(&content));
    let mut bytes = Vec::new();
    let mut sink = |piece: &[u8]| {
        bytes.extend_from_slice(piece);
        Ok(())
    };
    let length = reply(text.as_bytes(), &mut sink).unwrap();
    assert_eq!(length, content.len() as u64);
    assert!(bytes == content);
}

#[test]
fn what_was_stored_has_the_length_that_was_sent() {
    let answered = |size: &str| -> Imported { serde_json::from_str(size).unwrap() };
    let check = |text: &str| check_size(answered(text), "m", 5);
    assert!(check(r#"{"size":5}"#).is_ok() && check("{}").is_ok());
    assert_eq!(
        check(r#"{"size":4}"#).unwrap_err().kind(),
        ErrorKind::Integrity
    );
}
