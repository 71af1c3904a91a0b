// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Times as dates, whatever time it is: a file, a card or another device may name any, and what has no
//! form is written as the nearest one that has.

use std::time::{Duration, SystemTime};

use time::OffsetDateTime;

/// The date of a time, in UTC and whole seconds, between the years 0 and 9999: the forms of RFC 3339 and of
/// logs have four digits for the year.
pub(crate) fn date_time(time: SystemTime) -> OffsetDateTime {
    let seconds = match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
        // Rounded down, as after 1970.
        Err(before) => {
            let before = before.duration();
            let whole = before.as_secs() + u64::from(before.subsec_nanos() > 0);
            i64::try_from(whole).map_or(i64::MIN, |whole| -whole)
        }
    };

    OffsetDateTime::from_unix_timestamp(seconds.clamp(FIRST, LAST.cast_signed()))
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// A time as HTTP writes it (RFC 9110 section 5.6.7), between the years 1970 and 9999.
pub(crate) fn http_date(time: SystemTime) -> String {
    let after = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let seconds = after.as_secs().min(LAST);

    httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

/// Whether a time, in seconds since 1970, has a date that RFC 3339 has a form for.
pub(crate) fn has_date(seconds: i64) -> bool {
    (FIRST..=LAST.cast_signed()).contains(&seconds)
}

/// A time in seconds since 1970; `None` for one that the system has no form for.
pub(crate) fn time_at(seconds: i64) -> Option<SystemTime> {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    }
}

/// The first second of the year 0, in seconds since 1970.
const FIRST: i64 = -62_167_219_200;

/// The last second of the year 9999.
const LAST: u64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_can_be_written() {
        let second = Duration::from_secs(1);
        let long = second * u32::MAX * 500;
        let (early, late) = (SystemTime::UNIX_EPOCH - long, SystemTime::UNIX_EPOCH + long);
        assert_eq!(http_date(early), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(http_date(late), "Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!((date_time(early).year(), date_time(late).year()), (0, 9999));
        let before = SystemTime::UNIX_EPOCH - second / 2;
        assert_eq!(date_time(before).unix_timestamp(), -1);
        for seconds in [-1, 0, 7, FIRST] {
            let time = time_at(seconds).unwrap();
            assert_eq!(date_time(time).unix_timestamp(), seconds);
        }
        assert_eq!(time_at(i64::MIN).or(time_at(i64::MAX)), time_at(i64::MIN));
    }
}
