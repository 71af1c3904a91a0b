// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which name somebody may have meant.

use strsim::osa_distance;

/// The name among `names` that is closest to `wanted`, if one is close enough to be a slip: the same
/// but for case, or one edit in four letters, at most three. Two letters in the wrong order are one
/// edit.
pub(crate) fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = wanted.to_lowercase();
    let letters = wanted.chars().count();

    // In names of one or two letters, one edit could make any name of any other.
    let limit = (letters / 4).clamp(usize::from(letters > 2), 3);

    let distances = names.take(NAMES_MAX).filter_map(|name| {
        let lower = name.to_lowercase();
        // The lengths are compared first, so that a long name costs next to nothing.
        let is_close = lower.chars().count().abs_diff(letters) <= limit;
        is_close.then(|| (osa_distance(&wanted, &lower), name))
    });

    distances
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, name)| name)
}

/// A suggestion must not cost more than the answer that it comes with.
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
        assert_eq!(nearest("dri", ["dir", "port"].into_iter()), Some("dir"));

        // What comes behind many others is not looked at.
        let behind = |others| {
            let names = std::iter::repeat_n("other", others);
            nearest("dri", names.chain(["dir"]))
        };
        assert_eq!(behind(NAMES_MAX - 1), Some("dir"));
        assert_eq!(behind(NAMES_MAX), None);
    }
}
