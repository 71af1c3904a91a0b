// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The text that is signed (RFC 9421 section 2.5).

use sfv::{BareItem, FieldType as _, InnerList, ListEntry};

use crate::access::message_signature::component::SignedRequest;
use crate::error::{Error, ErrorKind, Result};

/// The signature base of a request: a line for each component, and the parameters last.
///
/// # Errors
/// `Unauthenticated` for a component that the request does not have, is there twice, or is not known
/// here.
pub(crate) fn signature_base(request: &SignedRequest<'_>, input: &InnerList) -> Result<String> {
    let mut base = String::new();
    let mut seen = Vec::new();

    for item in &input.items {
        let BareItem::String(name) = &item.bare_item else {
            return Err(refused(
                "a component of the signature is not a string".to_owned(),
            ));
        };

        let name = name.as_str();
        if let Some((parameter, _)) = item.params.first() {
            let text = format!(
                "the parameter '{parameter}' of the signature's component '{name}' is not supported"
            );
            return Err(refused(text));
        }

        // Two lines of one name could be read as two different requests (RFC 9421 section 2.5).
        if seen.contains(&name) {
            return Err(refused(format!("the signature covers '{name}' twice")));
        }
        seen.push(name);

        let value = request.value(name).ok_or_else(|| {
            refused(format!(
                "the signature covers '{name}', which the request does not have"
            ))
        })?;
        base.push_str(&format!("\"{name}\": {value}\n"));
    }

    base.push_str("\"@signature-params\": ");
    base.push_str(&serialized(input));

    Ok(base)
}

/// A list with its parameters, as it stands in `Signature-Input`.
pub(crate) fn serialized(input: &InnerList) -> String {
    vec![ListEntry::InnerList(input.clone())]
        .serialize()
        .unwrap_or_default()
}

/// Names of components, which are those of fields or begin with `@`.
pub(crate) fn names(input: &InnerList) -> Vec<&str> {
    input
        .items
        .iter()
        .filter_map(|item| match &item.bare_item {
            BareItem::String(name) => Some(name.as_str()),
            _ => None,
        })
        .collect()
}

pub(crate) fn refused(text: String) -> Error {
    Error::new(ErrorKind::Unauthenticated, text)
}
