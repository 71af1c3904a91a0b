// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a server's answer means: refusals become errors, and small JSON bodies become values.

use std::io::Read as _;
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use ureq::Body;
use ureq::http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG, HeaderName,
    LAST_MODIFIED, RETRY_AFTER, TRANSFER_ENCODING,
};
use ureq::http::{Response, StatusCode};

use crate::client::api::answer::Answer;
use crate::client::api::content::AnswerContent;
use crate::clock;
use crate::error::{Error, ErrorKind, Result};
use crate::text::quotable;
use crate::wire::Problem;

/// Passes an answer of success on.
///
/// # Errors
/// What the server says, for any other answer.
pub(crate) fn accepted(response: Response<Body>) -> Result<Response<Body>> {
    if response.status().is_success() {
        Ok(response)
    } else {
        Err(refusal(response))
    }
}

/// Passes an answer on whose body is a whole model, as it is, and whose end can be told from a cut.
///
/// # Errors
/// `NotImplemented` for any other.
pub(crate) fn whole(response: Response<Body>) -> Result<Response<Body>> {
    let status = response.status();
    if status == StatusCode::OK {
        // The page of a hotspot or of a proxy that asks for a login comes with the status of success, too.
        if let Some(shown) = other_type(&response) {
            return Err(unusable(format!(
                "the answer is not a model but {shown}, as of a page that something between here and the \
                 server sends"
            )));
        }
        framed(response)
    } else {
        Err(unusable(format!(
            "the server answered {status}, which is not a whole model"
        )))
    }
}

/// Whether an answer is the rest of `size` bytes from `start` on (RFC 9110 section 14.4).
pub(crate) fn is_rest(response: &Response<Body>, start: u64, size: u64) -> bool {
    let range = response
        .headers()
        .get(CONTENT_RANGE)
        .and_then(|value| value.to_str().ok());
    let wanted = format!("bytes {start}-{}/{size}", size.saturating_sub(1));
    response.status() == StatusCode::PARTIAL_CONTENT && range == Some(wanted.as_str())
}

fn unusable(what: String) -> Error {
    Error::new(ErrorKind::NotImplemented, what)
        .hint("is --server (SKEP_SERVER) the address of a skep, with nothing in between?")
}

/// Passes an answer on whose body is as it is, and whose end can be told from a cut.
///
/// # Errors
/// `NotImplemented` for any other.
pub(crate) fn framed(response: Response<Body>) -> Result<Response<Body>> {
    let unusable = |what: &str| Err(unusable(what.to_owned()));
    let fields = response.headers();

    // Each of several fields must have this value; where there is none, the value is the default.
    let is = |name: HeaderName, word: &str| {
        let mut values = fields.get_all(name).iter();
        values.all(|value| value.as_bytes().eq_ignore_ascii_case(word.as_bytes()))
    };

    // Nothing here decodes a coded body, whose bytes are not those of the model.
    if !is(CONTENT_ENCODING, "identity") {
        return unusable(
            "the server sent the model with a Content-Encoding that was not asked for",
        );
    }

    // A body that ends with the connection cannot be told from one that was cut. Transfer-Encoding
    // overrides Content-Length (RFC 9112 section 6.3).
    let has_end = if fields.contains_key(TRANSFER_ENCODING) {
        is(TRANSFER_ENCODING, "chunked")
    } else {
        fields.contains_key(CONTENT_LENGTH)
    };

    if has_end {
        Ok(response)
    } else {
        unusable("the server does not say where the model ends")
    }
}

/// What an answer is if it is no model: a model has the type of bytes, or none and an entity tag.
fn other_type(response: &Response<Body>) -> Option<String> {
    let fields = response.headers();
    let Some(value) = fields.get(CONTENT_TYPE) else {
        let has_tag = fields.contains_key(ETAG) || fields.contains_key("repr-digest");
        return (!has_tag).then(|| "something without a type and a tag".to_owned());
    };

    let text = String::from_utf8_lossy(value.as_bytes());
    let essence = text.split(';').next().unwrap_or_default().trim();
    (!essence.eq_ignore_ascii_case("application/octet-stream")).then(|| quotable(essence))
}

/// When the model of an answer was last changed, if the answer tells.
pub(crate) fn modified(response: &Response<Body>) -> Option<SystemTime> {
    let text = response
        .headers()
        .get(LAST_MODIFIED)
        .and_then(|value| value.to_str().ok());
    text.and_then(|text| httpdate::parse_http_date(text).ok())
}

/// Checks that an answer says that something is gone.
///
/// # Errors
/// `NotImplemented` for any other.
pub(crate) fn gone(response: &Response<Body>) -> Result<()> {
    match response.status() {
        StatusCode::NO_CONTENT => Ok(()),
        _ => Err(not_skep()),
    }
}

/// The value in an answer to a request of any kind.
///
/// # Errors
/// What the server says, for anything but success; otherwise as [`json`](crate::client::api::json).
pub(crate) fn reply<T: DeserializeOwned>(answer: Answer) -> Result<T> {
    let status = answer.status();
    let content_type = answer
        .field("content-type")
        .unwrap_or("no content type")
        .to_owned();

    let bytes = answer.read_all(1 << 16)?;

    match status {
        200..=299 => serde_json::from_slice(&bytes).map_err(|error| not_skep().because(error)),
        _ => Err(explain(status, None, &content_type, &bytes)),
    }
}

/// The answer is not what a skep says.
pub(crate) fn not_skep() -> Error {
    Error::new(ErrorKind::NotImplemented, "the answer is not one of API v1")
        .hint("is --server (SKEP_SERVER) the address of a skep server?")
}

/// Whether an answer is not one of a skep, but of something between here and there.
pub(crate) fn is_foreign(response: &Response<Body>) -> bool {
    let content_type = response.headers().get(CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    !content_type.is_some_and(|text| text.starts_with("application/problem+json"))
}

pub(crate) fn refusal(mut response: Response<Body>) -> Error {
    let status = response.status();
    let text = |name| {
        response
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
    };

    let content_type = text(CONTENT_TYPE).unwrap_or("no content type").to_owned();
    let wait = text(RETRY_AFTER).and_then(|when| wait_until(when, text(DATE)));
    let mut bytes = Vec::new();

    // A body that breaks off tells less, but the status stands.
    let _ = AnswerContent::within(&mut response)
        .small()
        .take(REFUSAL_BYTES_MAX)
        .read_to_end(&mut bytes);

    let mut error = explain(
        status.as_u16(),
        status.canonical_reason(),
        &content_type,
        &bytes,
    );

    if let Some(wait) = wait {
        error = error.again_after(wait);
        // The hint of a problem document is more specific than the one made here.
        if error.hint_text().is_none() {
            error = error.hint(match wait {
                WAIT_MAX => "the server wants to be left alone for a day or longer".to_owned(),
                _ => format!("try again in {} s", wait.as_secs()),
            });
        }
    }

    error
}

/// How long `Retry-After` asks to wait, at most [`WAIT_MAX`]: seconds, or a date (RFC 9110 section 10.2.3),
/// which is compared with the clock of the server if the answer has its `Date`. `None` for what is neither.
fn wait_until(when: &str, date: Option<&str>) -> Option<Duration> {
    if !when.is_empty() && when.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number can have are a long time, too.
        let seconds = Duration::from_secs(when.parse().unwrap_or(u64::MAX));
        return Some(seconds.min(WAIT_MAX));
    }

    let end = httpdate::parse_http_date(when).ok()?;
    let now = date.and_then(|date| httpdate::parse_http_date(date).ok());

    // A date that has passed means that it may be tried at once.
    let wait = end.duration_since(now.unwrap_or_else(clock::now));
    Some(wait.unwrap_or_default().min(WAIT_MAX))
}

/// The longest wait that is believed; what asks for more says nothing that anybody could wait for.
const WAIT_MAX: Duration = Duration::from_secs(24 * 3_600);

/// The error that a refusal tells of: a problem document, an error of the dearning API, or neither.
fn explain(status: u16, reason: Option<&str>, content_type: &str, body: &[u8]) -> Error {
    // A problem document (RFC 9457) without any words says less than the status line does.
    if content_type.starts_with("application/problem+json")
        && let Ok(problem) = serde_json::from_slice::<Problem>(body)
        && !(problem.detail.is_empty() && problem.title.is_empty())
    {
        return credentials(in_words_of_commands(problem).into_error(status));
    }

    let kind = match ErrorKind::from_answer(status, None) {
        // Whatever answered knows nothing of models, so it cannot say that one is not there.
        ErrorKind::NotFound if !is_ours(content_type) => ErrorKind::NotImplemented,
        kind => kind,
    };
    // The answer to a HEAD has no document, only its type.
    if content_type.starts_with("application/problem+json") && body.is_empty() {
        let text = match kind {
            ErrorKind::Unauthenticated => "the password is wrong, or none was given",
            ErrorKind::Forbidden => "the credentials do not allow this",
            _ => reason.unwrap_or("the server refuses this"),
        };
        return credentials(Error::new(kind, text));
    }
    // The dearning API is recognised by its body: the type `application/json` is everybody's.
    if let Ok(DearningError { error }) = serde_json::from_slice(body) {
        return dearning(status, &error);
    }

    let reason = reason.unwrap_or("with a status that is not known");

    // A proxy or another server may have answered, so its text is shown only if it is one short line.
    let said = match plain_words(content_type, body) {
        Some(words) => format!(": {}", words.trim_end_matches('.')),
        None => format!(" ({content_type})"),
    };

    let error = Error::new(kind, format!("the server answered {status} {reason}{said}"));

    if said.contains("use https://") {
        return error.hint("write https:// in --server (SKEP_SERVER)");
    }

    match kind {
        ErrorKind::Unauthenticated => credentials(error),
        // Any server may refuse so, also the right one: these are no sign of a wrong address.
        ErrorKind::Busy | ErrorKind::TooManyRequests => error,
        ErrorKind::TooLarge => error.hint(
            "a proxy between here and the server limits the size of requests: raise it there \
             (nginx: client_max_body_size)",
        ),
        ErrorKind::NotImplemented if status != 404 => {
            error.hint("if this is a dearning server, use 'skep post' and 'skep load'")
        }
        _ => error.hint("is --server (SKEP_SERVER) the address of a skep server?"),
    }
}

/// Leaves out of a hint what is for those who write HTTP by hand.
fn in_words_of_commands(problem: Problem) -> Problem {
    let hint = problem.hint.as_deref();
    let hint = hint.and_then(|hint| hint.split("in HTTP: ").next());
    let hint = hint.map(|hint| hint.trim_end_matches("; "));
    let hint = hint.filter(|hint| !hint.is_empty()).map(str::to_owned);
    Problem { hint, ..problem }
}

/// Whether an answer has a form in which a skep or a dearning server says what is wrong.
fn is_ours(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    ["application/problem+json", "application/json"]
        .iter()
        .any(|ours| essence.eq_ignore_ascii_case(ours))
}

/// A refusal in one short line of text, such as that of a TLS port to plain HTTP.
fn plain_words<'a>(content_type: &str, body: &'a [u8]) -> Option<&'a str> {
    let words = std::str::from_utf8(body).ok()?.trim();
    let is_line = !words.is_empty() && words.len() <= 200 && !words.contains(char::is_control);
    (content_type.starts_with("text/plain") && is_line).then_some(words)
}

/// The error in an answer of the dearning API, whose status 403 means a wrong password.
pub(crate) fn dearning(status: u16, text: &str) -> Error {
    // A list in an answer with the status 200 may report an error for its file.
    let kind = match (status, text) {
        (403, _) => ErrorKind::Unauthenticated,
        (200, "not found") => ErrorKind::NotFound,
        (200, _) => ErrorKind::BadRequest,
        _ => ErrorKind::from_answer(status, None),
    };

    let error = Error::new(kind, format!("the server says: {text}"));

    match (kind, text) {
        (ErrorKind::BadRequest, "missing filename or content") => {
            error.hint("a dearning server takes no empty files")
        }
        _ => credentials(error),
    }
}

/// Tells how to give a password here; what a server says is for those who write HTTP by hand.
fn credentials(error: Error) -> Error {
    match error.kind() {
        // Some hints of the server are about this very case.
        ErrorKind::Unauthenticated
            if error.hint_text().is_none_or(|hint| !hint.contains("skep ")) =>
        {
            error.hint(PASSWORD_HINT)
        }
        _ => error,
    }
}

#[derive(Deserialize)]
struct DearningError {
    error: String,
}

/// What helps where credentials are missing or wrong.
pub(crate) const PASSWORD_HINT: &str = "set SKEP_PASSWORD, or use --password-file or --password-stdin; \
     or pair with it: 'skep invite' there, 'skep pair' here";

const REFUSAL_BYTES_MAX: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_say_what_the_server_said() {
        let problem = br#"{"status":507,"code":"no-space","detail":"full","hint":"buy a disk"}"#;
        let error = explain(
            507,
            None,
            "application/problem+json; charset=utf-8",
            problem,
        );
        assert_eq!(
            (error.kind(), error.message()),
            (ErrorKind::NoSpace, "full")
        );
        assert_eq!(error.hint_text(), Some("buy a disk"));
        for (hint, shown) in [
            ("buy one; in HTTP: PUT less", Some("buy one")),
            ("in HTTP: PUT less", None),
        ] {
            let problem = format!(r#"{{"detail":"full","hint":"{hint}"}}"#);
            let error = explain(507, None, PROBLEM, problem.as_bytes());
            assert_eq!(error.hint_text(), shown, "{hint}");
        }
        let error = explain(413, None, "application/json", br#"{"error":"too big"}"#);
        assert_eq!(
            (error.kind(), error.message()),
            (ErrorKind::TooLarge, "the server says: too big")
        );
        let error = explain(404, Some("Not Found"), "text/html", b"<html>");
        assert_eq!(
            error.message(),
            "the server answered 404 Not Found (text/html)"
        );
        assert!(error.hint_text().unwrap().contains("skep"));
        // Another web server is no sign of a model that is not there.
        assert_eq!(error.kind(), ErrorKind::NotImplemented);

        let words = b"This port speaks HTTPS: use https:// instead of http:// for it.\r\n";
        let error = explain(400, Some("Bad Request"), "text/plain", words);
        assert!(
            error
                .to_string()
                .ends_with("for it; write https:// in --server (SKEP_SERVER)"),
            "{error}"
        );
    }

    const PROBLEM: &str = "application/problem+json";

    /// Status, type and body of an answer; the kind of the error, some of its words and of its hint.
    type Refusal = (
        u16,
        &'static str,
        &'static str,
        ErrorKind,
        &'static str,
        &'static str,
    );

    const REFUSALS: &[Refusal] = &[
        (403, PROBLEM, "", ErrorKind::Forbidden, "do not allow", ""),
        (
            401,
            PROBLEM,
            "",
            ErrorKind::Unauthenticated,
            "wrong",
            "pair",
        ),
        (409, PROBLEM, "", ErrorKind::Conflict, "reason", ""),
        // A document that says nothing is none.
        (403, PROBLEM, "{}", ErrorKind::Forbidden, "403", "a skep"),
        (404, JSON, "?", ErrorKind::NotFound, "404", "a skep"),
        (404, HTML, "?", ErrorKind::NotImplemented, "404", "a skep"),
        (
            501,
            HTML,
            "?",
            ErrorKind::NotImplemented,
            "501",
            "skep post",
        ),
        (401, HTML, "?", ErrorKind::Unauthenticated, "401", "pair"),
        (413, HTML, "?", ErrorKind::TooLarge, "413", "nginx"),
        (503, HTML, "?", ErrorKind::Busy, "503", ""),
    ];

    const JSON: &str = "application/json; x=y";
    const HTML: &str = "text/html";

    #[test]
    fn refusals_without_words_are_explained_by_status_and_type() {
        for (status, content_type, body, kind, words, hint) in REFUSALS {
            let error = explain(*status, Some("reason"), content_type, body.as_bytes());
            let case = format!("{status} {content_type} {body}: {error:?}");
            assert_eq!(error.kind(), *kind, "{case}");
            assert!(error.message().contains(words), "{case}");
            assert_eq!(error.hint_text().is_none(), hint.is_empty(), "{case}");
            let told = error.hint_text().unwrap_or_default();
            assert!(told.contains(hint), "{case}");
        }

        // What is for those who write HTTP by hand is left out.
        let body = br#"{"status":400,"code":"bad-request","detail":"no","hint":"do; in HTTP: x"}"#;
        let error = explain(400, None, PROBLEM, body);
        assert_eq!((error.message(), error.hint_text()), ("no", Some("do")));
    }

    #[test]
    fn words_of_other_servers_are_shown_if_they_are_one_short_line() {
        let (longest, longer) = ("x".repeat(200), "x".repeat(201));
        for (content_type, body, shown) in [
            ("text/plain; charset=utf-8", " hello\r\n", Some("hello")),
            ("text/plain", &longest, Some(&*longest)),
            ("text/plain", &longer, None),
            ("text/plain", "two\nlines", None),
            ("text/plain", "\u{1b}[31mred", None),
            ("text/plain", " \n", None),
            ("text/html", "hello", None),
        ] {
            let words = plain_words(content_type, body.as_bytes());
            assert_eq!(words, shown, "{content_type} {body}");
        }
    }

    #[test]
    fn errors_of_the_dearning_api_have_kinds_of_their_own() {
        for (status, text, kind) in [
            (403, "Forbidden", ErrorKind::Unauthenticated),
            (200, "not found", ErrorKind::NotFound),
            (200, "anything", ErrorKind::BadRequest),
            (404, "anything", ErrorKind::NotFound),
            (500, "anything", ErrorKind::Internal),
        ] {
            let error = dearning(status, text);
            assert_eq!(error.kind(), kind, "{status} {text}");
            let has_hint = error.hint_text() == Some(PASSWORD_HINT);
            assert_eq!(has_hint, status == 403, "{status} {text}");
        }
        let empty = dearning(400, "missing filename or content");
        assert!(empty.hint_text().unwrap().contains("no empty files"));
    }

    #[test]
    fn a_time_to_try_again_is_seconds_or_a_date() {
        let later = "Wed, 21 Oct 2026 07:28:30 GMT";
        let now = "Wed, 21 Oct 2026 07:28:00 GMT";
        let date = Some(now);
        for (when, date, seconds) in [
            ("7", None, Some(7)),
            (later, date, Some(30)),
            ("Wed, 21 Oct 2015 07:28:00 GMT", date, Some(0)),
            ("Wed, 21 Oct 2015 07:28:00 GMT", None, Some(0)),
            ("Wed, 21 Oct 2015 07:28:00 GMT", Some("today"), Some(0)),
            ("soon", date, None),
            ("-1", None, None),
            ("", None, None),
            ("4000000000", None, Some(86_400)),
            ("99999999999999999999999", None, Some(86_400)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", date, Some(86_400)),
        ] {
            let wait = wait_until(when, date);
            assert_eq!(wait, seconds.map(Duration::from_secs), "{when} {date:?}");
        }

        let response = Response::builder()
            .status(503)
            .header("retry-after", later)
            .header("date", now);
        let error = refusal(response.body(Body::builder().data("")).unwrap());
        assert_eq!(error.retry_after(), Some(Duration::from_secs(30)));
        assert_eq!(error.hint_text(), Some("try again in 30 s"));

        let response = Response::builder().status(503);
        let response = response.header("retry-after", "4000000000");
        let error = refusal(response.body(Body::builder().data("")).unwrap());
        let told = "the server wants to be left alone for a day or longer";
        assert_eq!(error.hint_text(), Some(told));
    }

    #[test]
    fn a_wrong_password_is_one_in_both_apis() {
        for (status, kind, body) in [
            (
                401,
                "application/problem+json",
                &br#"{"title":"Unauthorized"}"#[..],
            ),
            (401, "text/plain", b""),
            (403, "application/json", br#"{"error":"invalid password"}"#),
        ] {
            let error = explain(status, None, kind, body);
            assert_eq!(error.kind(), ErrorKind::Unauthenticated);
            assert!(
                error.hint_text().unwrap().contains("SKEP_PASSWORD"),
                "{error}"
            );
        }
        assert_eq!(dearning(200, "not found").kind(), ErrorKind::NotFound);
        let empty = dearning(400, "missing filename or content");
        assert!(empty.hint_text().unwrap().contains("no empty files"));
    }
}
