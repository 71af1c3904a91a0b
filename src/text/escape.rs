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

/// A line of JSON with the same characters escaped as JSON escapes them, so that its value stays.
pub(crate) fn escaped_json(json: &str) -> Cow<'_, str> {
    if !json.contains(is_harmful) {
        return Cow::Borrowed(json);
    }

    let mut safe = String::with_capacity(json.len() + 16);

    // Outside of strings JSON has none of them, and all are in the basic plane.
    for character in json.chars() {
        if is_harmful(character) {
            let _ = write!(safe, "\\u{:04x}", u32::from(character));
        } else {
            safe.push(character);
        }
    }

    Cow::Owned(safe)
}

fn is_harmful(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
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
        assert_eq!(escaped("a\u{200f}\u{61c}"), "a\\u{200f}\\u{61c}");
    }

    #[test]
    fn json_keeps_its_value() {
        let text = "a\u{9b}\u{202e}\u{2028}\u{200f}\u{7f}\n";
        let json = serde_json::json!(text).to_string();
        let safe = escaped_json(&json);
        assert_eq!(safe, "\"a\\u009b\\u202e\\u2028\\u200f\\u007f\\n\"");
        assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), text);
    }
}
