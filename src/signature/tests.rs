// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What Debian's minisign 0.11 wrote is read, and what was changed is refused.

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
    assert_eq!(
        PublicKey::named("/nowhere").unwrap_err().kind(),
        ErrorKind::Usage
    );
}
