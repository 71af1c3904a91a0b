// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Numbers of things, as people read them: `1 byte`, `2 bytes`.

/// A number with its noun, whose plural has an `s`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_no_plural() {
        let words = [0, 1, 2].map(|number| counted(number, "byte"));
        assert_eq!(words, ["0 bytes", "1 byte", "2 bytes"]);
    }
}
