// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a certificate says of itself: names and dates, read in place (RFC 5280
//! section 4.1). Not here: whether it is true, which is for webpki to say.

/// The members of a certificate that matter here. Names are in DER, without their outer tag.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    issuer: &'a [u8],
    subject: &'a [u8],
    /// When it begins, in seconds since 1970.
    pub(crate) not_before: u64,
    /// When it ends.
    pub(crate) not_after: u64,
}

impl<'a> Facts<'a> {
    /// Reads a certificate in DER; `None` for anything else, and for dates before 1970.
    pub(crate) fn read(der: &'a [u8]) -> Option<Self> {
        let mut whole = Der(der).inside(SEQUENCE)?;
        let mut certificate = whole.inside(SEQUENCE)?;
        if certificate.next_is(VERSION) {
            certificate.take(VERSION)?;
        }
        certificate.take(INTEGER)?;
        certificate.take(SEQUENCE)?;
        let issuer = certificate.take(SEQUENCE)?;
        let mut validity = certificate.inside(SEQUENCE)?;
        let (not_before, not_after) = (validity.time()?, validity.time()?);
        let subject = certificate.take(SEQUENCE)?;
        Some(Self {
            issuer,
            subject,
            not_before,
            not_after,
        })
    }

    /// Whether subject and issuer have the same name.
    pub(crate) fn is_self_issued(&self) -> bool {
        self.issuer == self.subject
    }

    /// The common name of the subject, if it has one in plain text.
    pub(crate) fn common_name(&self) -> Option<&'a str> {
        let mut sets = Der(self.subject);
        while !sets.0.is_empty() {
            let mut set = sets.inside(SET)?;
            let mut pair = set.inside(SEQUENCE)?;
            if pair.take(OBJECT)? == COMMON_NAME {
                let (tag, text) = pair.any()?;
                let text = std::str::from_utf8(text).ok()?;
                return [UTF8_STRING, PRINTABLE_STRING]
                    .contains(&tag)
                    .then_some(text);
            }
        }
        None
    }
}

/// A run of values in DER.
#[derive(Clone, Copy)]
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    fn next_is(&self, tag: u8) -> bool {
        self.0.first() == Some(&tag)
    }

    /// The next value, whatever it is.
    fn any(&mut self) -> Option<(u8, &'a [u8])> {
        let (tag, rest) = self.0.split_first()?;
        let (first, mut rest) = rest.split_first()?;
        let length = match *first {
            short @ ..=0x7f => usize::from(short),
            long @ 0x81..=0x83 => {
                let (digits, after) = rest.split_at_checked(usize::from(long & 0x7f))?;
                rest = after;
                digits
                    .iter()
                    .fold(0, |length, digit| (length << 8) | usize::from(*digit))
            }
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((*tag, value))
    }

    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.any()
            .filter(|(found, _)| *found == tag)
            .map(|(_, value)| value)
    }

    fn inside(&mut self, tag: u8) -> Option<Self> {
        self.take(tag).map(Self)
    }

    /// A time in seconds since 1970: `YYMMDDhhmmssZ` or `YYYYMMDDhhmmssZ`.
    fn time(&mut self) -> Option<u64> {
        let (tag, text) = self.any()?;
        let digits = text.strip_suffix(b"Z")?;
        let number = |at: usize, count: usize| -> Option<u64> {
            std::str::from_utf8(digits.get(at..at + count)?)
                .ok()?
                .parse()
                .ok()
        };
        let (year, at) = match (tag, digits.len()) {
            (UTC_TIME, 12) => {
                let year = number(0, 2)?;
                (year + if year < 50 { 2000 } else { 1900 }, 2)
            }
            (GENERALIZED_TIME, 14) => (number(0, 4)?, 4),
            _ => return None,
        };
        let (month, day) = (number(at, 2)?, number(at + 2, 2)?);
        let (hour, minute, second) = (number(at + 4, 2)?, number(at + 6, 2)?, number(at + 8, 2)?);
        let days = days_since_1970(year, month, day)?;
        Some(((days * 24 + hour) * 60 + minute) * 60 + second)
    }
}

/// Days of the Gregorian calendar, by counting in years that begin in March.
fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1970..10_000).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day;
    // The first of January 1970 in this count.
    Some(days - 719_469)
}

const INTEGER: u8 = 0x02;
const OBJECT: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const VERSION: u8 = 0xa0;

/// 2.5.4.3.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

#[cfg(test)]
mod tests {
    use super::*;

    use rcgen::{CertificateParams, DnType, KeyPair};

    fn certificate(not_before: (i32, u8, u8), not_after: (i32, u8, u8)) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["pi.local".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::OrganizationName, "hive");
        params.distinguished_name.push(DnType::CommonName, "pi");
        params.not_before = rcgen::date_time_ymd(not_before.0, not_before.1, not_before.2);
        params.not_after = rcgen::date_time_ymd(not_after.0, not_after.1, not_after.2);
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn names_and_dates_are_read() {
        let der = certificate((1970, 1, 1), (2099, 12, 31));
        let facts = Facts::read(&der).unwrap();
        assert_eq!((facts.not_before, facts.not_after), (0, 4_102_358_400));
        assert_eq!(facts.common_name(), Some("pi"));
        assert!(facts.is_self_issued());
        for day in [
            (2000, 2, 29),
            (2026, 11, 21),
            (2049, 12, 31),
            (2050, 1, 1),
            (2100, 3, 1),
        ] {
            let der = certificate((2000, 1, 1), day);
            let expected = rcgen::date_time_ymd(day.0, day.1, day.2).unix_timestamp();
            assert_eq!(
                Facts::read(&der).unwrap().not_after,
                u64::try_from(expected).unwrap()
            );
        }
    }

    #[test]
    fn what_is_cut_or_changed_is_no_certificate_and_no_panic() {
        let der = certificate((2000, 1, 1), (2030, 1, 1));
        for end in 0..der.len() {
            assert!(Facts::read(&der[..end]).is_none());
        }
        for at in 0..der.len().min(300) {
            for byte in [0, 0x7f, 0x80, 0x84, 0xff] {
                let mut bent = der.clone();
                bent[at] = byte;
                if let Some(facts) = Facts::read(&bent) {
                    let _ = facts.common_name();
                }
            }
        }
    }
}
