// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A content within JSON: a string of base64, decoded in constant memory.

use std::io::Read;

use struson::reader::{JsonReader, JsonStreamReader};

use crate::error::Result;
use crate::routes::json_content::blocks::{BlockDecoder, NotBase64};
use crate::routes::json_content::metered::{Meter, Metered, StringPiece};
use crate::routes::json_content::{broken, unreadable};

/// A reader of the JSON of an import.
pub(crate) type ImportReader<R> = JsonStreamReader<Metered<R>>;

/// Where decoded bytes go.
pub(crate) type ContentSink<'a> = &'a mut dyn FnMut(&[u8]) -> Result<()>;

/// Reads a string that `reader` has peeked at, and says whether all of it is base64, or where it is not.
pub(crate) fn embedded<R: Read>(
    reader: &mut ImportReader<R>,
    meter: &Meter,
    sink: ContentSink<'_>,
) -> Result<std::result::Result<(), NotBase64>> {
    let (decoded, behind) = decode(reader, meter, sink)?;

    // The reader takes the quote at the end; after bad base64 it reads the rest of the string, so that
    // bad JSON is found and the members behind it are seen.
    let mut string = reader.next_string_reader().map_err(unreadable)?;
    let mut rest = [0; 4096];
    let mut has_rest = false;

    while string.read(&mut rest).map_err(broken)? > 0 {
        has_rest = true;
        meter.is_content();
    }

    Ok(decoded.and(if has_rest { Err(behind) } else { Ok(()) }))
}

/// Decodes a string as far as it is base64, and says whether it may end there, and what it is to go on.
fn decode<R: Read>(
    reader: &mut ImportReader<R>,
    meter: &Meter,
    sink: ContentSink<'_>,
) -> Result<(std::result::Result<(), NotBase64>, NotBase64)> {
    let seen = reader.current_position(false).data_pos;
    let source = reader.reader_mut();
    // The quote has been seen, but counts only when its string is read.
    debug_assert_eq!(
        seen,
        source.handed().checked_sub(1),
        "the reader has read ahead"
    );

    let mut decoder = BlockDecoder::new(PLAIN_BYTES);

    loop {
        // Content is bounded by its own limit.
        meter.is_content();
        // Only a full buffer is written, even where line breaks cut the text into small pieces.
        if decoder.room() == 0 {
            sink(decoder.drain())?;
        }

        let (decoded, count) = match source.piece()? {
            StringPiece::Other => break,
            StringPiece::Text(text) => {
                let text = &text[..text.len().min(decoder.room())];
                (decoder.decode(text), text.len())
            }
            // Python's encoder breaks lines, and its decoder drops all blanks.
            StringPiece::Escape(byte, length) if byte.is_ascii_whitespace() => {
                decoder.skip();
                (Ok(()), length)
            }
            StringPiece::Escape(byte, length) => (decoder.decode(&[byte]), length),
        };

        // A piece that is not base64 stays, because it may be no JSON either.
        if decoded.is_err() {
            return Ok((decoded, decoder.here()));
        }

        source.take(count)?;
    }

    sink(decoder.drain())?;

    Ok((decoder.complete(), decoder.here()))
}

/// How much is written at a time: what 64 KiB of text decode to, and what a decoder keeps free.
const PLAIN_BYTES: usize = 48 * 1024 + 3;

#[cfg(test)]
mod tests {
    use std::io;
    use std::rc::Rc;

    use base64::Engine as _;
    use base64::alphabet::STANDARD;
    use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
    use proptest::prelude::*;
    use serde_json::{Map, Value};
    use struson::reader::ValueType;

    use super::*;
    use crate::error::{Error, ErrorKind};
    use crate::routes::json_content::invalid_json;

    /// Yields no byte behind the next of its ends at once, and an interruption before each piece.
    struct Pieces<'a> {
        bytes: &'a [u8],
        at: usize,
        ends: &'a [usize],
        is_interrupted: bool,
    }

    impl Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.is_interrupted = !self.is_interrupted;
            if self.is_interrupted {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let next = self.ends.iter().find(|end| **end > self.at);
            let end = next.map_or(self.bytes.len(), |end| *end);
            let count = (&self.bytes[self.at..end]).read(buffer)?;
            self.at += count;
            Ok(count)
        }
    }

    /// The last content of an object, `None` within if it is not base64.
    type Found = Result<Option<Option<Vec<u8>>>>;

    fn read(body: &[u8], ends: &[usize], meter: Meter) -> Found {
        let meter = Rc::new(meter);
        let pieces = Pieces {
            bytes: body,
            at: 0,
            ends,
            is_interrupted: false,
        };
        let source = Metered::new(pieces, Rc::clone(&meter));
        let mut reader = JsonStreamReader::new(source);
        let mut found = None;
        let members = members(&mut reader, &meter, &mut found);
        let end = members.and_then(|()| reader.consume_trailing_whitespace().map_err(unreadable));
        end.map_err(|error| meter.fault.take().unwrap_or(error))?;
        Ok(found)
    }

    fn members(
        reader: &mut ImportReader<Pieces<'_>>,
        meter: &Meter,
        found: &mut Option<Option<Vec<u8>>>,
    ) -> Result<()> {
        reader.begin_object().map_err(unreadable)?;
        while reader.has_next().map_err(unreadable)? {
            let name = reader.next_name_owned().map_err(unreadable)?;
            let kind = reader.peek().map_err(unreadable)?;
            if (name.as_str(), kind) == ("content_b64", ValueType::String) {
                let mut plain = Vec::new();
                let is_base64 = embedded(reader, meter, &mut |bytes| {
                    plain.extend_from_slice(bytes);
                    Ok(())
                })?;
                *found = Some(is_base64.is_ok().then_some(plain));
            } else {
                reader.skip_value().map_err(unreadable)?;
            }
        }
        reader.end_object().map_err(unreadable)
    }

    /// The same, read all at once.
    fn expected(body: &[u8]) -> Found {
        let members: Map<String, Value> =
            serde_json::from_slice(body).map_err(|_| invalid_json())?;
        let lenient = GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
        let engine = GeneralPurpose::new(&STANDARD, lenient);
        let text = members.get("content_b64").and_then(Value::as_str);
        Ok(text.map(|text| {
            let compact: String = text
                .split(|blank: char| blank.is_ascii_whitespace())
                .collect();
            engine.decode(compact).ok()
        }))
    }

    #[track_caller]
    fn agrees(body: &[u8], ends: &[usize]) {
        let outcome = |found: Found| found.map_err(|error| (error.kind(), error.to_string()));
        let got = outcome(read(body, ends, Meter::bounded(1 << 20, None)));
        assert!(
            got == outcome(expected(body)),
            "{:?} in pieces to {ends:?}: {got:?}",
            String::from_utf8_lossy(body)
        );
    }

    /// In each two pieces, and byte by byte.
    #[track_caller]
    fn agrees_in_pieces(body: &[u8]) {
        for end in 0..body.len() {
            agrees(body, &[end]);
        }
        agrees(body, &(0..body.len()).collect::<Vec<_>>());
    }

    #[test]
    fn strings_mean_what_json_says_at_every_split() {
        for text in [
            "",
            "QUJD",
            "QQ==",
            "QQ",
            "Q",
            "QQ==QQ==",
            "QQ== ",
            "Q Q = =",
            "QR==",
            "-_-_",
            r"\/\/\/\/",
            r"\u0051UJD",
            r"QU\u002b\u002F",
            r"QUJD\r\nQUJD\n",
            r"QQ\u003D=\t\f",
            r"\u0020QUJD",
            r"QUJD\u00f6",
            r"QUJD\ud83d\udc1dQUJD",
            r"QUJD\u0000",
            r"QUJD\b",
            r#"QU\"JD"#,
            r"QUJD\\",
            r"\\u0051QQQ",
            r"QUJD\u+051",
            r"QUJD\ud83d",
            r"QUJD\udc1dx",
            r"QUJD\x",
            r"QUJD\u12",
            r"QUJD\u004",
            r"QUJD\",
            "QU\nJD",
            "QUJD\0",
            "QUJD\u{7f}",
            "QUJD\u{f6}QUJD",
            "!QUJD\u{1}",
            "!\\q",
            "QQ==\\q",
            "QQ==QQ==\\n\\u12",
            "Q\u{1f41d}",
        ] {
            agrees_in_pieces(format!(r#"{{"content_b64":"{text}"}}"#).as_bytes());
            agrees_in_pieces(format!(r#"{{"content_b64":"{text}"#).as_bytes());
        }
        for bytes in [
            &b"\xff"[..],
            b"QUJD\xff",
            b"!\xff",
            b"QUJD\xf0\x9f",
            b"QUJ\xc3QUJD",
            b"\\u004\xf6",
        ] {
            agrees_in_pieces(&[b"{\"content_b64\":\"", bytes, b"\"}"].concat());
        }
    }

    #[test]
    fn what_is_around_a_content_is_read_as_ever() {
        for body in [
            r#" { "content_b64" : "QUJD" , "x" : [ "a\"b", {"y":"\u0022"}, 1.5e3, null ] } "#,
            r#"{"content_b64":"QUJD","content_b64":"QQ=="}"#,
            r#"{"content_b64":"!","content_b64":"QQ=="}"#,
            r#"{"content_b64":"QQ==","content_b64":"!"}"#,
            r#"{"x":{"content_b64":"!"},"content_b64":"QQ=="}"#,
            r#"{"content\u005fb64":"QQ=="}"#,
            r#"{"x":"\\","content_b64":"QQ==","y":"\\\""}"#,
            r#"{"content_b64":"QQ=="}x"#,
            r#"{"content_b64":"QQ=="}{}"#,
            r#"{"content_b64":"QQ==",}"#,
            r#"{"content_b64":"QQ==""x":1}"#,
            r#"{"content_b64":"QQ==":1}"#,
            r#"{"content_b64":"QQ=="]"#,
            r#"{"content_b64" "QQ=="}"#,
            r#"{content_b64:"QQ=="}"#,
            "{\"\u{f6}\":\"\u{1f41d}\",\"content_b64\":\"QQ==\"}",
            "\u{feff}{}",
            "{",
            "",
        ] {
            agrees_in_pieces(body.as_bytes());
        }
    }

    #[test]
    fn contents_are_longer_than_the_buffers() {
        let bytes: Vec<u8> = (0..=250).cycle().take(300_000).collect();
        let text = base64::engine::general_purpose::STANDARD.encode(&bytes);
        let lines: Vec<_> = text
            .as_bytes()
            .chunks(76)
            .map(String::from_utf8_lossy)
            .collect();
        for text in [
            &text,
            &lines.join("\\n"),
            &lines.join(" "),
            &text.replace('/', "\\/"),
        ] {
            // An escape lies across the end of the buffer in some of these.
            for before in 0..7 {
                let body = format!(r#"{{"{}":0,"content_b64":"{text}"}}"#, "x".repeat(before));
                agrees(body.as_bytes(), &[]);
                agrees(body.as_bytes(), &[65_530, 65_533, 131_070]);
            }
        }
    }

    #[test]
    fn what_counts_is_what_was_read() {
        let error = |meter, body: &str| {
            let found = read(body.as_bytes(), &[], meter);
            found.map_err(|error| (error.kind(), error.message().to_owned()))
        };
        let around = "the JSON around the content is larger than this server allows";
        let before = "too much content before the password";
        let too_large = |text: &str| Err((ErrorKind::TooLarge, text.to_owned()));
        let content = format!(r#"{{"content_b64":"{}"}}"#, "QUJD".repeat(1000));
        let found = Ok(Some(Some(b"ABC".repeat(1000))));
        // A content does not count, not even a bad one; what is around it does.
        assert_eq!(error(Meter::bounded(100, None), &content), found);
        let bad = content.replace("QUJDQUJD\"", "!\"");
        assert_eq!(error(Meter::bounded(4096, None), &bad), Ok(Some(None)));
        let blanks = content.replace(':', &format!(":{}", " ".repeat(100)));
        assert_eq!(error(Meter::bounded(100, None), &blanks), too_large(around));
        // Before the password everything counts: escapes with all their bytes.
        let length = content.len() as u64;
        assert_eq!(error(Meter::bounded(100, Some(length)), &content), found);
        assert_eq!(
            error(Meter::bounded(100, Some(length - 1)), &content),
            too_large(before)
        );
        let escaped = content.replace("QUJD\"", "QUJ\\u0044\"");
        assert_eq!(
            error(Meter::bounded(100, Some(length)), &escaped),
            too_large(before)
        );
        let bad = content.replace("\"QUJD", "\"!");
        assert_eq!(
            error(Meter::bounded(4096, Some(3000)), &bad),
            too_large(before)
        );
    }

    #[test]
    fn an_error_of_the_source_is_told_as_it_is() {
        struct Failing(&'static [u8]);
        impl Read for Failing {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                match self.0.read(buffer)? {
                    0 => Err(
                        Error::new(ErrorKind::RequestTimeout, "the body came too slowly").into(),
                    ),
                    count => Ok(count),
                }
            }
        }
        for start in [
            &b"{\"content_b64\":\"QUJD"[..],
            b"{\"content_b64\":\"QUJD\\u00",
            b"{\"content_b64\":\"!",
        ] {
            let meter = Rc::new(Meter::bounded(1 << 20, None));
            let mut reader = JsonStreamReader::new(Metered::new(Failing(start), Rc::clone(&meter)));
            reader.begin_object().unwrap();
            reader.next_name_owned().unwrap();
            reader.peek().unwrap();
            embedded(&mut reader, &meter, &mut |_| Ok(())).unwrap_err();
            let fault = meter.fault.take().unwrap();
            assert_eq!(fault.kind(), ErrorKind::RequestTimeout);
        }
    }

    proptest! {
        #[test]
        fn bodies_in_pieces_mean_what_they_mean_as_a_whole(
            bytes in proptest::collection::vec(any::<u8>(), 0..400),
            extra in proptest::collection::vec((any::<u16>(), r#"\\n|\\/|\\u00[0-7][0-9a-f]|\\u[0-9a-f]{4}|[ =!"{}\\\n,:]|\PC"#), 0..4),
            ends in proptest::collection::vec(any::<u16>(), 0..5),
        ) {
            let text = base64::engine::general_purpose::STANDARD.encode(&bytes);
            let mut body = format!(r#"{{"x":["y"],"content_b64":"{text}","z":"\u0022"}}"#);
            for (at, extra) in extra {
                let at = usize::from(at) % (body.len() + 1);
                let at = (0..=at).rev().find(|at| body.is_char_boundary(*at)).unwrap();
                body.insert_str(at, &extra);
            }
            let mut ends: Vec<_> = ends.iter().map(|end| usize::from(*end) % (body.len() + 1)).collect();
            ends.sort_unstable();
            agrees(body.as_bytes(), &ends);
        }
    }
}
