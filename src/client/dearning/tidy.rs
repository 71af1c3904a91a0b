// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How the dearning client shows code: without carriage returns and without blanks at line ends.

use std::borrow::Cow;

/// Tidies text as the dearning client's mode `code` does; bytes that are not UTF-8 stay as they
/// are.
pub fn tidy(bytes: &[u8]) -> Cow<'_, [u8]> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Cow::Borrowed(bytes);
    };
    let text = text.replace('\r', "");
    let lines: Vec<&str> = text
        .split('\n')
        .map(|line| line.trim_end_matches(is_blank))
        .collect();
    Cow::Owned(lines.join("\n").into_bytes())
}

/// What Python's `str.rstrip` removes: white space, and the four separators U+001C to U+001F.
fn is_blank(character: char) -> bool {
    character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_shown_as_dearning_shows_it() {
        for (bytes, shown) in [
            (&b""[..], &b""[..]),
            (b"a  \r\nb\t\r\n", b"a\nb\n"),
            (b"\r\r x\x1f \n\n  y", b" x\n\n  y"),
            (b"a\xc2\xa0\n", b"a\n"),
            (b"\xff \r\n", b"\xff \r\n"),
        ] {
            assert_eq!(&*tidy(bytes), shown);
        }
    }
}
