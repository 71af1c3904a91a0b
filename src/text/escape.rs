// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Text from servers and file systems, made harmless for a terminal and for a log.

use std::borrow::Cow;
use std::fmt::Write as _;

/// A text without anything that breaks the line, steers the terminal, or turns the writing around.
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(is_harmful) {
        return Cow::Borrowed(text);
    }

    let mut safe = String::with_capacity(text.len() + 16);

    for character in text.chars() {
        if is_harmful(character) {
            // Writing to a String cannot fail.
            let _ = write!(safe, "\\u{{{:x}}}", u32::from(character));
        } else {
            safe.push(character)
        }
    }

    Cow::Owned(safe)
}

fn is_harmful(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_the_terminal() {
        assert_eq!(escaped("m\u{f6}del 1.onnx"), "m\u{f6}del 1.onnx");
        let bad = "a\u{1b}[31m\n\u{85}\u{9b}\u{2028}\u{202e}\u{7f}";
        assert_eq!(
            escaped(bad),
            "a\\u{1b}[31m\\u{a}\\u{85}\\u{9b}\\u{2028}\\u{202e}\\u{7f}"
        );
    }
}
