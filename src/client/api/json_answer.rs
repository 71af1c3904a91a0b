// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Answers of JSON, which are read as they come, with bounds for servers that do not end.

use std::fmt;
use std::io::{BufReader, Read as _};
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use ureq::Body;
use ureq::http::Response;
use ureq::http::header::CONTENT_LENGTH;

use crate::client::api::answers::not_skep;
use crate::client::api::content::AnswerContent;
use crate::client::api::failures::{ended, failed};
use crate::error::{Error, ErrorKind, Result};
use crate::text::counted;
use crate::wire::{FolderWire, KeptWire, ListWire, ModelWire};

/// The value in a body of JSON, which is read as it comes.
///
/// # Errors
/// `NotImplemented` if it is not what API v1 answers, `TooLarge` if it is far longer than that,
/// `Interrupted` if it is cut; otherwise those of the connection.
pub(crate) fn json<T: DeserializeOwned>(response: &mut Response<Body>) -> Result<T> {
    json_within(response, &mut JSON_BYTES_MAX.clone())
}

/// What is left for the pages of a list that are still to come.
#[derive(Clone)]
pub(super) struct ListBounds {
    bytes: u64,
    models: usize,
}

impl Default for ListBounds {
    fn default() -> Self {
        Self {
            bytes: LIST_BYTES_MAX,
            models: MODELS_MAX,
        }
    }
}

/// The list in the answer to `GET /v1/models`, or a page of it.
///
/// # Errors
/// As [`json`], and `TooLarge` for too many models.
pub(super) fn listed(response: &mut Response<Body>, bounds: &mut ListBounds) -> Result<ListWire> {
    let list: ModelList = json_within(response, &mut bounds.bytes)?;

    let folders = list.folders.as_ref().map_or(0, Vec::len);
    let members = list.models.len() + folders + list.kept.len();
    let left = bounds.models.checked_sub(members);
    bounds.models = left.ok_or_else(too_many)?;

    Ok(ListWire {
        schema: list.schema,
        models: list.models,
        folders: list.folders,
        kept: list.kept,
        next: list.next,
    })
}

/// Reads as many bytes as are left at most, of which there are fewer afterwards.
fn json_within<T: DeserializeOwned>(
    response: &mut Response<Body>,
    bytes_left: &mut u64,
) -> Result<T> {
    let bytes_max = *bytes_left;

    // Of a body of no bytes, ureq tells no length.
    let told = response.headers().get(CONTENT_LENGTH);
    let is_empty = told.is_some_and(|length| length == "0");
    let length = response.body().content_length();
    let length = length.or(is_empty.then_some(0));
    let mut reader = AnswerContent::within(response).take(bytes_max);
    let value = serde_json::from_reader(BufReader::new(&mut reader));
    let left = reader.limit();
    *bytes_left = left;

    // A body that is as long as announced and still ends too early was not cut: it is not ours.
    let is_short = length.is_none_or(|length| length > bytes_max - left);

    value.map_err(|error| {
        if error.is_io() {
            failed(error.into())
        } else if error.is_eof() && left == 0 {
            let text = format!("the answer has more than {}", counted(bytes_max, "byte"));
            Error::new(ErrorKind::TooLarge, text)
                .hint("is --server (SKEP_SERVER) the address of a skep server?")
        } else if error.is_eof() && is_short {
            ended().because(error)
        } else if error.to_string().starts_with(MODELS_MANY) {
            too_many()
        } else {
            not_skep().because(error)
        }
    })
}

#[derive(Deserialize)]
struct ModelList {
    schema: u32,
    #[serde(deserialize_with = "bounded")]
    models: Vec<ModelWire>,
    #[serde(default, deserialize_with = "bounded_or_none")]
    folders: Option<Vec<FolderWire>>,
    #[serde(default, deserialize_with = "bounded")]
    kept: Vec<KeptWire>,
    #[serde(default)]
    next: Option<String>,
}

fn bounded_or_none<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Vec<T>>, D::Error> {
    bounded(deserializer).map(Some)
}

fn too_many() -> Error {
    let models = counted(MODELS_MAX as u64, "model");
    let text = format!("the server lists more than {models}, which are too many for this client");
    Error::new(ErrorKind::TooLarge, text)
}

/// Ends a list that has no end.
fn bounded<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    struct Bounded<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Bounded<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of models")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut models = Vec::new();
            while let Some(model) = list.next_element()? {
                if models.len() == MODELS_MAX {
                    return Err(serde::de::Error::custom(MODELS_MANY));
                }
                models.push(model);
            }
            Ok(models)
        }
    }

    deserializer.deserialize_seq(Bounded(PhantomData))
}

/// A list of as many models as are read.
const LIST_BYTES_MAX: u64 = 32 << 20;

/// One model with some ten thousand versions.
const JSON_BYTES_MAX: u64 = 4 << 20;

/// Of a server that lies, so many fill some 30 MiB of memory.
const MODELS_MAX: usize = 1 << 17;

/// How a list with more of them is told from one that cannot be read.
const MODELS_MANY: &str = "too many models";
