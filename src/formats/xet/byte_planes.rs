// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Bytes in four planes, of which plane K has those at K, K + 4, K + 8 and so on: numbers of four bytes pack better
//! this way. The first planes have one byte more where the length is no multiple of four.

/// Puts bytes back into their order; both buffers have one length.
pub(super) fn interleave(planes: &[u8], plain: &mut [u8]) {
    let (whole, over) = (planes.len() / 4, planes.len() % 4);
    let mut rest = planes;
    let mut next = |index: usize| {
        let length = whole + usize::from(index < over);
        let (plane, others) = rest.split_at(length.min(rest.len()));
        rest = others;
        plane
    };
    let [first, second, third, fourth] = [next(0), next(1), next(2), next(3)];

    let fours = first.iter().zip(second).zip(third.iter().zip(fourth));
    let mut groups = plain.chunks_exact_mut(4);
    for (group, ((one, two), (three, four))) in groups.by_ref().zip(fours) {
        group.copy_from_slice(&[*one, *two, *three, *four]);
    }

    let last = [first, second, third].map(|plane| plane.get(whole));
    let left = groups.into_remainder().iter_mut();
    for (byte, last) in left.zip(last.into_iter().flatten()) {
        *byte = *last;
    }
}
