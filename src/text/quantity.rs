// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Numbers with units, as users write them in settings.

use std::time::Duration;

/// Reads a length of time: `15`, `15s`, `500ms`, `2m`, `1h`, `7d`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    if is_never(text) {
        return Err("it cannot be none".to_owned());
    }
    // A socket would take zero for "for ever".
    match time(text)? {
        Duration::ZERO => Err("it must be more than 0".to_owned()),
        some => Ok(some),
    }
}

fn time(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    let scale = match unit {
        "" | "s" => 1000,
        "ms" => 1,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 24 * 3_600_000,
        _ => return Err("write a time as 15s, 500ms, 2m, 1h or 7d".to_owned()),
    };

    let number: u64 = number
        .parse()
        .map_err(|_| "write a time as 15s, 500ms, 2m, 1h or 7d")?;

    // What is longer would overflow the clock that it is added to.
    let time = number.checked_mul(scale).map(Duration::from_millis);
    time.filter(|time| *time <= DURATION_MAX)
        .ok_or_else(|| "that is too long; the longest time is 100 years".to_owned())
}

/// The word that stands for zero where zero switches something off.
pub(crate) const NONE: &str = "none";

/// Whether a value that can be read means nothing at all: `none`, `0`, `0s`.
pub(crate) fn is_none(text: &str) -> bool {
    let (number, _) = split(text);
    let is_zero = !number.is_empty() && number.bytes().all(|byte| byte == b'0');
    is_zero || is_never(text)
}

/// Whether a time is one in words that never comes.
pub(crate) fn is_never(text: &str) -> bool {
    is_word(text, NONE) || is_word(text, "never")
}

/// Reads a length of time; zero for `none`, `never` or `0`.
pub(crate) fn duration_or_none(text: &str) -> Result<Duration, String> {
    if is_never(text) {
        return Ok(Duration::ZERO);
    }
    time(text).map_err(or_none)
}

/// Reads a number of bytes; zero for `none` or `0`.
pub(crate) fn bytes_or_none(text: &str) -> Result<u64, String> {
    bytes(zero_for_none(text)).map_err(or_none)
}

/// Reads a whole number; zero for `none` or `0`.
pub(crate) fn count_or_none<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    count(zero_for_none(text)).map_err(or_none)
}

fn zero_for_none(text: &str) -> &str {
    if is_word(text, NONE) { "0" } else { text }
}

fn is_word(text: &str, word: &str) -> bool {
    text.trim().eq_ignore_ascii_case(word)
}

fn or_none(reason: String) -> String {
    if reason.starts_with("write ") {
        format!("{reason}, or none")
    } else {
        reason
    }
}

/// Reads a number of bytes: `4096`, `64KiB`, `10MB`, `2GiB`, `1T`; a bare K, M, G or T is binary.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let bad = || "write a size as 4096, 64KiB, 10MB or 2GiB".to_owned();
    let (number, unit) = split(text);
    let number: u64 = number.parse().map_err(|_| bad())?;

    // Users write KiB, kib and KIB.
    let unit = unit.to_ascii_lowercase();

    let scale = match unit.as_str() {
        "" | "b" => 1,
        _ => {
            let (letter, rest) = unit.split_at_checked(1).ok_or_else(bad)?;
            let power = "kmgt".find(letter).ok_or_else(bad)?;
            let power = u32::try_from(power + 1).map_err(|_| bad())?;
            match rest {
                "" | "i" | "ib" => 1024_u64.pow(power),
                "b" => 1000_u64.pow(power),
                _ => return Err(bad()),
            }
        }
    };

    // The kernel counts offsets in signed 64 bits, so no size beyond that can be kept.
    let bytes = number
        .checked_mul(scale)
        .filter(|bytes| i64::try_from(*bytes).is_ok());

    bytes.ok_or_else(|| "that is too large".to_owned())
}

/// Reads a whole number.
pub(crate) fn count<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    let text = text.trim();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().map_err(|_| {
        if is_number {
            "that is too large".to_owned()
        } else {
            "write a whole number".to_owned()
        }
    })
}

/// Reads yes or no in the forms that users try.
pub(crate) fn switch(text: &str) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        _ => Err("write true or false".to_owned()),
    }
}

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim())
}

/// The longest time that can be written: a hundred years.
pub(crate) const DURATION_MAX: Duration = Duration::from_secs(36_525 * 24 * 3600);
