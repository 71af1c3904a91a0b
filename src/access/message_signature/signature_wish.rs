// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The field `Accept-Signature` (RFC 9421 section 5.1), in which a server says what it wants signed, and
//! gives a nonce for it.

use sfv::{ListEntry, Parser};

use crate::access::message_signature::received_signature::text;
use crate::access::message_signature::{ALGORITHM, TAG};

/// The value of the field, with a nonce.
pub(crate) fn accept_signature(nonce: &str) -> String {
    format!(
        "sig=(\"@method\" \"@authority\" \"@request-target\" \"content-digest\");\
         nonce=\"{nonce}\";alg=\"{ALGORITHM}\";tag=\"{TAG}\""
    )
}

/// The nonce in the value of a field, if a skep has written that.
pub(crate) fn wished_nonce(field: &str) -> Option<String> {
    let wishes: sfv::Dictionary = Parser::new(field).parse().ok()?;
    let ours = wishes.values().find_map(|wish| match wish {
        ListEntry::InnerList(wish) if text(wish, "tag") == Some(TAG) => text(wish, "nonce"),
        _ => None,
    });

    // It is sent back, and a server must not choose much of what is signed.
    let is_plain = |nonce: &&str| {
        (1..=NONCE_BYTES_MAX).contains(&nonce.len())
            && nonce
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };

    ours.filter(is_plain).map(str::to_owned)
}

const NONCE_BYTES_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_of_ours_is_found_among_others() {
        let field = accept_signature("ab-_9");
        assert_eq!(wished_nonce(&field).as_deref(), Some("ab-_9"));
        let both = format!("other=(\"@status\");nonce=\"x\";tag=\"else\", {field}");
        assert_eq!(wished_nonce(&both).as_deref(), Some("ab-_9"));
        for other in [
            "",
            "sig",
            "sig=();tag=\"skep\"",
            "sig=();nonce=\"x\"",
            "sig=();nonce=x;tag=\"skep\"",
            "sig=();nonce=\"a b\";tag=\"skep\"",
            "sig=();nonce=\"\";tag=\"skep\"",
            "sig=(;nonce=\"x\";tag=\"skep\"",
        ] {
            assert_eq!(wished_nonce(other), None, "{other}");
        }
    }
}
