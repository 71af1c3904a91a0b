// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Signing a request, on the client's side.

use sfv::{BareItem, InnerList, Item, Parameters};

use crate::access::message_signature::component::SignedRequest;
use crate::access::message_signature::covered_fields::must_be_covered;
use crate::access::message_signature::signature_base::{serialized, signature_base};
use crate::access::message_signature::{ALGORITHM, TAG};
use crate::access::secrets::DerivedKey;
use crate::error::{Error, ErrorKind, Result};

/// The values of `Signature-Input` and `Signature` for a request. Without a nonce, it only shows a server
/// that a signature is possible, and has it answer with one. `created` is a time in seconds since 1970.
///
/// # Errors
/// `Internal` if a part of the request cannot be covered.
pub(crate) fn sign(
    key: &DerivedKey,
    request: &SignedRequest<'_>,
    nonce: Option<&str>,
    created: Option<u64>,
) -> Result<(String, String)> {
    let unwritten = || Error::new(ErrorKind::Internal, "the request cannot be signed");
    let string = |text: &str| sfv::String::from_string(text.to_owned()).map_err(|_| unwritten());

    let mut covered = vec!["@method", "@authority", "@request-target"];
    for (name, _) in &request.fields {
        if must_be_covered(name) && !covered.contains(name) {
            covered.push(name);
        }
    }

    let mut items = Vec::new();
    for name in covered {
        items.push(Item::new(string(name)?));
    }

    let mut parameters = Parameters::new();
    let mut insert = |name: &'static str, value: BareItem| {
        parameters.insert(sfv::KeyRef::constant(name).to_owned(), value);
    };

    // A clock that was never set would only give away that it was not.
    if let Some(created) = created.and_then(|created| i64::try_from(created).ok()) {
        insert(
            "created",
            sfv::Integer::try_from(created)
                .map_err(|_| unwritten())?
                .into(),
        );
    }
    insert("keyid", string(&key.public().to_string())?.into());
    if let Some(nonce) = nonce {
        insert("nonce", string(nonce)?.into());
    }
    insert("alg", string(ALGORITHM)?.into());
    insert("tag", string(TAG)?.into());

    let input = InnerList::with_params(items, parameters);
    let base = signature_base(request, &input).map_err(|error| unwritten().because(error))?;

    let signature = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        key.sign(base.as_bytes()),
    );

    Ok((
        format!("sig={}", serialized(&input)),
        format!("sig=:{signature}:"),
    ))
}
