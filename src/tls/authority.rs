// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A private authority in a directory of the home: it issues certificates to devices, remembers which,
//! and says which of them were revoked.

use std::io;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevocationReason, RevokedCertParams, SerialNumber,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateRevocationListDer, ServerName};
use time::OffsetDateTime;
use webpki::{CertRevocationList, OwnedCertRevocationList};

use crate::clock;
use crate::disk::{self, ChangeLock};
use crate::error::{Error, ErrorKind, Result};
use crate::text::{entries, unreadable, with_entry};
use crate::tls::callers::caller_name;
use crate::tls::identity::{alternative, failed, host_name};
use crate::tls::issued::{Issued, bad_lines, random_serial, read};
use crate::tls::pem::{PemFile, exists, unusable};
use crate::tls::x509::Facts;

/// An authority, which need not have been made yet.
pub(crate) struct Authority(PathBuf);

/// What a device gets: texts in PEM.
pub(crate) struct Papers {
    pub(crate) certificate: String,
    pub(crate) key: String,
    /// The certificate of the authority.
    pub(crate) authority: String,
}

impl Authority {
    pub(crate) fn new(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    /// The file of its certificate.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.0.join("ca.crt")
    }

    /// Makes the authority: a key that nobody else can read, a certificate, and an empty list of what
    /// it has revoked.
    ///
    /// # Errors
    /// `Conflict` if there is one, `Usage` if it cannot be written.
    pub(crate) fn make(&self) -> Result<()> {
        disk::create_directory(&self.0)
            .map_err(|error| unusable(&PemFile::new("", &self.0), "cannot be made", error))?;
        let _lock = self.lock()?;

        // Asked under the lock: of two that make one at the same time, the second must not replace the
        // key of the first.
        if exists(&self.certificate()) {
            let text = format!("there is an authority in {} already", self.0.display());
            return Err(Error::new(ErrorKind::Conflict, text).hint(
                "certificates that it issued cannot be renewed or revoked without it; to make a new \
                 authority all the same, move that directory away first",
            ));
        }

        // Issuers are found by their name, so the random part tells two authorities of one device apart.
        let name = format!(
            "skep authority of {} {}",
            host_name(),
            &random_serial()?[..8]
        );

        let mut params = params(&name)?;
        // With a path length of 0, nobody below can act as an authority (RFC 5280 section 4.2.1.9).
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_after = rcgen::date_time_ymd(2099, 12, 31);
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.self_signed(&key).map_err(failed)?.pem();
        self.write("ca.key", &key.serialize_pem(), 0o600)?;
        self.write(ISSUED, "", 0o600)?;

        // The list is there from the start, empty as it is, because servers do not start without it.
        self.write(
            REVOKED,
            &revocation_list(&Issuer::new(params, key), &[])?,
            0o644,
        )?;

        // The last one: with it, the authority is there.
        self.write("ca.crt", &certificate, 0o644)
    }

    /// Issues a certificate to a device: for callers, and for servers at its name and at `hosts`.
    ///
    /// # Errors
    /// `NotFound` if there is no authority, `Usage` for names that cannot be used, and for hosts by one
    /// of which servers would call the device instead of by its name.
    pub(crate) fn issue(&self, name: &str, hosts: &[String], days: u64) -> Result<Papers> {
        check_name(name)?;
        let issuer = self.issuer()?;
        let _lock = self.lock()?;
        let mut params = params(name)?;
        let end = clock::seconds()
            .saturating_add(days.saturating_mul(86_400))
            .min(END_MAX);

        let serial = random_serial()?;
        params.serial_number = Some(SerialNumber::from(bytes(&serial)));
        params.not_after = moment(end);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];

        // A device may be both a caller and a server.
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ClientAuth,
            ExtendedKeyUsagePurpose::ServerAuth,
        ];

        // The own name comes first, because a server calls its caller by the first DNS name. One that is no
        // host name, such as me@pi, is the common name alone.
        let own = ServerName::try_from(name.to_owned()).ok();
        let mut names: Vec<_> = own.into_iter().collect();

        for host in hosts {
            names.push(ServerName::try_from(host.clone()).map_err(|_| {
                Error::new(
                    ErrorKind::Usage,
                    format!("'{host}' is neither a host name nor an address"),
                )
            })?);
        }

        params.subject_alt_names = names.iter().filter_map(alternative).collect();
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.signed_by(&key, &issuer).map_err(failed)?;

        // Rights are given to names, so the holder must have no other one than that it was issued to.
        let called = caller_name(certificate.der()).unwrap_or_default();
        if !called.eq_ignore_ascii_case(name) {
            return Err(called_otherwise(name, &called));
        }

        let authority = PemFile::new("", self.certificate()).read()?;

        let issued = Issued {
            serial,
            name: name.to_owned(),
            end,
            revoked: None,
        };

        // What is not remembered could not be revoked.
        let text = with_entry(&self.issued_text()?, &issued.line());
        self.write(ISSUED, &text, 0o600)?;
        let authority = String::from_utf8_lossy(&authority).into_owned();

        Ok(Papers {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            authority,
        })
    }

    /// Revokes what was issued under a name, and returns how many certificates that were.
    ///
    /// # Errors
    /// `NotFound` if there is no such name, or nothing of it that is still good.
    pub(crate) fn revoke(&self, name: &str) -> Result<usize> {
        let issuer = self.issuer()?;
        let _lock = self.lock()?;
        let text = self.issued_text()?;

        // The new list would leave out what such a line may have revoked.
        if let Some(number) = bad_lines(&text).first() {
            let path = self.0.join(ISSUED);
            let text = format!("line {number} of {} cannot be read", path.display());
            return Err(Error::new(ErrorKind::Usage, text).hint(
                "correct it to SERIAL NAME END or SERIAL NAME END revoked AT; without it, a \
                 certificate that it revoked would be good again",
            ));
        }

        let mut issued: Vec<_> = entries(&text).filter_map(|(_, line)| read(line)).collect();
        let now = clock::seconds();
        let list = self.revoked_list();
        let mut count = 0;

        for one in issued.iter_mut().filter(|one| one.name == name) {
            // Servers go by the list alone. A revocation that was cut short between the two files is
            // completed here.
            if one.revoked.is_none() || !is_listed(list.as_ref(), one) {
                // The time of an earlier revocation stays.
                one.revoked.get_or_insert(now);
                count += 1;
            }
        }

        if count == 0 {
            let text = format!("no certificate of '{name}' is valid any more, or none was issued");
            return Err(Error::new(ErrorKind::NotFound, text).hint("'skep ca ls' lists them"));
        }

        let text: String = issued.iter().map(|one| one.line() + "\n").collect();
        self.write(ISSUED, &text, 0o600)?;
        self.write(REVOKED, &revocation_list(&issuer, &issued)?, 0o644)?;

        Ok(count)
    }

    /// The list that servers read, as far as it can be read.
    fn revoked_list(&self) -> Option<CertRevocationList<'static>> {
        let text = PemFile::new("", self.0.join(REVOKED)).read().ok()?;
        let list = CertificateRevocationListDer::from_pem_slice(&text).ok()?;

        OwnedCertRevocationList::from_der(&list)
            .ok()
            .map(CertRevocationList::from)
    }

    /// All that was issued, the oldest first, as far as it can be read.
    ///
    /// # Errors
    /// `NotFound` if there is no authority, `Usage` if its list cannot be read.
    pub(crate) fn list(&self) -> Result<Vec<Issued>> {
        let text = self.issued_text()?;

        if let Some(warning) = unreadable(&self.0.join(ISSUED), &bad_lines(&text)) {
            log::warn!("{warning}");
        }

        Ok(entries(&text).filter_map(|(_, line)| read(line)).collect())
    }

    fn issued_text(&self) -> Result<String> {
        let place = PemFile::new("", self.0.join(ISSUED));
        if exists(&place.path) {
            Ok(String::from_utf8_lossy(&place.read()?).into_owned())
        } else {
            Err(self.missing())
        }
    }

    fn issuer(&self) -> Result<Issuer<'static, KeyPair>> {
        if !exists(&self.certificate()) {
            return Err(self.missing());
        }

        let (cert, key) = (
            PemFile::new("", self.certificate()),
            PemFile::new("", self.0.join("ca.key")),
        );

        let bent = |place: &PemFile| {
            Error::new(
                ErrorKind::Usage,
                format!("{place} does not belong to an authority made by skep"),
            )
        };

        // New certificates must name their issuer exactly as this certificate names its subject, so the
        // parameters are made from the same name as at first.
        let certificates = cert.certificates()?;
        let name = Facts::read(&certificates[0]).and_then(|facts| facts.common_name());
        let params = params(name.ok_or_else(|| bent(&cert))?)?;
        let text = key.read()?;
        let pair = std::str::from_utf8(&text)
            .ok()
            .and_then(|text| KeyPair::from_pem(text).ok());

        Ok(Issuer::new(params, pair.ok_or_else(|| bent(&key))?))
    }

    fn missing(&self) -> Error {
        let text = format!("there is no authority in {}", self.0.display());
        Error::new(ErrorKind::NotFound, text).hint("make one with 'skep ca init'")
    }

    fn write(&self, name: &str, text: &str, mode: u32) -> Result<()> {
        let place = PemFile::new("", self.0.join(name));
        disk::write(&place.path, text.as_bytes(), mode)
            .map_err(|error| unusable(&place, "cannot be written", error))
    }

    fn lock(&self) -> Result<ChangeLock> {
        let place = PemFile::new("", self.0.join("lock"));
        ChangeLock::wait(&place.path).map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => Error::new(ErrorKind::Busy, error.to_string())
                .hint("try again, or see what still runs"),
            _ => unusable(&place, "cannot be written", error),
        })
    }
}

/// What all certificates here have in common: they begin in 2000, for devices without a clock.
fn params(name: &str) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new()).map_err(failed)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = rcgen::date_time_ymd(2000, 1, 1);
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn revocation_list(issuer: &Issuer<'_, KeyPair>, issued: &[Issued]) -> Result<String> {
    let revoked = issued.iter().filter_map(|one| {
        Some(RevokedCertParams {
            serial_number: SerialNumber::from(bytes(&one.serial)),
            revocation_time: moment(one.revoked?),
            reason_code: Some(RevocationReason::CessationOfOperation),
            invalidity_date: None,
        })
    });

    let now = clock::seconds();

    // The list does not expire, since a device may be off for years and nobody signs a new one each
    // month. Its number has to grow from list to list (RFC 5280 section 5.2.3), as the time does.
    let list = CertificateRevocationListParams {
        this_update: moment(now),
        next_update: rcgen::date_time_ymd(2099, 12, 31),
        crl_number: SerialNumber::from(now),
        issuing_distribution_point: None,
        revoked_certs: revoked.collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };

    list.signed_by(issuer)
        .and_then(|list| list.pem())
        .map_err(failed)
}

fn is_listed(list: Option<&CertRevocationList<'_>>, one: &Issued) -> bool {
    list.is_some_and(|list| matches!(list.find_serial(&bytes(&one.serial)), Ok(Some(_))))
}

/// The name of a device that its certificate would not show.
fn called_otherwise(name: &str, called: &str) -> Error {
    let text = format!(
        "servers would call the holder of this certificate '{called}' instead of '{name}', and \
         give it the rights of '{called}'"
    );
    Error::new(ErrorKind::Usage, text).hint(format!(
        "a device that serves under a host name needs a host name as its name: skep ca issue \
         {called}; '{name}' gets a certificate of its own, without --for or with addresses only"
    ))
}

/// A name is one of a file and of a caller.
///
/// # Errors
/// `Usage` if it cannot be one.
pub(crate) fn check_name(name: &str) -> Result<()> {
    // The name becomes a folder, the name of files and a word of the list: no slash and no blank in it.
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte);
    let is_name = (1..=64).contains(&name.len())
        && name.bytes().all(is_good)
        && name.as_bytes()[0].is_ascii_alphanumeric();

    if is_name {
        Ok(())
    } else {
        Err(
            Error::new(ErrorKind::Usage, "that is not a valid name for a device")
                .hint("1 to 64 letters, digits, '-', '_', '.' or '@', a letter or a digit first"),
        )
    }
}

fn moment(seconds: u64) -> OffsetDateTime {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// The bytes of hexadecimal digits.
fn bytes(digits: &str) -> Vec<u8> {
    let pairs = digits
        .as_bytes()
        .chunks(2)
        .filter_map(|pair| std::str::from_utf8(pair).ok());
    pairs
        .filter_map(|pair| u8::from_str_radix(pair, 16).ok())
        .collect()
}

/// The end of 2099.
const END_MAX: u64 = 4_102_358_400;

/// The list of what an authority has revoked, beside its certificate.
pub(crate) const REVOKED: &str = "crl.pem";

/// The file of an authority that lists what it has issued.
pub(crate) const ISSUED: &str = "issued";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_issued_is_remembered_and_can_be_revoked_once() {
        let home = tempfile::tempdir().unwrap();
        let authority = Authority::new(&home.path().join("ca"));
        assert_eq!(
            authority.issue("pi", &[], 1).err().unwrap().kind(),
            ErrorKind::NotFound
        );
        authority.make().unwrap();
        assert_eq!(authority.make().unwrap_err().kind(), ErrorKind::Conflict);
        let papers = authority.issue("pi", &["192.0.2.1".to_owned()], 1).unwrap();
        assert!(papers.certificate.contains("BEGIN CERTIFICATE"));
        authority.issue("phone", &[], u64::MAX).unwrap();
        assert_eq!(authority.revoke("pi").unwrap(), 1);
        assert_eq!(
            authority.revoke("pi").unwrap_err().kind(),
            ErrorKind::NotFound
        );
        let list = authority.list().unwrap();
        assert!(
            list[0].revoked.is_some() && list[1].revoked.is_none(),
            "{list:?}"
        );
        assert_eq!(list[1].end, END_MAX);
    }

    #[test]
    fn of_many_that_make_an_authority_one_does() {
        let home = tempfile::tempdir().unwrap();
        let start = std::sync::Barrier::new(8);
        let make = || {
            start.wait();
            Authority::new(home.path()).make()
        };
        let results: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
            let ended = threads.into_iter().map(|thread| thread.join().unwrap());
            ended.collect()
        });
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    }

    #[test]
    fn a_revocation_that_was_cut_short_is_completed() {
        let home = tempfile::tempdir().unwrap();
        let authority = Authority::new(home.path());
        authority.make().unwrap();
        for name in ["pi", "pi", "phone"] {
            authority.issue(name, &[], 1).unwrap();
        }

        // The list cannot be replaced.
        let path = home.path().join(REVOKED);
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir_all(path.join("full")).unwrap();
        authority.revoke("pi").unwrap_err();
        std::fs::remove_dir_all(&path).unwrap();

        let listed = |name: &str| {
            let list = authority.revoked_list();
            let issued = authority.list().unwrap();
            let named = issued.iter().filter(|one| one.name == name);
            named.filter(|one| is_listed(list.as_ref(), one)).count()
        };
        assert_eq!(authority.revoke("pi").unwrap(), 2);
        assert_eq!((listed("pi"), listed("phone")), (2, 0));
        let error = authority.revoke("pi").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_eq!(authority.revoke("phone").unwrap(), 1);
        assert_eq!((listed("pi"), listed("phone")), (2, 1));
    }

    #[test]
    fn a_device_is_called_as_it_was_named() {
        let home = tempfile::tempdir().unwrap();
        let authority = Authority::new(home.path());
        authority.make().unwrap();
        let issue = |name: &str, host: &str| {
            let papers = authority.issue(name, &[host.to_owned()], 1)?;
            let der =
                rustls_pki_types::CertificateDer::from_pem_slice(papers.certificate.as_bytes());
            Ok::<_, Error>(caller_name(&der.unwrap()).unwrap())
        };
        for (name, host) in [
            ("pi", "nas.local"),
            ("Pi.local", "192.0.2.1"),
            ("me@pi", "::1"),
        ] {
            assert_eq!(issue(name, host).unwrap(), name);
        }

        // Whoever serves at a name must not have its rights on that ground alone.
        for name in ["me@pi", "192.0.2.1", "a..b"] {
            let error = issue(name, "nas.local").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
            assert!(error.message().contains("'nas.local'"), "{error}");
        }
        assert_eq!(authority.list().unwrap().len(), 3);
    }

    #[test]
    fn a_bad_line_hinders_revoking_and_nothing_else() {
        let home = tempfile::tempdir().unwrap();
        let authority = Authority::new(home.path());
        authority.make().unwrap();
        authority.issue("pi", &[], 1).unwrap();
        let path = home.path().join(ISSUED);
        let good = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("beef old 5 revoked\n{good}")).unwrap();
        authority.issue("phone", &[], 1).unwrap();
        assert_eq!(authority.list().unwrap().len(), 2);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with(&format!("beef old 5 revoked\n{good}")));

        // What that line has revoked must not be good again.
        let error = authority.revoke("pi").unwrap_err();
        assert!(error.message().starts_with("line 1 of"), "{error}");
        std::fs::write(&path, good).unwrap();
        assert_eq!(authority.revoke("pi").unwrap(), 1);
    }

    #[test]
    fn names_of_devices_are_plain() {
        for bad in [
            "",
            ".hidden",
            "-o",
            "a/b",
            "a b",
            "caf\u{e9}",
            &"x".repeat(65),
        ] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
        assert!(check_name("pi-4.local").is_ok() && check_name("me@pi").is_ok());
    }
}
