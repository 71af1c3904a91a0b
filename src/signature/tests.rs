// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What Debian's minisign 0.11 wrote is read, and what was changed is refused.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::error::{ErrorKind, Result};

const PUBLIC: &str = "RWS+cgavczvuw/j8WHcGtfkXWdR0G4pkcUPVSdcQhSFudRS2KfckWEMT";

const SECRET: &str = "untrusted comment: minisign encrypted secret key
RWQAAEIyAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAvnIGr3M77sNr/uAbgYXOXPrNEH6iF1YlBNyNF/pNFlS4MC4StCuKLvj8WHcGtfkXWdR0G4pkcUPVSdcQhSFudRS2KfckWEMTAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
";

/// Of the password `x`.
const ENCRYPTED: &str = "untrusted comment: minisign encrypted secret key
RWRTY0IyaUCq8ZSq/kcKyOK4eDK55fS34uvmq/NhduVnct941hcAAAACAAAAAAAAAEAAAAAAK7iENdDTdSWVHxk+5+oTbcR23l32kcLQ8qyYLLUjnCJ0FWPnp1UwS6g6Pm6rYiTFhaV8IfndOXgSHsBAwFTMcl/5h9cGDHDGZXkxxOsbL3zDQMo+hM1MxecOYeRFgoMLo/1CILzXhdk=
";

/// Of the file `hi\n`.
const PREHASHED_FILE: &str = "untrusted comment: signature from minisign secret key
RUS+cgavczvuw+WVLJVLB6t7LDh9My72v34Ey0DqqYaLGJUQxtjkePBppZ1EigGOtv7a1rlS5FSlv6BW4JvMaawawwXRKZV2mw4=
trusted comment: timestamp:1795261630\tfile:f\thashed
RfM64T2J5zcnmNzdJxssvH58orPZO53wTIQkZHV+zttiAZR425RECl98c5g3ZFD5bms7mevQi8o0R+zWNKUVBg==
";

const LEGACY_FILE: &str = "untrusted comment: signature from minisign secret key
RWS+cgavczvuw0quoOZackFrQ/wCrBCib/2xQztr2oorR04Z/e3Km3ls9ylqUvanQZm9X5oqcbCsLQTfC9Wo79eJlU1T3saKNAU=
trusted comment: timestamp:1795261630\tfile:f
KnJloS2DGHTG+43Hnc5O9XnUsfLscCf6QDj5dE2bU6D/Pxd+JDMJnR7a2EGY5KhrK5+jehk3cXV/PmF7ZAxsBg==
";

fn secret(text: &str) -> Result<SecretKey> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    std::fs::write(&path, text).unwrap();
    SecretKey::read(&path)
}

#[test]
fn the_files_of_minisign_are_read_and_written() {
    let key: PublicKey = PUBLIC.parse().unwrap();
    assert_eq!(key.to_string(), PUBLIC);
    assert_eq!(format!("{key:?}"), "C3EE3B73AF0672BE");
    assert_eq!(key.file_text().parse::<PublicKey>().unwrap(), key);
    for (file, is_legacy) in [(PREHASHED_FILE, false), (LEGACY_FILE, true)] {
        let signature: Signature = file.parse().unwrap();
        assert_eq!(signature.to_string(), file);
        assert_eq!(
            Signature::from_field(&signature.field()).unwrap(),
            signature
        );
        assert_eq!(
            (signature.is_legacy(), signature.file_name()),
            (is_legacy, Some("f"))
        );
        signature
            .verify("f", std::slice::from_ref(&key), &mut &b"hi\n"[..])
            .unwrap();
    }
    // What minisign signed, this signs with the same key in the same way: Ed25519 has no random part.
    let mut hash = Prehash::default();
    hash.update(b"hi\n");
    let comment = "timestamp:1795261630\tfile:f\thashed";
    let ours = secret(SECRET)
        .unwrap()
        .sign(&hash.finish(), comment)
        .to_string();
    assert_eq!(ours, PREHASHED_FILE.replacen("minisign", "skep", 1));
}

#[test]
fn what_was_changed_is_refused() {
    let keys = [PUBLIC.parse::<PublicKey>().unwrap()];
    let other = [SecretKey::generate().unwrap().public_key().clone()];
    for file in [PREHASHED_FILE, LEGACY_FILE] {
        let refused = |file: &str, keys: &[PublicKey], content: &[u8], words: &str| {
            let signature = file.parse::<Signature>();
            let error = signature
                .and_then(|signature| signature.verify("f", keys, &mut &*content))
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Integrity, "{error}");
            assert!(error.to_string().contains(words), "{words}: {error}");
        };
        refused(
            file,
            &keys,
            b"ho\n",
            "is not what the key C3EE3B73AF0672BE has signed",
        );
        refused(
            file,
            &other,
            b"hi\n",
            "signed by the key C3EE3B73AF0672BE instead of",
        );
        refused(
            &file.replace("file:f", "file:g"),
            &keys,
            b"hi\n",
            "trusted comment",
        );
        let start = file.len() - 60;
        refused(&file[..start], &keys, b"hi\n", "incomplete or was changed");
        refused(&file[..120], &keys, b"hi\n", "fewer than four lines");
        refused(
            &format!("{file}more"),
            &keys,
            b"hi\n",
            "more than four lines",
        );
        refused("junk", &keys, b"hi\n", "cannot be read");
        // The other algorithm, of which the comment's signature says nothing.
        let swapped = if file.contains("\nRUS") {
            file.replace("\nRUS", "\nRWS")
        } else {
            file.replace("\nRWS", "\nRUS")
        };
        refused(&swapped, &keys, b"hi\n", "is not what the key");
    }
    assert!(Signature::from_bytes(&[b'x'; Signature::BYTES_MAX + 1]).is_err());
}

#[test]
fn a_signature_is_of_a_digest_only_as_a_whole_and_by_its_key() {
    let (key, other) = (
        SecretKey::generate().unwrap(),
        SecretKey::generate().unwrap(),
    );
    let prehash = |content: &[u8]| Prehash::of(&mut &*content).unwrap();
    let (hash, another) = (prehash(b"hi\n"), prehash(b"ho\n"));
    let signature = key.sign(&hash, "timestamp:1\tfile:f");
    let is_of = |text: &str, hash: &[u8; 64], key: &SecretKey| {
        let signature: Signature = text.parse().unwrap();
        signature.is_of(hash, key.public_key())
    };

    let file = signature.to_string();
    assert!(is_of(&file, &hash, &key));
    assert!(!is_of(&file, &another, &key) && !is_of(&file, &hash, &other));
    // What only the second signature covers.
    assert!(!is_of(&file.replace("file:f", "file:g"), &hash, &key));
    // A comment with a right signature beside a wrong signature of the content.
    let lines: Vec<_> = file.lines().collect();
    let of_another = key.sign(&another, "timestamp:1\tfile:f").to_string();
    let mut mixed: Vec<_> = of_another.lines().collect();
    mixed[1] = lines[1];
    assert!(!is_of(&(mixed.join("\n") + "\n"), &hash, &key));
    // The older algorithm signs the content and no digest of it.
    let legacy: Signature = LEGACY_FILE.parse().unwrap();
    let public: PublicKey = PUBLIC.parse().unwrap();
    assert!(!legacy.is_of(&hash, &public));
}

#[test]
fn signatures_are_the_same_only_in_all_that_is_signed() {
    let (key, other) = (
        SecretKey::generate().unwrap(),
        SecretKey::generate().unwrap(),
    );
    let made = |key: &SecretKey, content: &[u8], comment: &str| {
        key.sign(&Prehash::of(&mut &*content).unwrap(), comment)
    };
    let one = made(&key, b"one", "file:f");
    let again = one.to_string().replacen("skep", "somebody", 1);
    assert!(one.is_same(&again.parse().unwrap()));
    for another in [
        made(&key, b"two", "file:f"),
        made(&key, b"one", "file:g"),
        made(&other, b"one", "file:f"),
    ] {
        assert!(!one.is_same(&another));
        // Of two parts that differ, one alone is enough.
        let [mut mixed, lines] = [&one, &another].map(|one| {
            let lines = one.to_string();
            lines.lines().map(str::to_owned).collect::<Vec<_>>()
        });
        mixed[1].clone_from(&lines[1]);
        let mixed: Signature = (mixed.join("\n") + "\n").parse().unwrap();
        assert_eq!(one.is_same(&mixed), one.to_string() == mixed.to_string());
    }
}

/// Content whose first read fails.
struct FailsFirst<'a>(Option<std::io::ErrorKind>, &'a [u8]);

impl std::io::Read for FailsFirst<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self.0.take() {
            Some(kind) => Err(kind.into()),
            None => self.1.read(buffer),
        }
    }
}

#[test]
fn what_a_signal_interrupted_is_read_again_and_a_failure_is_none() {
    let prehash = |kind| Prehash::of(&mut FailsFirst(Some(kind), b"hi\n"));
    let whole = Prehash::of(&mut &b"hi\n"[..]).unwrap();
    assert!(prehash(std::io::ErrorKind::Interrupted).unwrap() == whole);
    assert!(prehash(std::io::ErrorKind::TimedOut).is_err());
}

#[test]
fn content_that_is_checked_in_memory_is_read_whole_or_refused() {
    let read = |length: usize| document::read_up_to(10, "f", &mut &vec![b'x'; length][..]);
    assert_eq!(read(9).unwrap().len(), 9);
    assert_eq!(read(10).unwrap().len(), 10);
    assert_eq!(read(11).unwrap_err().kind(), ErrorKind::TooLarge);
}

#[test]
fn a_secret_key_survives_and_one_with_a_password_is_explained() {
    let key = SecretKey::generate().unwrap();
    let again = secret(&key.file_text()).unwrap();
    assert_eq!(again.public_key(), key.public_key());
    assert_eq!(secret(SECRET).unwrap().public_key().to_string(), PUBLIC);
    let error = secret(ENCRYPTED).unwrap_err();
    assert!(error.message().contains("password"), "{error}");
    assert!(
        error.hint_text().unwrap().contains("minisign -C -W"),
        "{error}"
    );
    let changed = SECRET.replace("vnIGr3M77sNr", "vnIGr3M77sNs");
    for bad in [
        &SECRET[..200],
        PUBLIC,
        "",
        &changed,
        &key.file_text().replace("RWQAAEIy", "RWQAAEIz"),
    ] {
        let result = secret(bad);
        let is_same = result.is_ok_and(|read| read.public_key() == key.public_key());
        // The name of the checksum is not looked at, all else is.
        assert_eq!(is_same, bad.contains("RWQAAEIz"), "{bad}");
    }
    assert!(
        SECRET
            .parse::<PublicKey>()
            .unwrap_err()
            .message()
            .contains("secret key")
    );
    let junk = "junk".parse::<PublicKey>().unwrap_err();
    assert!(junk.message().contains("not a minisign public key"));
    assert_eq!(
        PublicKey::named("/nowhere").unwrap_err().kind(),
        ErrorKind::Usage
    );

    // The checksum covers the key's id, which the key itself says nothing of.
    let text = key.file_text();
    let line = text.lines().nth(1).unwrap();
    let mut bytes = STANDARD.decode(line).unwrap();
    bytes[54] ^= 1;
    assert!(secret(&text.replace(line, &STANDARD.encode(bytes))).is_err());
}
