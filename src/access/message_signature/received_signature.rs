// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A signature as a server receives it: found among others, read strictly, and compared with what it has
//! to cover.

use sfv::{BareItem, Dictionary, InnerList, ListEntry, Parser};

use crate::access::message_signature::component::SignedRequest;
use crate::access::message_signature::covered_fields::must_be_covered;
use crate::access::message_signature::signature_base::{names, refused, signature_base};
use crate::access::message_signature::{ALGORITHM, TAG};
use crate::access::secrets::CallerKey;
use crate::error::Result;

/// A signature that nobody has verified yet.
#[derive(Clone, PartialEq)]
pub(crate) struct ReceivedSignature {
    input: InnerList,
    signature: Vec<u8>,
    pub(crate) key: CallerKey,
    pub(crate) nonce: Option<String>,
    /// When it ends, in seconds since 1970.
    pub(crate) expires: Option<u64>,
}

impl ReceivedSignature {
    /// The one signature for a skep that a request has; `None` if it has none.
    ///
    /// # Errors
    /// `Unauthenticated` if there are several, or it cannot be read.
    pub(crate) fn find(request: &SignedRequest<'_>) -> Result<Option<Self>> {
        let Some(inputs) = dictionary(request, "signature-input")? else {
            return Ok(None);
        };

        let mut ours = inputs
            .into_iter()
            .filter_map(|(label, member)| match member {
                ListEntry::InnerList(input) if text(&input, "tag") == Some(TAG) => {
                    Some((label, input))
                }
                // Signatures for others, which proxies add and check.
                _ => None,
            });

        let (label, input) = match (ours.next(), ours.next()) {
            (None, _) => return Ok(None),
            (Some(only), None) => only,
            (Some(_), Some(_)) => {
                return Err(refused(format!(
                    "there are several signatures with the tag {TAG}"
                )));
            }
        };

        let signatures = dictionary(request, "signature")?.unwrap_or_default();
        let signature = match signatures.get(label.as_str()) {
            Some(ListEntry::Item(item)) => item.bare_item.as_byte_sequence(),
            _ => None,
        };
        let signature = signature
            .ok_or_else(|| refused(format!("the field Signature has no bytes labelled {label}")))?;

        Self::read(input, signature.to_vec()).map(Some)
    }

    fn read(input: InnerList, signature: Vec<u8>) -> Result<Self> {
        // What is not known could be a restriction.
        if let Some(unknown) = input
            .params
            .keys()
            .find(|key| !PARAMETERS.contains(&key.as_str()))
        {
            return Err(refused(format!(
                "the signature's parameter {unknown} is not supported"
            )));
        }

        if input.params.contains_key("alg") && text(&input, "alg") != Some(ALGORITHM) {
            return Err(refused(format!(
                "the only algorithm for signatures is {ALGORITHM}"
            )));
        }

        let key = text(&input, "keyid").and_then(|text| text.parse().ok());
        let key = key.ok_or_else(|| {
            refused(
                "the signature's keyid is not a public key in 43 letters of base64url".to_owned(),
            )
        })?;

        seconds(&input, "created")?;
        let expires = seconds(&input, "expires")?;
        let nonce = text(&input, "nonce").map(str::to_owned);

        Ok(Self {
            input,
            signature,
            key,
            nonce,
            expires,
        })
    }

    /// Checks that it covers all that the request means.
    ///
    /// # Errors
    /// `Unauthenticated` with the first part that is missing.
    pub(crate) fn check_coverage(&self, request: &SignedRequest<'_>) -> Result<()> {
        let covered = names(&self.input);
        let has = |name: &str| covered.contains(&name);
        let missing = |what: &str| Err(refused(format!("the signature does not cover {what}")));

        if !has("@method") {
            return missing("@method");
        }

        if !(has("@authority") || has("@target-uri") || has("host")) || request.host.is_empty() {
            return missing("@authority");
        }

        let has_query = has("@query") || !request.target.contains('?');
        if !(has("@request-target") || has("@target-uri") || has("@path") && has_query) {
            return missing("@request-target");
        }

        let mut fields = request.fields.iter().map(|(name, _)| *name);
        if let Some(name) = fields.find(|name| must_be_covered(name) && !has(name)) {
            return missing(&format!("the field {name}"));
        }

        if request.has_content && !has("content-digest") {
            return missing("content-digest, which a request with content needs");
        }

        Ok(())
    }

    /// Whether the holder of its key has signed this request.
    ///
    /// # Errors
    /// `Unauthenticated` if it covers what the request does not have, or what is not supported.
    pub(crate) fn is_of(&self, request: &SignedRequest<'_>) -> Result<bool> {
        let base = signature_base(request, &self.input)?;
        Ok(self.key.has_signed(base.as_bytes(), &self.signature))
    }
}

/// A field that is a dictionary (RFC 9651 section 3.2).
fn dictionary(request: &SignedRequest<'_>, name: &str) -> Result<Option<Dictionary>> {
    let Some(value) = request.field(name) else {
        return Ok(None);
    };
    let parsed = Parser::new(value.as_str()).parse();
    parsed.map(Some).map_err(|error| {
        refused(format!(
            "the field {name} is not a dictionary of structured fields"
        ))
        .because(error)
    })
}

/// A parameter that is a string.
pub(crate) fn text<'a>(input: &'a InnerList, name: &str) -> Option<&'a str> {
    match input.params.get(name)? {
        BareItem::String(text) => Some(text.as_str()),
        _ => None,
    }
}

/// A parameter that is a time.
fn seconds(input: &InnerList, name: &str) -> Result<Option<u64>> {
    let Some(value) = input.params.get(name) else {
        return Ok(None);
    };
    let seconds = match value {
        BareItem::Integer(seconds) => u64::try_from(i64::from(*seconds)).ok(),
        _ => None,
    };
    let unreadable = || refused(format!("the signature's parameter {name} is not a time"));
    seconds.map(Some).ok_or_else(unreadable)
}

/// Those of RFC 9421 section 2.3.
const PARAMETERS: &[&str] = &["created", "expires", "nonce", "alg", "keyid", "tag"];
