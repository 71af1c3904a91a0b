// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which name somebody may have meant.

/// The name among `names` that is closest to `wanted`, if one is close enough to be a slip: the same
/// but for case, or one edit in four letters, at most three.
pub(crate) fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wanted: Vec<char> = wanted.to_lowercase().chars().collect();
    let limit = (wanted.len() / 4).clamp(usize::from(wanted.len() > 2), 3);
    let distances = names.take(NAMES_MAX).filter_map(|name| {
        let letters: Vec<char> = name.to_lowercase().chars().collect();
        let close = letters.len().abs_diff(wanted.len()) <= limit;
        close.then(|| (edits(&wanted, &letters), name))
    });
    distances
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, name)| name)
}

/// The Levenshtein distance.
fn edits(source: &[char], target: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=target.len()).collect();
    for (index, letter) in source.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for column in 0..target.len() {
            let changed = diagonal + usize::from(*letter != target[column]);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[target.len()]
}

/// A kindness should not cost more than the answer it comes with.
const NAMES_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_other_names_are_not() {
        let names = ["model.onnx", "weights.dm", "b"];
        let near = |wanted| nearest(wanted, names.into_iter());
        assert_eq!(near("MODEL.ONNX"), Some("model.onnx"));
        assert_eq!(near("modl.onnx"), Some("model.onnx"));
        assert_eq!(near("weigths.dm"), Some("weights.dm"));
        assert_eq!(
            (near("model"), near("a"), near("B")),
            (None, None, Some("b"))
        );
        assert_eq!(near("other.onnx"), None);
        assert_eq!(edits(&['a', 'b', 'c'], &['b', 'c', 'd', 'e']), 3);
    }
}
