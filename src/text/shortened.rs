// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Texts of strangers, cut to a length that a log or a terminal can bear.

use std::borrow::Cow;

/// The first `characters_max` characters of a text, with `...` for what was cut off. Without a bound, a
/// stranger could fill a log that is kept in a bounded size, and push out what it is kept for.
pub(crate) fn shortened(text: &str, characters_max: usize) -> Cow<'_, str> {
    match text.char_indices().nth(characters_max) {
        Some((end, _)) => Cow::Owned(format!("{}...", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

/// The first characters of a text that fit into so many bytes, `...` for what was cut off among them.
pub(crate) fn fitting(text: &str, bytes_max: usize) -> Cow<'_, str> {
    if text.len() <= bytes_max {
        return Cow::Borrowed(text);
    }

    let most = bytes_max.saturating_sub(CUT.len());
    let end = (0..=most).rev().find(|end| text.is_char_boundary(*end));
    let end = end.unwrap_or_default();
    Cow::Owned(format!("{}{CUT}", &text[..end]))
}

/// A value from outside as an error names it: short, and without anything that steers a terminal.
pub(crate) fn quotable(text: &str) -> String {
    shortened(text, VALUE_CHARACTERS)
        .chars()
        .flat_map(char::escape_debug)
        .collect()
}

const CUT: &str = "...";

/// Of a value in an error.
const VALUE_CHARACTERS: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(shortened("abc", 3), "abc");
        assert_eq!(shortened("abcd", 3), "abc...");
        assert_eq!(shortened("\u{e4}\u{f6}\u{fc}", 2), "\u{e4}\u{f6}...");
        assert_eq!(fitting("abcdef", 6), "abcdef");
        assert_eq!(fitting("abcdefg", 6), "abc...");
        assert_eq!(fitting("\u{e4}\u{f6}\u{fc}\u{df}", 7), "\u{e4}\u{f6}...");
        assert_eq!(quotable("a\n"), "a\\n");
        assert_eq!(quotable(&"x".repeat(90)).len(), 83);
    }
}
