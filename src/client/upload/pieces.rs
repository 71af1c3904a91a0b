// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What uploads of files and of streams have in common: one piece of them, and what they may replace.

use crate::client::single_pass::Outcome;
use crate::client::transfer::Replaces;
use crate::client::upload::upload_path::UploadPath;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::signature::Signature;
use crate::text::has_date;

/// What one request appends to an upload.
pub(crate) struct Piece<'a> {
    pub(crate) location: &'a UploadPath,
    pub(crate) offset: u64,
    /// In bytes.
    pub(crate) length: u64,
    /// Whether the upload is complete with it.
    pub(crate) is_last: bool,
    /// The digest of the whole, where it is known.
    pub(crate) digest: Option<Digest>,
}

/// What came of a piece.
pub(crate) enum Appended {
    /// The server has it.
    Kept,
    /// It was the last one, and this is the model.
    Model(Model, Outcome),
    /// Something between here and the server takes no request of that size.
    TooLargeForTheWay(Error),
}

/// The size of the next attempt, in bytes, where a proxy refused a piece of `length`.
///
/// # Errors
/// `error` if smaller pieces make no sense any more.
pub(crate) fn smaller_piece(length: u64, error: Error) -> Result<u64> {
    // The usual limit of proxies is 1 MiB, which includes this size.
    match length {
        length if length > PROXY_BYTES => Ok(PROXY_BYTES),
        length if length > PIECE_BYTES_MIN => Ok((length / 4).max(PIECE_BYTES_MIN)),
        _ => Err(error),
    }
}

const PROXY_BYTES: u64 = 1 << 20;

pub(crate) const PIECE_BYTES_MIN: u64 = 16 << 10;

/// What an upload did whose answer was lost.
pub(crate) fn likely_outcome(replaces: Replaces) -> Outcome {
    match replaces {
        Replaces::Nothing => Outcome::Created,
        _ => Outcome::Replaced,
    }
}

/// The field that says when a file was modified, of nanoseconds since 1970; none for a time that has no date,
/// which nobody could show.
pub(crate) fn modified_field(nanos: i128) -> Option<(&'static str, String)> {
    let seconds = i64::try_from(nanos.div_euclid(1_000_000_000)).ok()?;
    has_date(seconds).then(|| ("skep-modified", seconds.to_string()))
}

/// The fields that say what an upload may replace, and who signed it.
pub(crate) fn intent_fields(
    replaces: Replaces,
    signature: Option<&Signature>,
) -> Vec<(&'static str, String)> {
    let mut fields = match replaces {
        Replaces::Anything => Vec::new(),
        Replaces::Nothing => vec![("if-none-match", "*".to_owned())],
        Replaces::Only(digest) => vec![("if-match", digest.etag())],
    };

    fields.extend(signature.map(|signature| ("skep-signature", signature.field())));

    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn what_a_proxy_refuses_is_tried_in_smaller_pieces_down_to_a_least_one() {
        let refusal = || Error::new(ErrorKind::TooLarge, "too large");
        let smaller = |length| smaller_piece(length, refusal()).ok();
        for (length, next) in [
            (u64::MAX, Some(PROXY_BYTES)),
            (PROXY_BYTES + 1, Some(PROXY_BYTES)),
            (PROXY_BYTES, Some(PROXY_BYTES / 4)),
            (PIECE_BYTES_MIN + 1, Some(PIECE_BYTES_MIN)),
            (PIECE_BYTES_MIN, None),
            (1, None),
        ] {
            assert_eq!(smaller(length), next, "{length}");
        }
    }

    #[test]
    fn a_time_that_has_a_date_is_told_in_seconds() {
        for (nanos, told) in [
            (1_999_999_999, Some("1")),
            (-1, Some("-1")),
            (0, Some("0")),
            (i128::MAX, None),
            (-1_000_000_000 * 100_000_000_000, None),
        ] {
            let field = modified_field(nanos);
            let expected = told.map(|text| ("skep-modified", text.to_owned()));
            assert_eq!(field, expected, "{nanos}");
        }
    }

    #[test]
    fn an_upload_that_may_replace_nothing_made_a_new_model() {
        assert_eq!(likely_outcome(Replaces::Nothing), Outcome::Created);
        assert_eq!(likely_outcome(Replaces::Anything), Outcome::Replaced);
    }
}
