// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The signature base and what a signature has to cover, by the vectors of RFC 9421 and by changes.

use sfv::{ListEntry, Parser};

use super::covered_fields::must_be_covered;
use super::signature_base::{serialized, signature_base};
use super::*;
use crate::access::secrets::{CallerKey, DerivedKey};
use crate::error::ErrorKind;

/// The request of RFC 9421 appendix B.2.
fn of_the_standard() -> SignedRequest<'static> {
    SignedRequest {
        method: "POST",
        is_encrypted: true,
        host: "example.com",
        target: "/foo?param=Value&Pet=dog",
        fields: vec![
            ("host", "example.com"),
            ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
            ("content-type", "application/json"),
            ("content-length", "18"),
        ],
        has_content: true,
    }
}

fn input(text: &str) -> sfv::InnerList {
    let list: sfv::List = Parser::new(text).parse().unwrap();
    match list.into_iter().next().unwrap() {
        ListEntry::InnerList(input) => input,
        ListEntry::Item(_) => panic!("{text}"),
    }
}

#[test]
fn the_vector_of_the_standard_is_right() {
    // RFC 9421 appendix B.2.6.
    let text = "(\"date\" \"@method\" \"@path\" \"@authority\" \"content-type\" \"content-length\")\
                ;created=1618884473;keyid=\"test-key-ed25519\"";
    let base = signature_base(&of_the_standard(), &input(text)).unwrap();
    let expected = format!(
        "\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n\"@method\": POST\n\"@path\": /foo\n\
         \"@authority\": example.com\n\"content-type\": application/json\n\
         \"content-length\": 18\n\"@signature-params\": {text}"
    );
    assert_eq!(base, expected);

    let key: CallerKey = "JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs"
        .parse()
        .unwrap();
    let signature = base64::Engine::decode(
        &base64::engine::general_purpose::STANDARD,
        "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==",
    );
    assert!(key.has_signed(base.as_bytes(), &signature.unwrap()));
}

#[test]
fn components_have_the_values_of_the_standard() {
    let request = of_the_standard();
    for (name, value) in [
        ("@method", "POST"),
        ("@authority", "example.com"),
        ("@scheme", "https"),
        ("@request-target", "/foo?param=Value&Pet=dog"),
        ("@target-uri", "https://example.com/foo?param=Value&Pet=dog"),
        ("@path", "/foo"),
        ("@query", "?param=Value&Pet=dog"),
    ] {
        assert_eq!(request.value(name).as_deref(), Some(value));
    }
    for unknown in ["@status", "@query-param", "@", "x-none", ""] {
        assert_eq!(request.value(unknown), None, "{unknown}");
    }

    let plain = SignedRequest {
        is_encrypted: false,
        host: "Pi.Local:80",
        target: "/",
        fields: vec![("a", " one "), ("b", "x"), ("a", "two\t"), ("c", "")],
        ..of_the_standard()
    };
    assert_eq!(plain.value("@authority").unwrap(), "pi.local");
    assert_eq!(plain.value("@query").unwrap(), "?");
    assert_eq!(plain.value("a").unwrap(), "one, two");
    assert_eq!(plain.value("c").unwrap(), "");
    let other = SignedRequest {
        host: "[::1]:8080",
        ..plain
    };
    assert_eq!(other.value("@authority").unwrap(), "[::1]:8080");
}

fn key() -> DerivedKey {
    DerivedKey::of(b"abcdefghjkmnpqrstuvw").unwrap()
}

const PUT: &[(&str, &str)] = &[
    ("host", "pi:8080"),
    ("content-type", "application/octet-stream"),
    ("if-match", "\"sha256-x\""),
    ("content-digest", "sha-256=:x:"),
    ("upload-complete", "?0"),
    ("content-length", "3"),
    ("user-agent", "test"),
];

fn put<'a>(fields: &[(&'a str, &'a str)]) -> SignedRequest<'a> {
    SignedRequest {
        method: "PUT",
        is_encrypted: false,
        host: "pi:8080",
        target: "/v1/models/a?b=c",
        fields: fields.to_vec(),
        has_content: true,
    }
}

/// A request as it arrives, with the signature of its caller.
fn received<'a>(request: &SignedRequest<'a>, signed: &'a (String, String)) -> SignedRequest<'a> {
    let mut request = request.clone();
    request.fields.push(("signature-input", &signed.0));
    request.fields.push(("signature", &signed.1));
    request
}

fn is_good(request: &SignedRequest<'_>) -> bool {
    let found = ReceivedSignature::find(request).ok().flatten();
    found.is_some_and(|found| {
        found.check_coverage(request).is_ok() && found.is_of(request).is_ok_and(|right| right)
    })
}

#[test]
fn whatever_is_changed_on_the_way_the_signature_is_not_good_any_more() {
    let signed = sign(&key(), &put(PUT), Some("nonce"), Some(5)).unwrap();
    let good = received(&put(PUT), &signed);
    assert!(is_good(&good));
    assert!(
        signed
            .0
            .contains(";nonce=\"nonce\";alg=\"ed25519\";tag=\"skep\"")
    );

    let mut changed = vec![
        SignedRequest {
            method: "POST",
            ..good.clone()
        },
        SignedRequest {
            target: "/v1/models/b?b=c",
            ..good.clone()
        },
        SignedRequest {
            target: "/v1/models/a?b=d",
            ..good.clone()
        },
        SignedRequest {
            target: "/v1/models/a",
            ..good.clone()
        },
        SignedRequest {
            host: "other:8080",
            ..good.clone()
        },
    ];

    // Each field that matters: changed, taken away, and there a second time.
    for (at, field) in PUT.iter().enumerate() {
        if !must_be_covered(field.0) {
            continue;
        }
        let mut other = good.clone();
        other.fields[at].1 = "other";
        changed.push(other);
        let mut other = good.clone();
        other.fields.remove(at);
        changed.push(other);
        let mut other = good.clone();
        other.fields.push(*field);
        changed.push(other);
    }

    // What was not there when it was signed.
    for added in [
        "range",
        "if-none-match",
        "repr-digest",
        "upload-length",
        "skep-license",
    ] {
        let mut other = good.clone();
        other.fields.push((added, "x"));
        changed.push(other);
    }

    for other in &changed {
        assert!(!is_good(other), "{other:?}");
    }

    // Proxies may say who they are.
    let mut passed_on = good.clone();
    passed_on.fields.push(("via", "1.1 proxy"));
    passed_on.fields[5].1 = "4";
    assert!(is_good(&passed_on));
}

#[test]
fn content_has_to_be_covered() {
    let fields = [("host", "pi:8080"), ("content-length", "3")];
    let signed = sign(&key(), &put(&fields), Some("nonce"), None).unwrap();
    let request = received(&put(&fields), &signed);
    let found = ReceivedSignature::find(&request).unwrap().unwrap();
    let error = found.check_coverage(&request).unwrap_err();
    assert!(error.message().contains("content-digest"), "{error}");
    let without = SignedRequest {
        has_content: false,
        ..request
    };
    assert!(found.check_coverage(&without).is_ok());
}

#[test]
fn every_byte_of_the_signature_fields_counts() {
    let signed = sign(&key(), &put(PUT), Some("nonce"), None).unwrap();
    let request = put(PUT);
    for (which, text) in [&signed.0, &signed.1].into_iter().enumerate() {
        // The label is the name by which the two fields find each other, and nothing else.
        for at in "sig=".len()..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            let Ok(other) = String::from_utf8(bytes) else {
                continue;
            };
            let mut fields = signed.clone();
            if which == 0 {
                fields.0 = other;
            } else {
                fields.1 = other;
            }
            assert!(!is_good(&received(&request, &fields)), "{fields:?}");
        }
    }
}

#[test]
fn a_foreign_signer_may_cover_the_target_in_other_ways() {
    let get = SignedRequest {
        method: "GET",
        has_content: false,
        ..put(&[("host", "pi:8080")])
    };
    let check = |components: &str, request: &SignedRequest<'_>| {
        let parameters = format!("nonce=\"n\";keyid=\"{}\";tag=\"skep\"", key().public());
        let input = input(&format!("({components});{parameters}"));
        let base = signature_base(request, &input).ok()?;
        let signature = base64::Engine::encode(
            &base64::engine::general_purpose::STANDARD,
            key().sign(base.as_bytes()),
        );
        let fields = (
            format!("x={}", serialized(&input)),
            format!("x=:{signature}:"),
        );
        Some(is_good(&received(request, &fields)))
    };

    for good in [
        "\"@method\" \"@target-uri\"",
        "\"@method\" \"@authority\" \"@path\" \"@query\"",
        "\"@method\" \"host\" \"@request-target\"",
        "\"@query\" \"@path\" \"@scheme\" \"@authority\" \"@method\"",
    ] {
        assert_eq!(check(good, &get), Some(true), "{good}");
    }
    for bad in [
        "",
        "\"@method\"",
        "\"@authority\" \"@request-target\"",
        "\"@method\" \"@request-target\"",
        "\"@method\" \"@authority\" \"@path\"",
        "\"@method\" \"@authority\" \"@query\"",
    ] {
        assert_eq!(check(bad, &get), Some(false), "{bad}");
    }
    let without_query = SignedRequest {
        target: "/v1/models/a",
        ..get.clone()
    };
    assert_eq!(
        check("\"@method\" \"@authority\" \"@path\"", &without_query),
        Some(true)
    );
    for refused in [
        "\"@method\" \"@target-uri\" \"host\";sf",
        "\"@method\" \"@target-uri\" \"host\";bs",
        "\"@method\" \"@target-uri\" \"host\";key=\"a\"",
        "\"@method\" \"@target-uri\" \"host\";tr",
        "\"@method\";req \"@target-uri\"",
        "\"@method\" \"@target-uri\" \"@method\"",
        "\"@method\" \"@target-uri\" \"@query-param\";name=\"b\"",
        "\"@method\" \"@target-uri\" \"x-none\"",
        "\"@method\" \"@target-uri\" \"Host\"",
        "\"@method\" \"@target-uri\" 5",
    ] {
        assert_eq!(check(refused, &get), None, "{refused}");
    }
}

#[test]
fn the_one_signature_for_a_skep_is_found() {
    let find = |input: &str, signature: &str| {
        let fields = [("signature-input", input), ("signature", signature)];
        let request = put(&fields);
        ReceivedSignature::find(&request).map(|found| found.is_some())
    };
    let key = key().public().to_string();
    let ours = format!("a=(\"@method\");keyid=\"{key}\";tag=\"skep\"");
    assert!(find(&ours, "a=:AAAA:").unwrap());
    // Others are for others.
    assert!(
        find(
            &format!("b=();keyid=\"proxy\", {ours}"),
            "a=:AAAA:, b=:AAAA:"
        )
        .unwrap()
    );
    assert!(!find("b=();keyid=\"proxy\"", "b=:AAAA:").unwrap());
    assert!(!find(&ours.replace("\"skep\"", "\"else\""), "a=:AAAA:").unwrap());

    for (input, signature) in [
        (
            format!("{ours}, {}", ours.replacen('a', "b", 1)),
            "a=:AAAA:, b=:AAAA:",
        ),
        (ours.clone(), "b=:AAAA:"),
        (ours.clone(), "a=AAAA"),
        (ours.clone(), "a"),
        (ours.clone(), ""),
        (format!("{ours};alg=\"hmac-sha256\""), "a=:AAAA:"),
        (format!("{ours};alg=ed25519"), "a=:AAAA:"),
        (format!("{ours};created=soon"), "a=:AAAA:"),
        (format!("{ours};expires=-1"), "a=:AAAA:"),
        (format!("{ours};unknown=1"), "a=:AAAA:"),
        (format!("{ours})("), "a=:AAAA:"),
        (ours.replace(&key, "short"), "a=:AAAA:"),
        (ours.replace(&format!("keyid=\"{key}\";"), ""), "a=:AAAA:"),
    ] {
        let error = find(&input, signature).expect_err(&input);
        assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    }
}
