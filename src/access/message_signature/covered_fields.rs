// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which fields of a request a signature has to cover: all that change what the request means to a
//! server of this house.

/// Whether a signature has to cover a field (its name in lower case), where the request has it.
pub(crate) fn must_be_covered(name: &str) -> bool {
    let is_of_family = FAMILIES.iter().any(|family| name.starts_with(family));
    (is_of_family || MEANINGFUL.contains(&name)) && !is_left_out(name)
}

fn is_left_out(name: &str) -> bool {
    LEFT_OUT.iter().any(|(left_out, _)| *left_out == name)
}

/// Whether it was decided for a field that this house reads whether it has to be covered.
#[cfg(test)]
pub(crate) fn is_known(name: &str) -> bool {
    must_be_covered(name) || is_left_out(name)
}

/// Fields that begin so: the conditions of a request, what its content is, what becomes of it.
const FAMILIES: &[&str] = &[
    "content-", "if-", "repr-", "skep-", "tus-", "upload-", "want-", "x-http-method",
];

const MEANINGFUL: &[&str] = &["accept-patch", "destination", "digest", "overwrite", "prefer", "range"];

/// Fields that are read somewhere and need not be covered, and why.
const LEFT_OUT: &[(&str, &str)] = &[
    ("authorization", "whoever shows a secret is not known by a signature"),
    ("connection", "belongs to one hop"),
    ("content-length", "the digest of the content says more; what frames it belongs to one hop"),
    ("expect", "only asks for an answer before the content; HTTP libraries add it late"),
    ("forwarded", "proxies add it; it is believed only of proxies that the settings name"),
    ("host", "covered by @authority or @target-uri"),
    ("keep-alive", "belongs to one hop"),
    ("origin", "can only have a request refused"),
    ("referer", "can only have a request refused"),
    ("sec-fetch-site", "can only have a request refused"),
    ("signature", "is the signature"),
    ("signature-input", "is covered as @signature-params"),
    ("transfer-encoding", "belongs to one hop"),
    ("upload-draft-interop-version", "only asks for interim answers"),
    ("user-agent", "only stands in the log"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_changes_the_meaning_has_to_be_covered() {
        for name in [
            "range",
            "if-match",
            "if-none-match",
            "if-modified-since",
            "if-unmodified-since",
            "if-range",
            "if-anything",
            "content-type",
            "content-digest",
            "content-encoding",
            "content-range",
            "repr-digest",
            "upload-complete",
            "upload-offset",
            "upload-length",
            "skep-signature",
            "skep-license",
            "want-content-digest",
            "prefer",
        ] {
            assert!(must_be_covered(name), "{name}");
        }
        for name in ["host", "content-length", "user-agent", "via", "accept", "x-request-id"] {
            assert!(!must_be_covered(name), "{name}");
        }
    }
}
