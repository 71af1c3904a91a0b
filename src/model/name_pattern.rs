// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Patterns of names, as shells have them.

use std::str::FromStr;

use super::ModelName;
use crate::error::{Error, ErrorKind};
use crate::text::quotable;

/// A pattern of names: `*` stands for any characters of a segment and `?` for one of them, `**` for any
/// characters at all, and `**/` at the beginning of a segment for any number of folders, also none.
///
/// A name is compared in one pass, in a time that grows with its length times the number of stars, of which there
/// are few: a pattern of somebody who may only read is compared with all names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamePattern {
    text: String,
    steps: Vec<PatternStep>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PatternStep {
    Letter(char),
    /// `?`
    One,
    /// `*`
    Segment,
    /// `**`
    Any,
    /// `**/` at the beginning of a segment: nothing, or folders. The step behind it is [`PatternStep::Within`].
    Folders,
    /// What ends with the separator behind the last one of these folders.
    Within,
}

impl NamePattern {
    /// The longest pattern in bytes.
    pub(crate) const BYTES_MAX: usize = ModelName::BYTES_MAX;

    /// Stars at most, where neighbours count as one.
    pub(crate) const STARS_MAX: usize = 32;

    /// Whether a text is a pattern that stands for more than itself.
    pub(crate) fn has_wildcard(text: &str) -> bool {
        text.contains(['*', '?'])
    }

    /// As it was written.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// What all names that match begin with.
    pub(crate) fn literal_start(&self) -> &str {
        let end = self.text.find(['*', '?']);
        &self.text[..end.unwrap_or(self.text.len())]
    }

    /// The folders in front of the first wildcard, with a separator at their end.
    pub(crate) fn literal_folder(&self) -> &str {
        let start = self.literal_start();
        let end = start.rfind('/').map_or(0, |place| place + 1);
        &start[..end]
    }

    /// Whether a name is one of those that the pattern stands for.
    pub(crate) fn matches(&self, name: &str) -> bool {
        // Most patterns have few steps, and so do the sets of these.
        let words = self.steps.len() / 64 + 1;
        let (mut now, mut next) = ([0; WORDS], [0; WORDS]);
        let (mut now, mut next) = (&mut now[..words], &mut next[..words]);
        self.reach(0, now);

        for letter in name.chars() {
            next.fill(0);
            for (word, places) in now.iter().enumerate() {
                let mut left = *places;
                while left != 0 {
                    self.go_on(word * 64 + left.trailing_zeros() as usize, letter, next);
                    left &= left - 1;
                }
            }
            std::mem::swap(&mut now, &mut next);
        }
        has(now, self.steps.len())
    }

    /// Enters what a letter leads to from a place.
    fn go_on(&self, place: usize, letter: char, next: &mut [u64]) {
        match self.steps.get(place) {
            Some(PatternStep::Letter(wanted)) if *wanted == letter => self.reach(place + 1, next),
            Some(PatternStep::One) if letter != '/' => self.reach(place + 1, next),
            Some(PatternStep::Segment) if letter != '/' => self.reach(place, next),
            Some(PatternStep::Any) => self.reach(place, next),
            Some(PatternStep::Within) => {
                insert(next, place);
                if letter == '/' {
                    self.reach(place + 1, next);
                }
            }
            _ => {}
        }
    }

    /// Enters a place, and those behind it that are reached without a letter.
    fn reach(&self, mut place: usize, set: &mut [u64]) {
        // Behind one that was reached before, all others were.
        while !has(set, place) {
            insert(set, place);
            match self.steps.get(place) {
                Some(PatternStep::Segment | PatternStep::Any) => place += 1,
                Some(PatternStep::Folders) => {
                    insert(set, place + 1);
                    place += 2;
                }
                _ => return,
            }
        }
    }
}

impl FromStr for NamePattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let reason = if text.is_empty() {
            Some("is empty")
        } else if text.len() > Self::BYTES_MAX {
            Some("is longer than 1,024 bytes")
        } else {
            None
        };
        if let Some(reason) = reason {
            let text = format!("the pattern '{}' {reason}", quotable(text));
            return Err(Error::new(ErrorKind::BadRequest, text)
                .hint("write one such as *.onnx or me/bert*/**"));
        }

        let mut steps = Vec::new();
        let mut rest = text;
        while let Some(letter) = rest.chars().next() {
            let is_begin = matches!(
                steps.last(),
                None | Some(PatternStep::Letter('/') | PatternStep::Within)
            );
            let stars = rest.len() - rest.trim_start_matches('*').len();
            let behind = &rest[stars..];

            // More than two stars say no more than two.
            match stars {
                0 if letter == '?' => steps.push(PatternStep::One),
                0 => steps.push(PatternStep::Letter(letter)),
                1 => steps.push(PatternStep::Segment),
                _ if is_begin && behind.starts_with('/') => {
                    // Any folders and then any folders are any folders.
                    if steps.last() != Some(&PatternStep::Within) {
                        steps.extend([PatternStep::Folders, PatternStep::Within]);
                    }
                    rest = &behind[1..];
                    continue;
                }
                _ => steps.push(PatternStep::Any),
            }
            rest = match stars {
                0 => &rest[letter.len_utf8()..],
                _ => behind,
            };
        }

        let is_star = |step: &&PatternStep| {
            matches!(
                step,
                PatternStep::Segment | PatternStep::Any | PatternStep::Folders
            )
        };
        if steps.iter().filter(is_star).count() > Self::STARS_MAX {
            let (shown, most) = (quotable(text), Self::STARS_MAX);
            let text = format!("the pattern '{shown}' has more than {most} stars");
            return Err(Error::new(ErrorKind::BadRequest, text)
                .hint("ask for several simpler ones, such as me/bert*/**"));
        }

        Ok(Self {
            text: text.to_owned(),
            steps,
        })
    }
}

/// Words of 64 places each for all places of a pattern: at most as many as it has bytes, and its end.
const WORDS: usize = NamePattern::BYTES_MAX / 64 + 1;

fn insert(set: &mut [u64], place: usize) {
    set[place / 64] |= 1 << (place % 64);
}

fn has(set: &[u64], place: usize) -> bool {
    set[place / 64] & (1 << (place % 64)) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matching(pattern: &str, names: &[&str]) -> Vec<String> {
        let pattern: NamePattern = pattern.parse().unwrap();
        let names = names.iter().filter(|name| pattern.matches(name));
        names.map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn stars_stay_in_a_segment_and_pairs_of_them_do_not() {
        let names = [
            "a",
            "a.onnx",
            "b.onnx",
            "me/a.onnx",
            "me/bert/a.onnx",
            "me/bert-tiny/x/y",
            "we/a",
            "\u{f6}",
        ];
        for (pattern, found) in [
            ("*", &["a", "a.onnx", "b.onnx", "\u{f6}"][..]),
            ("?", &["a", "\u{f6}"]),
            ("*.onnx", &["a.onnx", "b.onnx"]),
            ("?.onnx", &["a.onnx", "b.onnx"]),
            ("*/a*", &["me/a.onnx", "we/a"]),
            ("m?/a.onnx", &["me/a.onnx"]),
            ("me?a.onnx", &[]),
            (
                "me/**",
                &["me/a.onnx", "me/bert/a.onnx", "me/bert-tiny/x/y"],
            ),
            ("me/bert*/**", &["me/bert/a.onnx", "me/bert-tiny/x/y"]),
            ("**/a.onnx", &["a.onnx", "me/a.onnx", "me/bert/a.onnx"]),
            ("me/**/a.onnx", &["me/a.onnx", "me/bert/a.onnx"]),
            (
                "**.onnx",
                &["a.onnx", "b.onnx", "me/a.onnx", "me/bert/a.onnx"],
            ),
            ("me/**x**y", &["me/bert-tiny/x/y"]),
            ("**/**/y", &["me/bert-tiny/x/y"]),
            ("a**/a", &[]),
            ("a", &["a"]),
            ("[ab]", &[]),
        ] {
            assert_eq!(matching(pattern, &names), found, "{pattern}");
        }
        assert_eq!(matching("**", &names).len(), names.len());
        assert_eq!(matching("***", &names).len(), names.len());
        assert_eq!(matching("**/*", &names).len(), names.len());
    }

    #[test]
    fn a_pattern_begins_with_what_all_its_names_begin_with() {
        for (text, start, folder) in [
            ("me/bert*/x", "me/bert", "me/"),
            ("a/b/c", "a/b/c", "a/b/"),
            ("*", "", ""),
            ("a/?", "a/", "a/"),
        ] {
            let pattern: NamePattern = text.parse().unwrap();
            assert_eq!(pattern.literal_start(), start, "{text}");
            assert_eq!(pattern.literal_folder(), folder, "{text}");
            assert_eq!(pattern.as_str(), text);
            assert_eq!(NamePattern::has_wildcard(text), start != text, "{text}");
        }
        for wrong in ["", &"x".repeat(1025)] {
            let error = wrong.parse::<NamePattern>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BadRequest);
        }
    }

    #[test]
    fn the_longest_and_the_worst_patterns_are_compared_in_one_pass() {
        let name = "a".repeat(1024);
        let longest = "a".repeat(1024);
        assert_eq!(matching(&longest, &[&name]).len(), 1);

        // Where each star tries each place for itself, this takes longer than anybody lives.
        let worst = "*a".repeat(31) + "*b";
        assert!(matching(&worst, &[&name]).is_empty());
        let worst = "**a".repeat(32);
        assert_eq!(matching(&worst, &[&name]).len(), 1);
    }

    #[test]
    fn a_pattern_has_few_stars_so_that_a_name_is_compared_in_few_steps() {
        for (text, stars) in [
            ("*a".repeat(32), Some(32)),
            ("*a".repeat(33), None),
            ("**a".repeat(33), None),
            ("**/a/".repeat(33), None),
            // Neighbours say the same again.
            ("**/".repeat(341), Some(1)),
            ("**/*".repeat(250), Some(2)),
            ("*".repeat(1024), Some(1)),
        ] {
            let pattern = text.parse::<NamePattern>();
            let Some(stars) = stars else {
                let error = pattern.unwrap_err();
                assert!(error.message().contains("32 stars"), "{error}");
                continue;
            };

            // No more places are alive at a time than stars, places behind them, and those that are skipped.
            let pattern = pattern.unwrap();
            assert!(pattern.steps.len() <= 2 * stars + text.matches('a').count());
            for letter in ['a', '/'] {
                let mut set = [0; WORDS];
                pattern.reach(0, &mut set);
                for _ in 0..99 {
                    let mut next = [0; WORDS];
                    (0..=pattern.steps.len())
                        .filter(|place| has(&set, *place))
                        .for_each(|place| pattern.go_on(place, letter, &mut next));
                    set = next;
                    let alive: u32 = set.iter().map(|word| word.count_ones()).sum();
                    assert!(alive as usize <= 4 * stars + 1, "{text}: {alive}");
                }
            }
        }
        assert_eq!(matching(&("**/".repeat(341) + "*"), &["x/y/z"]).len(), 1);
        assert_eq!(matching("**/**/**/z", &["x/y/z", "z"]).len(), 2);
    }
}
