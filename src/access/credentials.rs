// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a caller shows in an `Authorization` field (RFC 9110 section 11.6.2).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Credentials as they were shown; nothing of them is checked yet.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Credentials {
    /// A password or a token: `Bearer SECRET` (RFC 6750) or `Basic base64(ANY:SECRET)` (RFC 7617).
    Secret(Vec<u8>),
    /// Another scheme, or something that cannot be read.
    Unknown,
}

impl Credentials {
    /// Reads the value of an `Authorization` field.
    pub(crate) fn read(field: &str) -> Self {
        let (scheme, value) = field.trim().split_once(' ').unwrap_or((field.trim(), ""));
        let value = value.trim_start();
        let is = |name: &str| scheme.eq_ignore_ascii_case(name);
        if is("bearer") && !value.is_empty() {
            return Self::Secret(value.as_bytes().to_vec());
        }

        if is("basic") {
            // The name ends at the first colon, the secret may have more (RFC 7617 section 2). The
            // name is ignored: a secret alone identifies the caller.
            let pair = STANDARD.decode(value).unwrap_or_default();
            let colon = pair.iter().position(|byte| *byte == b':');
            return colon.map_or(Self::Unknown, |colon| {
                Self::Secret(pair[colon + 1..].to_vec())
            });
        }

        Self::Unknown
    }
}

/// The user name in an `Authorization` field of the scheme Basic.
pub(crate) fn user(field: &str) -> Option<String> {
    let (scheme, value) = field.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(value.trim_start()).ok()?).ok()?;
    pair.split_once(':').map(|(user, _)| user.to_owned())
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::secrets::Password;

    #[test]
    fn only_basic_has_the_name_of_a_user() {
        let basic = |pair: &str| format!("bAsic  {}", STANDARD.encode(pair));
        for (field, name) in [
            (basic("ann:pass:word"), Some("ann")),
            (basic(":password"), Some("")),
            (basic("nocolon"), None),
            (STANDARD.encode("ann:password"), None),
            (format!("Bearer {}", STANDARD.encode("ann:password")), None),
            ("Basic ###".to_owned(), None),
        ] {
            assert_eq!(user(&field).as_deref(), name, "{field}");
        }
    }

    #[test]
    fn both_schemes_carry_a_secret() {
        let secret = |text: &str| Credentials::Secret(text.as_bytes().to_vec());
        let password = Password::new("pass:w\u{f6}rd").unwrap();
        assert_eq!(
            Credentials::read(&password.basic()),
            secret("pass:w\u{f6}rd")
        );
        assert_eq!(
            Credentials::read("bearer  pass:w\u{f6}rd"),
            secret("pass:w\u{f6}rd")
        );
        for unreadable in [
            "",
            "Basic",
            "Bearer",
            "Basic ###",
            "Basic bm9jb2xvbg==",
            "Digest x",
            "Skep-HMAC",
        ] {
            assert_eq!(
                Credentials::read(unreadable),
                Credentials::Unknown,
                "{unreadable}"
            );
        }
        assert_eq!(format!("{:?}", secret("x")), "Credentials(..)");
    }
}
