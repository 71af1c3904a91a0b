// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The body of a commit: one JSON object a line (NDJSON), contents of files as base64, decoded straight to disk.
//!
//! Members come in any order, so a content is taken before it is known for which file it is.

use std::io::Read;
use std::rc::Rc;

use struson::reader::{JsonReader, JsonStreamReader, ReaderSettings, ValueType};

use crate::error::{Error, ErrorKind, Result};
use crate::routes::json_content::embedded::{ImportReader, embedded};
use crate::routes::json_content::metered::{Meter, Metered};
use crate::routes::json_content::unreadable;
use crate::store::{Store, Upload};
use crate::text::quotable;

/// One line.
pub(in crate::routes::hub) enum CommitLine {
    Header {
        parent: Option<String>,
    },
    File {
        path: String,
        content: Box<Upload>,
    },
    /// Bytes that are here, by their SHA-256 in hexadecimal.
    Known {
        path: String,
        oid: String,
    },
    DeletedFile(String),
    DeletedFolder(String),
}

/// Reads lines one by one; each is bounded, and memory stays constant.
pub(in crate::routes::hub) struct CommitLines<'a, R: Read> {
    reader: ImportReader<R>,
    meter: Rc<Meter>,
    store: &'a Store,
    /// Of one content.
    bytes_max: u64,
    has_begun: bool,
}

/// What a line may say, whatever it is.
#[derive(Default)]
struct LineParts {
    key: Option<String>,
    path: Option<String>,
    encoding: Option<String>,
    oid: Option<String>,
    parent: Option<String>,
    content: Option<Box<Upload>>,
}

impl<'a, R: Read> CommitLines<'a, R> {
    /// Those of a body. A line has so many bytes at most besides its content.
    pub(in crate::routes::hub) fn new(
        body: R,
        store: &'a Store,
        line_bytes_max: u64,
        bytes_max: u64,
    ) -> Self {
        let meter = Rc::new(Meter::bounded(line_bytes_max, None));
        // Paths would only serve messages that nobody gets to see.
        let settings = ReaderSettings {
            track_path: false,
            allow_multiple_top_level: true,
            ..ReaderSettings::default()
        };
        let metered = Metered::new(body, Rc::clone(&meter));
        Self {
            reader: JsonStreamReader::new_custom(metered, settings),
            meter,
            store,
            bytes_max,
            has_begun: false,
        }
    }

    /// The next line; `None` at the end.
    ///
    /// # Errors
    /// `BadRequest` for what is no line of a commit, `TooLarge` for a content beyond the bound; otherwise those of the
    /// connection and of the store.
    pub(in crate::routes::hub) fn next(&mut self) -> Result<Option<CommitLine>> {
        let read = self.read();
        // A limit or a broken connection shows up as bad JSON; what was kept says what it is.
        read.map_err(|error| self.meter.fault.take().unwrap_or(error))
    }

    fn read(&mut self) -> Result<Option<CommitLine>> {
        self.meter.is_content();
        // Before the first value, the reader of JSON must not be asked whether there is one.
        if std::mem::replace(&mut self.has_begun, true)
            && !self.reader.has_next().map_err(unreadable)?
        {
            return Ok(None);
        }

        let mut parts = LineParts::default();
        self.reader.begin_object().map_err(unreadable)?;
        while self.reader.has_next().map_err(unreadable)? {
            match self.reader.next_name_owned().map_err(unreadable)?.as_str() {
                "key" => parts.key = self.text()?,
                "value" => self.value(&mut parts)?,
                _ => self.reader.skip_value().map_err(unreadable)?,
            }
        }
        self.reader.end_object().map_err(unreadable)?;
        parts.line().map(Some)
    }

    fn value(&mut self, parts: &mut LineParts) -> Result<()> {
        self.reader.begin_object().map_err(unreadable)?;
        while self.reader.has_next().map_err(unreadable)? {
            match self.reader.next_name_owned().map_err(unreadable)?.as_str() {
                "path" => parts.path = self.text()?,
                "encoding" => parts.encoding = self.text()?,
                "oid" => parts.oid = self.text()?,
                "parentCommit" => parts.parent = self.text()?,
                "content" => parts.content = Some(self.content()?),
                _ => self.reader.skip_value().map_err(unreadable)?,
            }
        }
        self.reader.end_object().map_err(unreadable)
    }

    /// A string, or nothing where there is `null`.
    fn text(&mut self) -> Result<Option<String>> {
        match self.reader.peek().map_err(unreadable)? {
            ValueType::String => self.reader.next_string().map(Some).map_err(unreadable),
            ValueType::Null => self.reader.next_null().map(|()| None).map_err(unreadable),
            _ => Err(bad("a member of a line is not a string")),
        }
    }

    fn content(&mut self) -> Result<Box<Upload>> {
        if self.reader.peek().map_err(unreadable)? != ValueType::String {
            return Err(bad("a content is not a string"));
        }

        let mut upload = Box::new(self.store.upload(None)?);
        let bytes_max = self.bytes_max;
        let mut keep = |plain: &[u8]| {
            std::io::Write::write_all(&mut upload, plain)?;
            if upload.written() > bytes_max {
                let text = "a file is larger than this server allows";
                return Err(Error::new(ErrorKind::TooLarge, text));
            }
            Ok(())
        };
        match embedded(&mut self.reader, &self.meter, &mut keep)? {
            Ok(()) => Ok(upload),
            Err(fault) => {
                let text = format!("a content is not base64 at byte {}", fault.offset);
                Err(bad(&text))
            }
        }
    }
}

impl LineParts {
    fn line(self) -> Result<CommitLine> {
        let path = |path: Option<String>| path.ok_or_else(|| bad("a line has no path"));
        match self.key.as_deref() {
            Some("header") => Ok(CommitLine::Header {
                parent: self.parent,
            }),
            Some("file") => {
                let encoding = self.encoding.as_deref();
                if encoding.is_some_and(|encoding| encoding != "base64") {
                    return Err(bad("the encoding of a content is not base64"));
                }
                Ok(CommitLine::File {
                    path: path(self.path)?,
                    content: self.content.ok_or_else(|| bad("a file has no content"))?,
                })
            }
            Some("lfsFile") => Ok(CommitLine::Known {
                path: path(self.path)?,
                oid: self.oid.ok_or_else(|| bad("a file of LFS has no oid"))?,
            }),
            Some("deletedFile") => path(self.path).map(CommitLine::DeletedFile),
            Some("deletedFolder") => path(self.path).map(CommitLine::DeletedFolder),
            Some(other) => {
                let text = format!("no line of a commit is a '{}'", quotable(other));
                Err(bad(&text))
            }
            None => Err(bad("a line of a commit has no key")),
        }
    }
}

fn bad(text: &str) -> Error {
    Error::new(ErrorKind::BadRequest, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreOptions;

    /// What the lines of a body are, and how they end.
    fn lines(body: &str) -> (Vec<String>, Option<ErrorKind>) {
        let folder = tempfile::tempdir().unwrap();
        let options = StoreOptions {
            reserve_bytes: 0,
            ..StoreOptions::default()
        };
        let store = Store::open(folder.path(), options).unwrap();
        let mut lines = CommitLines::new(body.as_bytes(), &store, 4096, 10);
        let mut found = Vec::new();
        loop {
            match lines.next() {
                Ok(Some(line)) => found.push(match line {
                    CommitLine::Header { parent } => format!("header {parent:?}"),
                    CommitLine::File { path, content } => format!("{path} {}", content.written()),
                    CommitLine::Known { path, oid } => format!("{path} is {oid}"),
                    CommitLine::DeletedFile(path) => format!("-{path}"),
                    CommitLine::DeletedFolder(path) => format!("-{path}/"),
                }),
                Ok(None) => return (found, None),
                Err(error) => return (found, Some(error.kind())),
            }
        }
    }

    #[test]
    fn members_come_in_any_order() {
        let body = r#"
            {"key": "header", "value": {"summary": "s", "description": null, "parentCommit": "p"}}
            {"value": {"content": "QUJD", "encoding": "base64", "path": "a"}, "key": "file"}
            {"key": "file", "value": {"path": "b", "content": ""}}{"key": "lfsFile", "value":
            {"path": "c", "algo": "sha256", "oid": "d1", "size": 3}}
            {"key": "deletedFile", "value": {"path": "d"}}
            {"key": "deletedFolder", "value": {"path": "e/"}}"#;
        let expected = ["header Some(\"p\")", "a 3", "b 0", "c is d1", "-d", "-e//"];
        let (found, error) = lines(body);
        assert_eq!((found.join("|"), error), (expected.join("|"), None));
    }

    #[test]
    fn what_is_no_line_is_refused() {
        let file = |value: &str| format!("{{\"key\": \"file\", \"value\": {{{value}}}}}");
        let cases = [
            (String::new(), ErrorKind::BadRequest),
            ("[]".to_owned(), ErrorKind::BadRequest),
            ("{\"key\": \"file\"".to_owned(), ErrorKind::BadRequest),
            ("{\"value\": {}}".to_owned(), ErrorKind::BadRequest),
            (
                "{\"key\": \"copyFile\", \"value\": {}}".to_owned(),
                ErrorKind::BadRequest,
            ),
            (file(""), ErrorKind::BadRequest),
            (file("\"path\": \"a\""), ErrorKind::BadRequest),
            (
                file("\"path\": 1, \"content\": \"\""),
                ErrorKind::BadRequest,
            ),
            (
                file("\"path\": \"a\", \"content\": \"?\""),
                ErrorKind::BadRequest,
            ),
            (
                file("\"path\": \"a\", \"content\": \"\", \"encoding\": \"utf-8\""),
                ErrorKind::BadRequest,
            ),
            (
                file("\"path\": \"a\", \"content\": \"QUJDQUJDQUJDQUJD\""),
                ErrorKind::TooLarge,
            ),
            (
                file(&format!(
                    "\"path\": \"{}\", \"content\": \"\"",
                    "a".repeat(5000)
                )),
                ErrorKind::TooLarge,
            ),
        ];
        for (body, kind) in cases {
            assert_eq!(lines(&body), (vec![], Some(kind)), "{body}");
        }
        // Each line has room of its own.
        let many = "{\"key\": \"deletedFile\", \"value\": {\"path\": \"d\"}}\n".repeat(500);
        assert_eq!(lines(&many).0.len(), 500);
    }
}
