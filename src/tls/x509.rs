// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a certificate says of itself: names and dates, read in place (RFC 5280
//! section 4.1). Not here: whether it is true, which is for webpki to say.

use der::asn1::{AnyRef, GeneralizedTime, UtcTime};
use der::{Decode as _, Reader as _, SliceReader, Tag, TagMode, TagNumber, Tagged as _};

/// The members of a certificate that matter here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    issuer: AnyRef<'a>,
    subject: AnyRef<'a>,
    /// When it begins, in seconds since 1970.
    pub(crate) not_before: u64,
    /// When it ends.
    pub(crate) not_after: u64,
}

impl<'a> Facts<'a> {
    /// Reads a certificate in DER; `None` for anything else, and for dates before 1970.
    pub(crate) fn read(der: &'a [u8]) -> Option<Self> {
        Self::parse(der).ok()
    }

    fn parse(der: &'a [u8]) -> der::Result<Self> {
        // Certificate and TBSCertificate, read no further than the subject.
        let mut whole = inside(AnyRef::from_der(der)?, Tag::Sequence)?;
        let mut certificate = inside(whole.decode()?, Tag::Sequence)?;

        // The version is absent in certificates of version 1.
        let _: Option<u8> = certificate.context_specific(TagNumber(0), TagMode::Explicit)?;
        let _serial: AnyRef<'_> = certificate.decode()?;
        let _algorithm: AnyRef<'_> = certificate.decode()?;

        let issuer = certificate.decode()?;
        let (not_before, not_after) =
            certificate.sequence(|dates| Ok::<_, der::Error>((time(dates)?, time(dates)?)))?;
        let subject = certificate.decode()?;

        Ok(Self {
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

    /// The common name of the subject, if it has one in UTF-8 (section 4.1.2.6). Of several it is the
    /// last, which is the most specific one.
    pub(crate) fn common_name(&self) -> Option<&'a str> {
        common_name(self.subject).ok().flatten()
    }
}

/// The last common name in a sequence of sets of sequences of an object identifier and a text.
fn common_name(name: AnyRef<'_>) -> der::Result<Option<&str>> {
    let mut found = None;
    let mut sets = inside(name, Tag::Sequence)?;

    while !sets.is_finished() {
        let mut set = inside(sets.decode()?, Tag::Set)?;
        while !set.is_finished() {
            let mut pair = inside(set.decode()?, Tag::Sequence)?;
            let kind: AnyRef<'_> = pair.decode()?;
            // The last name counts even if it cannot be read: an earlier one may name more than this caller.
            let text: AnyRef<'_> = pair.decode()?;
            if kind.tag() == Tag::ObjectIdentifier && kind.value() == COMMON_NAME {
                found = plain(text);
            }
        }
    }

    Ok(found)
}

/// The text of one of the string types whose bytes are UTF-8 or a subset of it.
fn plain(text: AnyRef<'_>) -> Option<&str> {
    let is_plain = matches!(
        text.tag(),
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::TeletexString
    );
    std::str::from_utf8(text.value()).ok().filter(|_| is_plain)
}

/// What is inside of a value that must have this tag.
fn inside(value: AnyRef<'_>, tag: Tag) -> der::Result<SliceReader<'_>> {
    value.tag().assert_eq(tag)?;
    SliceReader::new(value.value())
}

/// The next date, in seconds since 1970 (section 4.1.2.5).
fn time(reader: &mut SliceReader<'_>) -> der::Result<u64> {
    let since_1970 = if Tag::peek(reader)? == Tag::UtcTime {
        reader.decode::<UtcTime>()?.to_unix_duration()
    } else {
        reader.decode::<GeneralizedTime>()?.to_unix_duration()
    };
    Ok(since_1970.as_secs())
}

/// The object identifier 2.5.4.3 (RFC 5280 appendix A.1).
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

#[cfg(test)]
mod tests {
    use super::*;

    use rcgen::{CertificateParams, DnType, DnValue, KeyPair};

    fn certificate(not_before: (i32, u8, u8), not_after: (i32, u8, u8)) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["pi.local".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::OrganizationName, "hive");
        let common_name = DnValue::PrintableString("pi".try_into().unwrap());
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);
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
    fn the_last_of_several_common_names_counts_and_names_of_other_kinds_do_not() {
        let pair = |text: &[u8]| [&[0x30, 8, 6, 3, 0x55, 4, 3][..], text].concat();
        let set = |pair: &[u8]| [&[0x31, u8::try_from(pair.len()).unwrap()], pair].concat();
        let name = |sets: &[Vec<u8>]| {
            let sets = sets.concat();
            common_name(AnyRef::new(Tag::Sequence, &sets).unwrap())
                .map(|name| name.map(str::to_owned))
        };

        let (utf8, wide) = (pair(&[0x0c, 1, b'a']), pair(&[0x1e, 1, b'b']));
        let two = [utf8.clone(), pair(&[0x16, 1, b'c'])].concat();
        assert_eq!(
            name(&[set(&utf8), set(&pair(&[0x13, 1, b'd']))])
                .unwrap()
                .unwrap(),
            "d"
        );
        assert_eq!(name(&[set(&two)]).unwrap().unwrap(), "c");
        assert_eq!(name(&[set(&wide)]).unwrap(), None);
        assert_eq!(name(&[]).unwrap(), None);
        assert!(name(&[utf8]).is_err());
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
