// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Uploads that come in pieces and survive whatever happens in between: the IETF draft
//! draft-ietf-httpbis-resumable-upload, as of its version 12 (interop version 8), and as clients of its
//! versions 01 to 11 (interop versions 3 to 7) speak it.
//!
//! A `PUT` or `POST` of a model that says `Upload-Complete` makes an upload resource; `HEAD` tells how
//! far it is, `PATCH` appends to it, and what completes it is answered as a plain `PUT` would be.

use std::io::Read as _;
use std::time::{Duration, Instant};

use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Request, Response, Status};
use crate::routes::api::Api;
use crate::routes::models::fields::{Complete, integer, length};
use crate::routes::models::storing::admit;
use crate::routes::models::upload_answers::{
    MEDIA_TYPE, YES, inconsistent, limits, mismatching, problem, progress, refusal, with_progress,
};
use crate::store::{AppendMode, UploadIntent, UploadSession};
use crate::text::counted;

/// `PUT` or `POST /v1/models/NAME` with `Upload-Complete` (draft section 4.2.2).
pub(crate) fn create(
    api: &Api,
    request: &mut Request<'_>,
    mut order: UploadIntent,
    complete: Complete,
) -> Result<Response> {
    let content = content_length(request);
    order.length = match length(request.fields(), content, 0, complete, None) {
        Ok(length) => length,
        Err(response) => return Ok(*response),
    };

    let content_digest =
        crate::routes::models::storing::digest(request.fields(), "content-digest")?;

    let piece = match (content_digest, complete) {
        (Some(digest), Complete::No) => AppendMode::Whole(digest),
        (Some(digest), Complete::Yes) => {
            // The content is the whole, and stays so when it has to be sent in pieces.
            order.digest = Digest::agreed(Some(digest), order.digest)?;
            AppendMode::Kept
        }
        (None, _) => AppendMode::Kept,
    };

    // All checks come before the upload resource exists, so a refused upload leaves nothing behind.
    if let Err(error) = check_size(api, request, 0, order.length) {
        return Ok(refusal(api, &error));
    }

    admit(api, &order)?;

    // Without an upload resource: the caller sends all again after a cut.
    let whole = |request: &mut Request<'_>| {
        let response = crate::routes::models::storing::store_whole(api, request, &order)?;
        Ok(response.field("upload-complete", YES))
    };

    if complete == Complete::Yes && interop(request).is_none() {
        // Nobody could tell the caller where to go on.
        return whole(request);
    }

    let turn = match api.store.begin(order.clone()) {
        // A whole one needs no upload resource; it only cannot be resumed (draft section 9.1).
        Err(error) if error.kind() == ErrorKind::Busy && complete == Complete::Yes => {
            return whole(request);
        }
        result => result?,
    };

    let location = location(&turn);

    let fields = [
        ("location", location.clone()),
        ("upload-limit", limits(api, turn.left())),
        ("upload-offset", "0".to_owned()),
    ];

    // The 104 tells the location before the content is read; it is what a caller needs after a cut.
    let told = match inform(request, &fields) {
        Ok(told) => told,
        // Nobody knows the name of the upload, so nobody could continue or remove it.
        Err(error) => {
            turn.remove()?;
            return Err(error);
        }
    };

    let response = receive(api, request, turn, piece, complete, told)?;

    // An upload that was begun but is not complete is answered 201 with its location (draft section
    // 4.2.2).
    Ok(match response.status() {
        Status::NO_CONTENT => response
            .with_status(Status::CREATED)
            .field("location", location),
        _ => response,
    })
}

/// The answer in the words of the caller's version of the draft.
fn in_version(response: Response, version: Option<u64>, offset: u64) -> Response {
    if version.is_none_or(|version| version >= INTEROP_VERSION) {
        return response;
    }

    // Earlier clients want to read from each answer how far they are, also from the last one.
    let response = if response.value("upload-offset").is_none() {
        response.field("upload-offset", offset.to_string())
    } else {
        response
    };

    match response.value("upload-complete") {
        Some(YES) => response.field("upload-incomplete", "?0"),
        Some(_) => response.field("upload-incomplete", YES),
        None => response,
    }
}

/// `HEAD /v1/uploads/ID`: how far an upload is (draft section 4.3.2).
pub(crate) fn tell(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    let turn = api.store.turn(id(request))?;
    let mut response = progress(api, &turn).field("cache-control", "no-store");
    response = in_version(response, interop(request), turn.offset());
    if let Some(length) = turn.order().length.or(turn.done().map(|_| turn.offset())) {
        response = response.field("upload-length", length.to_string());
    }

    Ok(match turn.done() {
        // For a caller that did not get the answer to its last request.
        Some(digest) => response.field("repr-digest", digest.field()),
        None => response,
    })
}

/// `PATCH /v1/uploads/ID`: appends to an upload (draft section 4.4.2).
pub(crate) fn append(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    let fields = request.fields();
    let media_type = fields
        .value("content-type")
        .and_then(|value| value.split(';').next());

    // Up to version 03 of the draft, the type is free.
    let is_free = interop(request).is_some_and(|version| version < TYPED_VERSION);
    if !is_free && !media_type.is_some_and(|value| value.trim().eq_ignore_ascii_case(MEDIA_TYPE)) {
        let text = format!("a piece of an upload needs the Content-Type {MEDIA_TYPE}");
        let error = Error::new(ErrorKind::UnsupportedType, text);
        return Ok(Response::error(&error).field("accept-patch", MEDIA_TYPE));
    }

    let missing = |field: &str, values: &str| {
        let text = format!("a piece of an upload needs {field}: {values}");
        Error::new(ErrorKind::BadRequest, text)
    };

    let complete = Complete::of(fields).ok_or_else(|| missing("Upload-Complete", "?0 or ?1"))?;
    let provided = integer(fields, "upload-offset").ok_or_else(|| missing("Upload-Offset", "N"))?;

    let piece = match crate::routes::models::storing::digest(fields, "content-digest")? {
        Some(digest) => AppendMode::Whole(digest),
        None => AppendMode::Kept,
    };

    let digest = crate::routes::models::storing::digest(fields, "repr-digest")?;
    let content = content_length(request);

    // From here on, this request alone can change the upload; an earlier one was ended.
    let mut turn = api.store.turn(id(request))?;

    if turn.done().is_some() {
        let response = match content {
            Some(0) => problem("completed-upload", "upload is already completed"),
            _ => inconsistent("the upload is complete and accepts no more bytes"),
        };
        return Ok(with_progress(response, &turn));
    }

    // The offset is compared before the content is read: a wrong piece costs nothing.
    let offset = turn.offset();
    if provided != offset {
        return Ok(with_progress(mismatching(offset, provided), &turn));
    }

    let length = match length(fields, content, offset, complete, turn.order().length) {
        Ok(length) => length,
        Err(response) => return Ok(with_progress(*response, &turn)),
    };

    if let Err(error) = check_size(api, request, offset, length) {
        return Ok(refusal(api, &error));
    }

    // Length and digest are durable before the bytes that they are about.
    turn.amend(length, digest)?;

    receive(api, request, turn, piece, complete, CallerKnows::Yes)
}

/// `DELETE /v1/uploads/ID`: gives an upload up (draft section 4.5.2).
pub(crate) fn cancel(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    api.store.turn(id(request))?.remove()?;
    Ok(Response::new(Status::NO_CONTENT))
}

/// Whether the caller knows the name of its upload.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CallerKnows {
    Yes,
    No,
}

/// Takes in what a request brings, and completes the upload where it says so.
fn receive(
    api: &Api,
    request: &mut Request<'_>,
    mut turn: UploadSession,
    piece: AppendMode,
    complete: Complete,
    told: CallerKnows,
) -> Result<Response> {
    match pour(request, &mut turn, piece) {
        Ok(Poured::All) => {}
        Ok(Poured::TooMuch) => {
            // Draft section 4.4.2: nothing may be done with it any more.
            turn.remove()?;
            return Ok(inconsistent(
                "more bytes arrived than the length of the upload",
            ));
        }
        Err(error) => {
            if told == CallerKnows::No {
                // Nobody knows its name, so nobody could continue it.
                turn.remove()?;
            }
            return match error.kind() {
                ErrorKind::TooLarge => Ok(refusal(api, &error)),
                _ => Err(error),
            };
        }
    }

    // To clients of earlier versions, the announced length is the end as well, whatever the last piece says.
    let version = interop(request);
    let is_earlier = version.is_some_and(|version| version < INTEROP_VERSION);
    let is_whole = turn.order().length == Some(turn.offset());
    if complete == Complete::No && !(is_earlier && is_whole) {
        return Ok(in_version(progress(api, &turn), version, turn.offset()));
    }

    // The caller said that this was the end, but the length of the upload says otherwise.
    if turn
        .order()
        .length
        .is_some_and(|length| length != turn.offset())
    {
        let response = inconsistent("the content ended before the upload was complete");
        return Ok(with_progress(response, &turn));
    }

    let (order, length) = (turn.order().clone(), turn.offset());

    match turn.commit() {
        Ok(published) => {
            let response = crate::routes::models::storing::stored(&published, &order)
                .field("upload-complete", YES);
            Ok(in_version(response, version, length))
        }
        // It was removed, and the field tells the caller that going on makes no sense.
        Err(error) if turn.is_over() => {
            let error = crate::routes::audit::told_outside(error);
            Ok(Response::error(&error).field("upload-complete", YES))
        }
        // It can be tried again, but only by a caller that knows its name.
        Err(error) => {
            if told == CallerKnows::No {
                turn.remove()?;
            }
            Err(error)
        }
    }
}

enum Poured {
    All,
    /// More than the length of the upload.
    TooMuch,
}

/// Appends a body to an upload. What came of it is kept when it is cut off.
fn pour(request: &mut Request<'_>, turn: &mut UploadSession, piece: AppendMode) -> Result<Poured> {
    let mut append = turn.append(piece, request.interrupter())?;
    let mut buffer = vec![0; crate::routes::models::storing::COPY_BYTES];
    let mut informed: Option<Instant> = None;

    loop {
        let written = match request.body().read(&mut buffer) {
            Ok(0) => return append.finish().map(|()| Poured::All),
            // Asked here and not left to `write`, because this mistake has an answer of its own.
            Ok(count) if count as u64 > append.room() => return Ok(Poured::TooMuch),
            Ok(count) => append.write(&buffer[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error.into()),
        };
        let told = written.and_then(|step| match step {
            // Not more often, so that a caller that does not read is never waited for.
            Some(offset) if informed.is_none_or(|last| last.elapsed() >= INFORM_PAUSE) => {
                informed = Some(Instant::now());
                inform(request, &[("upload-offset", offset.to_string())]).map(drop)
            }
            _ => Ok(()),
        });
        if let Err(error) = told {
            return Err(append.cut(error));
        }
    }
}

/// The version of the draft that the caller speaks, if it is one that is known here. Such a caller may be
/// sent a 104.
fn interop(request: &Request<'_>) -> Option<u64> {
    integer(request.fields(), INTEROP_FIELD)
        .filter(|version| (INTEROP_VERSION_MIN..=INTEROP_VERSION).contains(version))
}

/// Sends a 104 to callers of this draft (draft section 5 and appendix B).
fn inform(request: &mut Request<'_>, fields: &[(&str, String)]) -> Result<CallerKnows> {
    let Some(version) = interop(request) else {
        return Ok(CallerKnows::No);
    };

    let version = [(INTEROP_FIELD, version.to_string())];
    let fields = [&version, fields].concat();

    if request.inform(Status::UPLOAD_RESUMPTION_SUPPORTED, &fields)? {
        Ok(CallerKnows::Yes)
    } else {
        Ok(CallerKnows::No)
    }
}

/// Refuses what is too large, before any byte where that is known then.
fn check_size(
    api: &Api,
    request: &mut Request<'_>,
    offset: u64,
    length: Option<u64>,
) -> Result<()> {
    let bytes_max = api.limits.now().upload_bytes_max;
    if length.is_some_and(|length| length > bytes_max) {
        let text = format!("this server accepts at most {}", counted(bytes_max, "byte"));
        return Err(Error::new(ErrorKind::TooLarge, text));
    }

    request.body().limit(bytes_max.saturating_sub(offset))
}

fn location(turn: &UploadSession) -> String {
    format!("/v1/uploads/{}", turn.id())
}

fn id<'a>(request: &Request<'a>) -> &'a str {
    request.segments().last().copied().unwrap_or_default()
}

/// The length of the content; `None` if only its end will tell.
fn content_length(request: &mut Request<'_>) -> Option<u64> {
    request.body().length()
}

const INTEROP_FIELD: &str = "upload-draft-interop-version";

/// That of version 12 of the draft.
const INTEROP_VERSION: u64 = 8;

/// That of version 01 of the draft.
const INTEROP_VERSION_MIN: u64 = 3;

/// From version 04 of the draft on, pieces have a type of their own.
const TYPED_VERSION: u64 = 6;

/// How often a caller learns the offset, at most.
const INFORM_PAUSE: Duration = Duration::from_secs(1);
