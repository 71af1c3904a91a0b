// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Files of one entry in each line, which people edit and memory cards hurt: a line that cannot be read
//! costs that line, never the file, and somebody is told.

use std::path::Path;

/// The lines of a text that should be entries, with their numbers from 1: neither empty nor a comment,
/// which begins with `#`.
pub(crate) fn entries(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines()).filter(|(_, line)| is_entry(line))
}

/// Whether a line should be an entry.
pub(crate) fn is_entry(line: &str) -> bool {
    !line.trim().is_empty() && !line.starts_with('#')
}

/// The first word of an entry, which names it also where the rest cannot be read.
pub(crate) fn name_of(line: &str) -> Option<&str> {
    line.split_ascii_whitespace()
        .next()
        .filter(|_| is_entry(line))
}

/// The text with a line more at its end.
pub(crate) fn with_entry(text: &str, entry: &str) -> String {
    let end = if text.is_empty() || text.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    format!("{text}{end}{entry}\n")
}

/// What to say of lines that cannot be read, if there are any.
pub(crate) fn unreadable(path: &Path, numbers: &[usize]) -> Option<String> {
    let path = path.display();
    let shown: Vec<_> = numbers
        .iter()
        .take(SHOWN_MAX)
        .map(usize::to_string)
        .collect();

    match numbers {
        [] => None,
        [number] => Some(format!(
            "line {number} of {path} cannot be read and is passed over; correct or remove it"
        )),
        _ => Some(format!(
            "{} lines of {path} cannot be read and are passed over (the first ones: {}); correct or \
             remove them",
            numbers.len(),
            shown.join(", ")
        )),
    }
}

const SHOWN_MAX: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_have_the_numbers_of_their_lines() {
        let found: Vec<_> = entries("# a\n\n b c\n \nd").collect();
        assert_eq!(found, [(3, " b c"), (5, "d")]);
        assert_eq!(name_of(" b c"), Some("b"));
        assert_eq!(name_of("# b"), None);
        assert_eq!(with_entry("a", "b"), "a\nb\n");
        assert_eq!(with_entry("", "b"), "b\n");
    }

    #[test]
    fn many_bad_lines_make_one_sentence() {
        let path = Path::new("tokens");
        let say = |numbers: &[usize]| unreadable(path, numbers).unwrap_or_default();
        assert_eq!(say(&[]), "");
        assert!(say(&[7]).starts_with("line 7 of tokens cannot"));
        let many: Vec<_> = (1..1000).collect();
        let text = say(&many);
        assert!(
            text.starts_with("999 lines of tokens") && text.contains("1, 2, 3, 4, 5)"),
            "{text}"
        );
    }
}
