// SPDX-License-Identifier: Apache-2.0 OR MIT
//! In which form a model may come: its plain bytes, whole or in pieces; everything else that a request may
//! mean is refused before it damages a model.

use crate::error::{Error, ErrorKind, Result};
use crate::http::{Fields, Method, Request};
use crate::routes::models::fields::Complete;

/// Refuses a request whose fields say that its body is not the plain bytes of a model.
///
/// # Errors
/// `BadRequest`, `UnsupportedType` or `LengthRequired`.
pub(crate) fn check_form(request: &Request<'_>, complete: Option<Complete>) -> Result<()> {
    let fields = request.fields();

    if fields.value("tus-resumable").is_some() {
        let text = "the upload protocol tus is not supported";
        return Err(Error::new(ErrorKind::BadRequest, text).hint(
            "in HTTP: send the whole model by PUT, or in pieces by draft-ietf-httpbis-resumable-upload",
        ));
    }

    if fields.value("content-range").is_some() {
        // RFC 9110 section 14.4: a part must never be taken for the whole.
        let text = "a Content-Range is not allowed when storing a model";
        return Err(Error::new(ErrorKind::BadRequest, text).hint("send the whole model"));
    }

    if media_type(fields).starts_with("multipart/") {
        let text = "the body is a form around the model, and not the model itself";
        return Err(Error::new(ErrorKind::UnsupportedType, text).hint(HOW_TO_SEND));
    }

    if let Some(coding) = fields
        .value("content-encoding")
        .filter(|coding| !coding.trim().eq_ignore_ascii_case("identity"))
    {
        let text = format!("the content coding {coding} is not supported");
        return Err(Error::new(ErrorKind::UnsupportedType, text).hint("send the plain bytes"));
    }

    // Nothing would be stored, and what was there before lost.
    let length = fields.value("content-length");
    if length.is_none()
        && fields.value("transfer-encoding").is_none()
        && complete != Some(Complete::No)
    {
        let text = "the request has no body: it has neither a Content-Length nor chunks";
        return Err(Error::new(ErrorKind::LengthRequired, text));
    }

    if request.method() == Method::Post && length == Some("0") && complete.is_none() {
        let text = "the request has an empty body, which would make the model empty";
        return Err(Error::new(ErrorKind::BadRequest, text)
            .hint("in HTTP: an empty model is stored by PUT"));
    }

    Ok(())
}

/// Refuses what `curl -d @FILE` makes of a text: it sends a form, without the line breaks of the file. What
/// `--data-binary` sends has the same type, but is whole, so the first bytes decide.
///
/// # Errors
/// `UnsupportedType`.
pub(crate) fn check_first_bytes(fields: &Fields, bytes: &[u8]) -> Result<()> {
    if media_type(fields) != "application/x-www-form-urlencoded" || !is_form(bytes) {
        return Ok(());
    }
    let text = "the body is a form, and not the bytes of a model";
    Err(Error::new(ErrorKind::UnsupportedType, text).hint(HOW_TO_SEND))
}

/// Whether bytes begin with the name of a field and a value that is written as in a form.
fn is_form(bytes: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"*-._+%".contains(byte);
    let name = bytes.iter().take_while(|byte| is_plain(byte)).count();
    let rest = &bytes[name..];

    name > 0
        && rest.first() == Some(&b'=')
        && rest[1..]
            .iter()
            .take(LOOKED_AT_BYTES)
            .all(|byte| is_plain(byte) || b"=&".contains(byte))
}

/// The media type without its parameters, in lower case.
fn media_type(fields: &Fields) -> String {
    let value = fields.value("content-type").unwrap_or_default();
    let name = value.split(';').next().unwrap_or_default();
    name.trim().to_ascii_lowercase()
}

const HOW_TO_SEND: &str = "send the plain bytes, for example with: curl -T FILE URL";

/// Of a value.
const LOOKED_AT_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_told_from_models() {
        assert!(is_form(b"file=abc%20d&x=y"));
        assert!(is_form(b"a="));
        for model in [
            &b""[..],
            b"=x",
            b"GGUF\x03\0",
            b"{\"a\"=1}",
            b"x = 1",
            b"x=\x001",
            b"ustar",
        ] {
            assert!(!is_form(model), "{model:?}");
        }
    }
}
