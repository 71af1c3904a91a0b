// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Loads: models as base64 in JSON, encoded while they are sent.

use std::collections::BTreeMap;
use std::io::{self, Read};

use base64::engine::{Engine as _, GeneralPurposeConfig};
use serde_json::json;

use crate::access::{Principal, Right};
use crate::error::{Error, ErrorKind, Result};
use crate::http::{self, Request, Response, Status};
use crate::model::ModelName;
use crate::routes::allowance::BodyTally;
use crate::routes::api::{Api, Known};
use crate::routes::dearning::load_request::{LoadRequest, Names, Scalar};
use crate::routes::dearning::refusals::{invalid_password, opened};
use crate::routes::json_content::blocks::{BlockEngine, QUANTUM, engine};
use crate::routes::json_content::invalid_json;
use crate::store::{self, OpenedModel, Store};

pub(crate) fn run(
    api: &Api,
    request: &mut Request<'_>,
    known: Option<Principal>,
) -> Result<Response> {
    // Somebody who has shown nothing yet may send little.
    let most = api.limits.now().json_bytes_max;
    let most = match known {
        Some(_) => most,
        None => most.min(STRANGERS_BYTES_MAX),
    };
    let body = request.body().read_all(most)?;

    // What is skipped has to be text as well.
    str::from_utf8(&body).map_err(|_| invalid_json())?;
    let wanted: LoadRequest = serde_json::from_slice(&body).map_err(|_| invalid_json())?;
    if wanted.is_empty {
        return Err(invalid_json());
    }

    let tally = BodyTally::of(request);
    let opened = |password: &str| {
        opened(
            (api, request.peer()),
            tally.as_deref(),
            password,
            Right::Read,
        )
    };

    let principal = match (&wanted.password, known) {
        (Some(Scalar::Text(password)), _) => opened(password)?,
        (None, Some(principal)) => principal.needs(Right::Read).map(|()| principal)?,
        _ => return Err(invalid_password()),
    };

    request.session().insert(Known(Some(principal)));
    let asked_for = wanted.asked_for();

    // The newer form counts where both are there.
    let answered = match (wanted.filenames, wanted.filename) {
        (Some(Names::List(names)), _) => several(api, names),
        (Some(Names::Null), _) => several(api, Vec::new()),
        (Some(Names::Other), _) => Err(not_names()),
        (None, Some(Scalar::Text(name))) if !name.is_empty() => single(api, &name),
        _ => Err(Error::new(ErrorKind::BadRequest, "missing filename")),
    };

    answered.map(|response| response.remarking(asked_for))
}

fn not_names() -> Error {
    Error::new(ErrorKind::BadRequest, "filenames is not a list of names")
}

/// The older form: one model, its content at the top.
fn single(api: &Api, path: &str) -> Result<Response> {
    let not_found = || Error::new(ErrorKind::NotFound, "not found");
    let name = ModelName::from_base(path).map_err(|_| not_found())?;

    let stored = api
        .store
        .open_model(&api.store.spelled(&name))
        .map_err(|error| match error.kind() {
            ErrorKind::NotFound => not_found(),
            _ => error,
        })?;

    let start = format!(
        "{{\"status\": \"ok\", \"filename\": {}, \"content_b64\": \"",
        json!(name.as_str())
    );

    // The length of base64 is known before anything is encoded, so the answer needs no chunks.
    let length = start.len() as u64 + stored.model.size.div_ceil(3) * 4 + 2;
    let reader = start_of(start)
        .chain(encoded(stored.content))
        .chain(&b"\"}"[..]);

    Ok(answer(http::Content::Reader(length, Box::new(reader))))
}

/// The newer form: a list in the order of the request, with an error for what is missing.
fn several(api: &Api, names: Vec<String>) -> Result<Response> {
    if names.len() > NAMES_MAX {
        let text = format!("more than {NAMES_MAX} names");
        return Err(Error::new(ErrorKind::TooLarge, text));
    }

    let entries = Entries {
        store: api.store.clone(),
        names: names
            .into_iter()
            .filter(|name| !name.is_empty())
            .collect::<Vec<_>>()
            .into_iter(),
        named: BTreeMap::new(),
        separator: "",
    };

    // Models are opened one after the other while the answer is sent, so its length is not known.
    let list = Flat {
        readers: entries,
        reader: None,
    };

    let start = start_of("{\"status\": \"ok\", \"files\": [".to_owned());

    Ok(answer(http::Content::Chunked(Box::new(
        start.chain(list).chain(&b"]}"[..]),
    ))))
}

fn answer(content: http::Content) -> Response {
    Response::new(Status::OK)
        .field("content-type", "application/json")
        .content(content)
}

fn start_of(text: String) -> io::Cursor<Vec<u8>> {
    io::Cursor::new(text.into_bytes())
}

/// Yields the entries of a list as readers.
struct Entries {
    store: Store,
    names: std::vec::IntoIter<String>,
    /// How often each model was named.
    named: BTreeMap<ModelName, usize>,
    separator: &'static str,
}

impl Iterator for Entries {
    type Item = Box<dyn Read + Send>;

    fn next(&mut self) -> Option<Self::Item> {
        let path = self.names.next()?;
        let separator = std::mem::replace(&mut self.separator, ", ");
        // The genuine server shows the name without folders, whether it is there or not.
        let shown = json!(path.rsplit('/').next().unwrap_or_default());
        let opened = ModelName::from_base(&path).and_then(|name| {
            let named = self.named.entry(name.clone()).or_default();
            *named += 1;
            if *named > TIMES_MAX {
                return Err(Error::new(ErrorKind::TooManyRequests, "named too often"));
            }
            self.store.open_model(&self.store.spelled(&name))
        });

        let error = match opened {
            Ok(OpenedModel { content, .. }) => {
                let start = format!("{separator}{{\"filename\": {shown}, \"content_b64\": \"");
                return Some(Box::new(
                    start_of(start).chain(encoded(content)).chain(&b"\"}"[..]),
                ));
            }
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::BadRequest) => {
                "not found"
            }
            Err(error) if error.kind() == ErrorKind::TooManyRequests => "named too often",
            Err(error) => {
                // The answer has begun, so that one bad file must not end it.
                log::error!("{path:?} cannot be loaded: {error}");
                "read failed"
            }
        };

        let entry = format!("{separator}{{\"filename\": {shown}, \"error\": \"{error}\"}}");

        Some(Box::new(start_of(entry)))
    }
}

/// Readers one after the other.
struct Flat<I> {
    readers: I,
    reader: Option<Box<dyn Read + Send>>,
}

impl<I: Iterator<Item = Box<dyn Read + Send>>> Read for Flat<I> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(reader) = &mut self.reader {
                match reader.read(buffer)? {
                    0 => self.reader = None,
                    count => return Ok(count),
                }
            }
            match self.readers.next() {
                Some(reader) => self.reader = Some(reader),
                None => return Ok(0),
            }
        }
    }
}

/// The base64 of a model's content.
fn encoded(content: store::StoredContent) -> Encoded {
    let source: Box<dyn Read + Send> = match content {
        store::StoredContent::Cached(bytes) => Box::new(io::Cursor::new(bytes)),
        store::StoredContent::File(file) => Box::new(file),
    };

    Encoded {
        source,
        engine: engine(GeneralPurposeConfig::new()),
        plain: vec![0; PLAIN_BYTES].into(),
        text: [0; QUANTUM],
        start: QUANTUM,
    }
}

/// Encodes what a reader yields.
struct Encoded {
    source: Box<dyn Read + Send>,
    engine: BlockEngine,
    plain: Box<[u8]>,
    /// A quantum for a caller that has no room for one; from `start` on it has not been read.
    text: [u8; QUANTUM],
    start: usize,
}

impl Encoded {
    /// Fills a buffer, which has room for a quantum, with as many quanta as it takes.
    fn encode(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // A whole number of triples, so that padding comes only at the end.
        let most = (buffer.len() / QUANTUM * 3).min(self.plain.len());
        let mut filled = 0;

        while filled < most {
            match self.source.read(&mut self.plain[filled..most]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }

        self.engine
            .encode_slice(&self.plain[..filled], buffer)
            .map_err(io::Error::other)
    }
}

impl Read for Encoded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.start == QUANTUM && buffer.len() >= QUANTUM {
            return self.encode(buffer);
        }

        if self.start == QUANTUM && !buffer.is_empty() {
            let mut text = [0; QUANTUM];
            // Padding makes the last quantum whole, too.
            self.start -= self.encode(&mut text)?;
            self.text = text;
        }

        let count = (&self.text[self.start..]).read(buffer)?;
        self.start += count;

        Ok(count)
    }
}

/// Of a body whose password has not been seen yet.
const STRANGERS_BYTES_MAX: usize = 64 * 1024;

/// Names in one request.
const NAMES_MAX: usize = 1000;

/// How often a list sends one model: a short request must not be answered by a thousand times the largest.
const TIMES_MAX: usize = 2;

/// How much is encoded at a time; a multiple of three.
const PLAIN_BYTES: usize = 48 * 1024;

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn base64_has_padding_only_at_its_end() {
        let edge = PLAIN_BYTES;
        for length in [0, 1, 2, 3, 4, edge - 1, edge, edge + 1, 2 * edge + 2] {
            let bytes: Vec<u8> = (0..=250).cycle().take(length).collect();
            for room in [1, 3, 4, 7, 4096, edge / 3 * 4 + 5, 4 * edge] {
                let content = store::StoredContent::Cached(bytes.clone().into());
                let (mut source, mut text) = (encoded(content), Vec::new());
                let mut buffer = vec![0; room];
                loop {
                    match source.read(&mut buffer).unwrap() {
                        0 => break,
                        count => text.extend_from_slice(&buffer[..count]),
                    }
                }
                let expected = STANDARD.encode(&bytes);
                assert!(text == expected.as_bytes(), "{length} into {room}");
            }
        }
    }
}
