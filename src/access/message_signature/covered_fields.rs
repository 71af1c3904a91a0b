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

/// Fields that begin so: the conditions of a request, what its content is, what becomes of it.
const FAMILIES: &[&str] = &[
    "content-",
    "if-",
    "repr-",
    "skep-",
    "tus-",
    "upload-",
    "want-",
    "x-http-method",
];

const MEANINGFUL: &[&str] = &[
    "accept-patch",
    "destination",
    "digest",
    "overwrite",
    "prefer",
    "range",
];

/// Fields that are read somewhere and need not be covered, and why.
const LEFT_OUT: &[(&str, &str)] = &[
    (
        "authorization",
        "whoever shows a secret is not known by a signature",
    ),
    ("connection", "belongs to one hop"),
    (
        "content-length",
        "the digest of the content says more; what frames it belongs to one hop",
    ),
    (
        "expect",
        "only asks for an answer before the content; HTTP libraries add it late",
    ),
    (
        "forwarded",
        "proxies add it; it is believed only of proxies that the settings name",
    ),
    ("host", "covered by @authority or @target-uri"),
    ("keep-alive", "belongs to one hop"),
    ("origin", "can only have a request refused"),
    ("referer", "can only have a request refused"),
    ("sec-fetch-site", "can only have a request refused"),
    ("signature", "is the signature"),
    ("signature-input", "is covered as @signature-params"),
    ("transfer-encoding", "belongs to one hop"),
    (
        "upload-draft-interop-version",
        "only asks for interim answers",
    ),
    ("user-agent", "only stands in the log"),
    ("x-forwarded-for", "as forwarded"),
    ("x-forwarded-host", "as forwarded"),
    ("x-forwarded-proto", "as forwarded"),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of fields that sources read of requests.
    fn read_in(folder: &std::path::Path) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                found.extend(read_in(&path));
                continue;
            }
            if path.ends_with("tests.rs") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            for mark in [
                ".value(",
                ".values(",
                "has_token(",
                "fields, ",
                "fields(), ",
                "digest_in(",
            ] {
                for rest in text.split(mark).skip(1) {
                    let name = rest
                        .trim_start()
                        .strip_prefix('"')
                        .and_then(|rest| rest.split('"').next());
                    if let Some(name) = name {
                        found.push((name.to_owned(), path.display().to_string()));
                    }
                }
            }
        }
        found
    }

    #[test]
    fn for_each_field_that_is_read_it_was_decided_whether_it_has_to_be_covered() {
        let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut count = 0;
        for room in ["routes", "http/head", "http/conversation"] {
            for (name, path) in read_in(&source.join(room)) {
                count += 1;
                // Fields of answers that are read, and of requests to no route of ours.
                let is_known = must_be_covered(&name) || is_left_out(&name) || name == "etag";
                assert!(
                    is_known || name.len() < 3,
                    "{name}, which {path} reads, is in neither list"
                );
            }
        }
        assert!(count > 20, "{count}: they are read in another way by now");
    }

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
            "skep-meta",
            "skep-modified",
            "want-content-digest",
            "prefer",
        ] {
            assert!(must_be_covered(name), "{name}");
        }
        for name in [
            "host",
            "content-length",
            "user-agent",
            "via",
            "accept",
            "x-request-id",
        ] {
            assert!(!must_be_covered(name), "{name}");
        }
    }
}
