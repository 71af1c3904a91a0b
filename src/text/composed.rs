// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The two ways in which Unicode writes a letter with a mark: as one character (form NFC, what keyboards
//! give) and as the letter and its mark (form NFD, what some file systems make of it).
//!
//! The table has the letters of European languages and of Vietnamese, and kana; Korean syllables are
//! computed (Unicode Standard, section 3.12). Other text stays as it is.

/// A text with each letter and its mark as one character.
pub(crate) fn composed(text: &str) -> String {
    let mut whole = String::with_capacity(text.len());
    for character in text.chars() {
        match whole
            .chars()
            .next_back()
            .and_then(|last| joined(last, character))
        {
            Some(one) => {
                whole.pop();
                whole.push(one);
            }
            None => whole.push(character),
        }
    }
    whole
}

/// A text with each letter in front of its marks.
pub(crate) fn decomposed(text: &str) -> String {
    let mut apart = String::with_capacity(2 * text.len());
    text.chars()
        .for_each(|character| push_apart(&mut apart, character));
    apart
}

fn push_apart(apart: &mut String, character: char) {
    match parted(character) {
        // The letter may be one with a mark itself.
        Some((letter, mark)) => {
            push_apart(apart, letter);
            apart.push(mark);
        }
        None => apart.push(character),
    }
}

fn joined(letter: char, mark: char) -> Option<char> {
    let (first, second) = (u32::from(letter), u32::from(mark));
    if (LEADS..LEADS + 19).contains(&first) && (VOWELS..VOWELS + 21).contains(&second) {
        return char::from_u32(SYLLABLES + ((first - LEADS) * 21 + second - VOWELS) * 28);
    }
    if is_open_syllable(first) && (TAILS + 1..TAILS + 28).contains(&second) {
        return char::from_u32(first + second - TAILS);
    }

    let (_, pairs) = PAIRS.iter().find(|(one, _)| *one == mark)?;
    let mut pairs = pairs.chars();
    while let (Some(one), Some(both)) = (pairs.next(), pairs.next()) {
        if one == letter {
            return Some(both);
        }
    }
    None
}

fn parted(character: char) -> Option<(char, char)> {
    let number = u32::from(character);
    if is_open_syllable(number) {
        let (lead, vowel) = ((number - SYLLABLES) / 588, (number - SYLLABLES) / 28 % 21);
        return char::from_u32(LEADS + lead).zip(char::from_u32(VOWELS + vowel));
    }
    if (SYLLABLES..SYLLABLES + SYLLABLES_COUNT).contains(&number) {
        let tail = (number - SYLLABLES) % 28;
        return char::from_u32(number - tail).zip(char::from_u32(TAILS + tail));
    }

    PAIRS.iter().find_map(|(mark, pairs)| {
        let mut pairs = pairs.chars();
        while let (Some(letter), Some(both)) = (pairs.next(), pairs.next()) {
            if both == character {
                return Some((letter, *mark));
            }
        }
        None
    })
}

/// A Korean syllable without a consonant at its end.
fn is_open_syllable(number: u32) -> bool {
    (SYLLABLES..SYLLABLES + SYLLABLES_COUNT).contains(&number)
        && (number - SYLLABLES).is_multiple_of(28)
}

const LEADS: u32 = 0x1100;
const VOWELS: u32 = 0x1161;
const TAILS: u32 = 0x11a7;
const SYLLABLES: u32 = 0xac00;
const SYLLABLES_COUNT: u32 = 11_172;

/// Marks, and for each of them letters, each followed by what it is with the mark.
const PAIRS: &[(char, &str)] = &[
    (
        '\u{300}',
        "A\u{c0}E\u{c8}I\u{cc}O\u{d2}U\u{d9}a\u{e0}e\u{e8}i\u{ec}o\u{f2}u\u{f9}\u{dc}\u{1db}\
         \u{fc}\u{1dc}\u{415}\u{400}\u{418}\u{40d}\u{435}\u{450}\u{438}\u{45d}\u{c2}\u{1ea6}\
         \u{e2}\u{1ea7}\u{102}\u{1eb0}\u{103}\u{1eb1}\u{ca}\u{1ec0}\u{ea}\u{1ec1}\u{d4}\
         \u{1ed2}\u{f4}\u{1ed3}\u{1a0}\u{1edc}\u{1a1}\u{1edd}\u{1af}\u{1eea}\u{1b0}\u{1eeb}Y\
         \u{1ef2}y\u{1ef3}",
    ),
    (
        '\u{301}',
        "A\u{c1}E\u{c9}I\u{cd}O\u{d3}U\u{da}Y\u{dd}a\u{e1}e\u{e9}i\u{ed}o\u{f3}u\u{fa}y\u{fd}\
         C\u{106}c\u{107}L\u{139}l\u{13a}N\u{143}n\u{144}R\u{154}r\u{155}S\u{15a}s\u{15b}Z\
         \u{179}z\u{17a}\u{dc}\u{1d7}\u{fc}\u{1d8}\u{391}\u{386}\u{395}\u{388}\u{397}\u{389}\
         \u{399}\u{38a}\u{39f}\u{38c}\u{3a5}\u{38e}\u{3a9}\u{38f}\u{3ca}\u{390}\u{3b1}\u{3ac}\
         \u{3b5}\u{3ad}\u{3b7}\u{3ae}\u{3b9}\u{3af}\u{3cb}\u{3b0}\u{3bf}\u{3cc}\u{3c5}\u{3cd}\
         \u{3c9}\u{3ce}\u{413}\u{403}\u{41a}\u{40c}\u{433}\u{453}\u{43a}\u{45c}\u{c2}\u{1ea4}\
         \u{e2}\u{1ea5}\u{102}\u{1eae}\u{103}\u{1eaf}\u{ca}\u{1ebe}\u{ea}\u{1ebf}\u{d4}\
         \u{1ed0}\u{f4}\u{1ed1}\u{1a0}\u{1eda}\u{1a1}\u{1edb}\u{1af}\u{1ee8}\u{1b0}\u{1ee9}",
    ),
    (
        '\u{302}',
        "A\u{c2}E\u{ca}I\u{ce}O\u{d4}U\u{db}a\u{e2}e\u{ea}i\u{ee}o\u{f4}u\u{fb}C\u{108}c\
         \u{109}G\u{11c}g\u{11d}H\u{124}h\u{125}J\u{134}j\u{135}S\u{15c}s\u{15d}W\u{174}w\
         \u{175}Y\u{176}y\u{177}\u{1ea0}\u{1eac}\u{1ea1}\u{1ead}\u{1eb8}\u{1ec6}\u{1eb9}\
         \u{1ec7}\u{1ecc}\u{1ed8}\u{1ecd}\u{1ed9}",
    ),
    (
        '\u{303}',
        "A\u{c3}N\u{d1}O\u{d5}a\u{e3}n\u{f1}o\u{f5}I\u{128}i\u{129}U\u{168}u\u{169}\u{c2}\
         \u{1eaa}\u{e2}\u{1eab}\u{102}\u{1eb4}\u{103}\u{1eb5}E\u{1ebc}e\u{1ebd}\u{ca}\u{1ec4}\
         \u{ea}\u{1ec5}\u{d4}\u{1ed6}\u{f4}\u{1ed7}\u{1a0}\u{1ee0}\u{1a1}\u{1ee1}\u{1af}\
         \u{1eee}\u{1b0}\u{1eef}Y\u{1ef8}y\u{1ef9}",
    ),
    (
        '\u{304}',
        "A\u{100}a\u{101}E\u{112}e\u{113}I\u{12a}i\u{12b}O\u{14c}o\u{14d}U\u{16a}u\u{16b}\
         \u{dc}\u{1d5}\u{fc}\u{1d6}",
    ),
    (
        '\u{306}',
        "A\u{102}a\u{103}E\u{114}e\u{115}G\u{11e}g\u{11f}I\u{12c}i\u{12d}O\u{14e}o\u{14f}U\
         \u{16c}u\u{16d}\u{423}\u{40e}\u{418}\u{419}\u{438}\u{439}\u{443}\u{45e}\u{1ea0}\
         \u{1eb6}\u{1ea1}\u{1eb7}",
    ),
    (
        '\u{307}',
        "C\u{10a}c\u{10b}E\u{116}e\u{117}G\u{120}g\u{121}I\u{130}Z\u{17b}z\u{17c}",
    ),
    (
        '\u{308}',
        "A\u{c4}E\u{cb}I\u{cf}O\u{d6}U\u{dc}a\u{e4}e\u{eb}i\u{ef}o\u{f6}u\u{fc}y\u{ff}Y\
         \u{178}\u{399}\u{3aa}\u{3a5}\u{3ab}\u{3b9}\u{3ca}\u{3c5}\u{3cb}\u{415}\u{401}\u{406}\
         \u{407}\u{435}\u{451}\u{456}\u{457}",
    ),
    (
        '\u{309}',
        "A\u{1ea2}a\u{1ea3}\u{c2}\u{1ea8}\u{e2}\u{1ea9}\u{102}\u{1eb2}\u{103}\u{1eb3}E\
         \u{1eba}e\u{1ebb}\u{ca}\u{1ec2}\u{ea}\u{1ec3}I\u{1ec8}i\u{1ec9}O\u{1ece}o\u{1ecf}\
         \u{d4}\u{1ed4}\u{f4}\u{1ed5}\u{1a0}\u{1ede}\u{1a1}\u{1edf}U\u{1ee6}u\u{1ee7}\u{1af}\
         \u{1eec}\u{1b0}\u{1eed}Y\u{1ef6}y\u{1ef7}",
    ),
    ('\u{30a}', "A\u{c5}a\u{e5}U\u{16e}u\u{16f}"),
    ('\u{30b}', "O\u{150}o\u{151}U\u{170}u\u{171}"),
    (
        '\u{30c}',
        "C\u{10c}c\u{10d}D\u{10e}d\u{10f}E\u{11a}e\u{11b}L\u{13d}l\u{13e}N\u{147}n\u{148}R\
         \u{158}r\u{159}S\u{160}s\u{161}T\u{164}t\u{165}Z\u{17d}z\u{17e}A\u{1cd}a\u{1ce}I\
         \u{1cf}i\u{1d0}O\u{1d1}o\u{1d2}U\u{1d3}u\u{1d4}\u{dc}\u{1d9}\u{fc}\u{1da}",
    ),
    ('\u{31b}', "O\u{1a0}o\u{1a1}U\u{1af}u\u{1b0}"),
    (
        '\u{323}',
        "A\u{1ea0}a\u{1ea1}E\u{1eb8}e\u{1eb9}I\u{1eca}i\u{1ecb}O\u{1ecc}o\u{1ecd}\u{1a0}\
         \u{1ee2}\u{1a1}\u{1ee3}U\u{1ee4}u\u{1ee5}\u{1af}\u{1ef0}\u{1b0}\u{1ef1}Y\u{1ef4}y\
         \u{1ef5}",
    ),
    ('\u{326}', "S\u{218}s\u{219}T\u{21a}t\u{21b}"),
    (
        '\u{327}',
        "C\u{c7}c\u{e7}G\u{122}g\u{123}K\u{136}k\u{137}L\u{13b}l\u{13c}N\u{145}n\u{146}R\
         \u{156}r\u{157}S\u{15e}s\u{15f}T\u{162}t\u{163}",
    ),
    (
        '\u{328}',
        "A\u{104}a\u{105}E\u{118}e\u{119}I\u{12e}i\u{12f}U\u{172}u\u{173}",
    ),
    (
        '\u{3099}',
        "\u{304b}\u{304c}\u{304d}\u{304e}\u{304f}\u{3050}\u{3051}\u{3052}\u{3053}\u{3054}\
         \u{3055}\u{3056}\u{3057}\u{3058}\u{3059}\u{305a}\u{305b}\u{305c}\u{305d}\u{305e}\
         \u{305f}\u{3060}\u{3061}\u{3062}\u{3064}\u{3065}\u{3066}\u{3067}\u{3068}\u{3069}\
         \u{306f}\u{3070}\u{3072}\u{3073}\u{3075}\u{3076}\u{3078}\u{3079}\u{307b}\u{307c}\
         \u{3046}\u{3094}\u{309d}\u{309e}\u{30ab}\u{30ac}\u{30ad}\u{30ae}\u{30af}\u{30b0}\
         \u{30b1}\u{30b2}\u{30b3}\u{30b4}\u{30b5}\u{30b6}\u{30b7}\u{30b8}\u{30b9}\u{30ba}\
         \u{30bb}\u{30bc}\u{30bd}\u{30be}\u{30bf}\u{30c0}\u{30c1}\u{30c2}\u{30c4}\u{30c5}\
         \u{30c6}\u{30c7}\u{30c8}\u{30c9}\u{30cf}\u{30d0}\u{30d2}\u{30d3}\u{30d5}\u{30d6}\
         \u{30d8}\u{30d9}\u{30db}\u{30dc}\u{30a6}\u{30f4}\u{30ef}\u{30f7}\u{30f0}\u{30f8}\
         \u{30f1}\u{30f9}\u{30f2}\u{30fa}\u{30fd}\u{30fe}",
    ),
    (
        '\u{309a}',
        "\u{306f}\u{3071}\u{3072}\u{3074}\u{3075}\u{3077}\u{3078}\u{307a}\u{307b}\u{307d}\
         \u{30cf}\u{30d1}\u{30d2}\u{30d4}\u{30d5}\u{30d7}\u{30d8}\u{30da}\u{30db}\u{30dd}",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_write_a_letter_lead_to_each_other() {
        for (one, two) in [
            ("m\u{f6}del.onnx", "mo\u{308}del.onnx"),
            ("\u{c5}\u{160}\u{15f}", "A\u{30a}S\u{30c}s\u{327}"),
            (
                "ti\u{1ebf}ng vi\u{1ec7}t",
                "tie\u{302}\u{301}ng vie\u{323}\u{302}t",
            ),
            (
                "\u{439}\u{451}\u{3ac}",
                "\u{438}\u{306}\u{435}\u{308}\u{3b1}\u{301}",
            ),
            ("\u{304c}\u{30d1}", "\u{304b}\u{3099}\u{30cf}\u{309a}"),
            (
                "\u{d55c}\u{ae00}\u{ac00}",
                "\u{1112}\u{1161}\u{11ab}\u{1100}\u{1173}\u{11af}\u{1100}\u{1161}",
            ),
        ] {
            assert_eq!(
                (composed(two).as_str(), decomposed(one).as_str()),
                (one, two)
            );
            assert_eq!(
                (composed(one).as_str(), decomposed(two).as_str()),
                (one, two)
            );
        }
        for same in ["model.onnx", "\u{301}x", "\u{4e2d}\u{1f41d}", "x\u{301}"] {
            assert_eq!(
                (composed(same).as_str(), decomposed(same).as_str()),
                (same, same)
            );
        }
    }
}
