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

/// JSON text in which nothing steers a terminal that it is printed on, or turns the writing around: it
/// means the same, since such characters can only be in its strings (RFC 8259 section 7).
pub(crate) fn json_escaped(json: &str) -> Cow<'_, str> {
    // Line breaks between the members are as harmless as blanks.
    let is_harmful = |character: char| character != '\n' && is_harmful(character);
    if !json.contains(is_harmful) {
        return Cow::Borrowed(json);
    }

    let mut safe = String::with_capacity(json.len() + 16);
    for character in json.chars() {
        if is_harmful(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(character);
        }
    }

    Cow::Owned(safe)
}

/// Control characters, line separators, the marks that change the direction of writing, and the others that
/// nobody sees (Unicode category Cf), by which two texts that look the same can differ.
pub(crate) fn is_harmful(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
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
        for mark in [
            '\u{61c}', '\u{200b}', '\u{200e}', '\u{200f}', '\u{202a}', '\u{2066}', '\u{2069}',
            '\u{feff}',
        ] {
            assert!(escaped(&mark.to_string()).starts_with("\\u{"), "{mark:?}");
        }
    }

    #[test]
    fn json_means_the_same_and_steers_nothing() {
        let text = "a\u{9b}31m\u{200f}\u{202e}\u{2028}\u{7f}\u{1b}\n\"\\b\u{f6}";
        let json = serde_json::json!({ "name": text, "other": 1 });
        for written in [json.to_string(), format!("{json:#}")] {
            let safe = json_escaped(&written);
            assert!(
                safe.contains("\\u009b31m\\u200f\\u202e\\u2028\\u007f"),
                "{safe}"
            );
            assert_eq!(
                serde_json::from_str::<serde_json::Value>(&safe).unwrap(),
                json
            );
        }
    }
}
