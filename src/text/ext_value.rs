// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Texts in fields of HTTP, which carry visible ASCII: other texts are written as RFC 8187 section 3.2.1 has
//! it for parameters, `UTF-8''` and percent-encoded bytes.

use std::borrow::Cow;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// A text as the value of a field.
pub(crate) fn field_value(text: &str) -> Cow<'_, str> {
    written(text, |_| true)
}

/// A text as a member of a list, in which commas separate.
pub(crate) fn list_value(text: &str) -> Cow<'_, str> {
    written(text, |byte| byte != b',')
}

/// The text that a value stands for; `None` if it is none.
pub(crate) fn read_value(value: &str) -> Option<Cow<'_, str>> {
    let Some(encoded) = encoded(value) else {
        return Some(Cow::Borrowed(value));
    };
    percent_decode_str(encoded).decode_utf8().ok()
}

fn written(text: &str, is_plain: fn(u8) -> bool) -> Cow<'_, str> {
    let is_sent = |byte: u8| matches!(byte, b' '..=b'~') && is_plain(byte);
    // Blanks at the ends would be taken off.
    if text.bytes().all(is_sent) && text.trim() == text && encoded(text).is_none() {
        return Cow::Borrowed(text);
    }
    let encoded = utf8_percent_encode(text, NON_ALPHANUMERIC);
    Cow::Owned(format!("{CHARSET}''{encoded}"))
}

/// What stands behind the character set and the language.
fn encoded(value: &str) -> Option<&str> {
    let (charset, rest) = value.split_once('\'')?;
    let (_, encoded) = rest.split_once('\'')?;
    charset.eq_ignore_ascii_case(CHARSET).then_some(encoded)
}

const CHARSET: &str = "UTF-8";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_read_back_and_plain_ones_stay_plain() {
        for plain in ["MIT", "https://example.org/a%20b?c=d", "it's", "a b", ""] {
            assert_eq!(field_value(plain), plain);
            assert_eq!(read_value(plain).unwrap(), plain);
        }
        for text in [
            "\u{e9}",
            "\u{6a21}\u{578b}, x",
            " a",
            "UTF-8''x",
            "utf-8'de'x",
            "a\tb",
        ] {
            for value in [field_value(text), list_value(text)] {
                assert!(
                    value.bytes().all(|byte| matches!(byte, b'!'..=b'~')),
                    "{value}"
                );
                assert!(!value.contains(','), "{value}");
                assert_eq!(read_value(&value).unwrap(), text);
            }
        }
        assert_eq!(field_value("a, b"), "a, b");
        assert_eq!(list_value("a, b"), "UTF-8''a%2C%20b");
        assert_eq!(
            read_value("utf-8'en'%C2%A3%20rates").unwrap(),
            "\u{a3} rates"
        );
        assert_eq!(read_value("UTF-8''%ff"), None);
    }
}
