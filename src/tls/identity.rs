// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The identity of a device: a key and a self-signed certificate, made at first start without any
//! program's help, kept in its home, and renewed with the same key, so that its pin stays.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, SanType,
    SerialNumber,
};
use rustls_pki_types::ServerName;
use webpki::EndEntityCert;

use crate::error::{Error, ErrorKind, Result};
use crate::tls::pem::{Identity, PemFile, exists, unusable};
use crate::{clock, disk};

/// Sees to it that there is an identity in these two files: it is made for these addresses where it is
/// missing, and only its certificate where the key is there. What is there is left as it is.
///
/// # Errors
/// `Usage` if the key is missing, if one of the two cannot be used, or if they cannot be written.
/// There is never a placeholder instead.
pub(crate) fn prepare(cert: &PemFile, key: &PemFile, addresses: &[IpAddr]) -> Result<Identity> {
    match (exists(&cert.path), exists(&key.path)) {
        // A power cut can leave a file of length zero, of which nothing can be repaired.
        (true, true) if is_empty(cert) && !is_empty(key) => {
            let renewed = renew(cert, key, &names(addresses))?;
            log::warn!("{cert} was empty and was made again for the existing key");
            Ok(renewed)
        }
        (true, true) => Identity::load(cert, key).map_err(|error| repairable(error, cert, key)),
        (false, false) => make(cert, key, &names(addresses)),
        // A new key would be a new identity for every client, which is for people to decide.
        (true, false) => Err(missing(key, cert)),
        // A start that was cut between the two files, or the wish for a new certificate.
        (false, true) => {
            let renewed = renew(cert, key, &names(addresses))?;
            log::info!("{cert} was missing and was made again for the existing key");
            Ok(renewed)
        }
    }
}

/// Renews the certificate of an identity with the same key if it is about to expire, or not good for
/// this device at these addresses. One that somebody else has made is left as it is.
///
/// # Errors
/// `Usage` if one of the two files cannot be used.
pub(crate) fn keep_fresh(cert: &PemFile, key: &PemFile, addresses: &[IpAddr]) -> Result<()> {
    let identity = Identity::load(cert, key)?;
    let names = names(addresses);

    let Some(why) = is_ours(&identity)
        .then(|| staleness(&identity, &names))
        .flatten()
    else {
        return Ok(());
    };

    match renew(cert, key, &names) {
        Ok(_) => log::info!("{cert} was renewed with the same key: {why}"),
        // Clients that pin the key do not look at names and dates, so this is no reason not to serve.
        Err(error) => log::warn!("{cert} stays as it is although {why}: {error}"),
    }

    Ok(())
}

/// Adds what can be done about files that cannot be used: a certificate can be made again for its key,
/// but not the other way round.
fn repairable(error: Error, cert: &PemFile, key: &PemFile) -> Error {
    let hint = match read_pair(key) {
        Ok(_) => format!("remove {cert}, and it is made again for the same key"),
        Err(_) => format!("repair {key}, or move {cert} and {key} away and start again"),
    };
    error.hint(hint)
}

fn is_empty(file: &PemFile) -> bool {
    std::fs::metadata(&file.path).is_ok_and(|file| file.is_file() && file.len() == 0)
}

/// Whether a certificate is one that [`make`] made.
fn is_ours(identity: &Identity) -> bool {
    identity.facts().is_some_and(|facts| {
        facts.is_self_issued()
            && facts
                .common_name()
                .is_some_and(|name| name.starts_with(COMMON_NAME))
    })
}

/// Why a certificate has to be renewed.
fn staleness(identity: &Identity, names: &[ServerName<'static>]) -> Option<String> {
    let is_old = |not_after| not_after < clock::seconds() + RENEWAL_SECONDS;
    if identity
        .facts()
        .is_some_and(|facts| is_old(facts.not_after))
    {
        return Some("it was about to expire".to_owned());
    }

    let chain = identity.chain();
    let certificate = EndEntityCert::try_from(&chain[0]).ok()?;
    // Only clients that check names would notice, such as browsers and those with --ca.
    let new = names
        .iter()
        .find(|name| certificate.verify_is_valid_for_subject_name(name).is_err());

    new.map(|name| format!("it does not name {}", name.to_str()))
}

/// Makes an ECDSA P-256 key and a certificate for it, and keeps both or none.
fn make(cert: &PemFile, key: &PemFile, names: &[ServerName<'static>]) -> Result<Identity> {
    let pair = KeyPair::generate().map_err(failed)?;
    let certificate = certificate(&pair, names)?;
    // The key comes first: a certificate can be made for it again, but not the other way round.
    write(key, &pair.serialize_pem(), 0o600)?;
    write(cert, &certificate, 0o644).inspect_err(|_| drop(disk::remove(&key.path)))?;
    Identity::load(cert, key)
}

/// Makes a new certificate for the key that is there.
fn renew(cert: &PemFile, key: &PemFile, names: &[ServerName<'static>]) -> Result<Identity> {
    let pair = read_pair(key)?;
    write(cert, &certificate(&pair, names)?, 0o644)?;
    Identity::load(cert, key)
}

/// The key, for signing.
fn read_pair(key: &PemFile) -> Result<KeyPair> {
    let text = key.read()?;
    let pair = std::str::from_utf8(&text)
        .ok()
        .and_then(|text| KeyPair::from_pem(text).ok());

    pair.ok_or_else(|| {
        Error::new(
            ErrorKind::Usage,
            format!("{key} is not a key that a certificate can be made for"),
        )
        .hint("put the right key back, or move it away to have a new identity made")
    })
}

/// A certificate in PEM. It begins in the year 2000, so that a device whose clock has not been set
/// can use it, and ends when nobody uses it any more: what makes it good is its pin.
fn certificate(key: &KeyPair, names: &[ServerName<'static>]) -> Result<String> {
    let mut params = CertificateParams::new(Vec::new()).map_err(failed)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, format!("{COMMON_NAME}{}", host_name()));

    // Two certificates of one issuer have different numbers (RFC 5280 section 4.1.2.2); browsers refuse
    // the second one otherwise. A first byte below 128 keeps the number positive.
    let mut serial: [u8; 16] = crate::random::bytes()?;
    serial[0] = serial[0] & 0x3f | 0x40;
    params.serial_number = Some(SerialNumber::from(serial.to_vec()));

    params.not_before = rcgen::date_time_ymd(2000, 1, 1);
    params.not_after = rcgen::date_time_ymd(2099, 12, 31);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.subject_alt_names = names.iter().filter_map(alternative).collect();

    Ok(params.self_signed(key).map_err(failed)?.pem())
}

/// A name as certificates have it.
pub(crate) fn alternative(name: &ServerName<'_>) -> Option<SanType> {
    match name {
        ServerName::DnsName(name) => Some(SanType::DnsName(name.as_ref().try_into().ok()?)),
        ServerName::IpAddress(address) => Some(SanType::IpAddress((*address).into())),
        _ => None,
    }
}

/// What this device is called: its host name, also on the local network, and its addresses.
fn names(addresses: &[IpAddr]) -> Vec<ServerName<'static>> {
    let host = host_name();
    let hosts = [
        "localhost".to_owned(),
        host.clone(),
        format!("{host}.local"),
    ];

    let mut names: Vec<_> = hosts
        .into_iter()
        .filter_map(|name| name.try_into().ok())
        .collect();

    let own = [
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::LOCALHOST),
    ];

    // 0.0.0.0 and :: are where the server listens, not where anybody calls it.
    let bound = addresses
        .iter()
        .copied()
        .filter(|address| !address.is_unspecified());

    for address in own.into_iter().chain(local_address()).chain(bound) {
        // An IPv4 address that is mapped into IPv6 is the same name.
        let name = ServerName::IpAddress(address.to_canonical().into());
        if !names.contains(&name) {
            names.push(name);
        }
    }

    names
}

fn write(place: &PemFile, text: &str, mode: u32) -> Result<()> {
    disk::write(&place.path, text.as_bytes(), mode)
        .map_err(|error| unusable(place, "cannot be written", error))
}

pub(crate) fn failed(error: rcgen::Error) -> Error {
    Error::new(
        ErrorKind::Internal,
        format!("no certificate can be made: {error}"),
    )
    .because(error)
}

fn missing(place: &PemFile, other: &PemFile) -> Error {
    Error::new(
        ErrorKind::Usage,
        format!("{place} is missing, but {other} is there"),
    )
    .hint("put it back, or move the other one away to have a new identity made")
}

/// The name of this device, without its domain.
pub(crate) fn host_name() -> String {
    let name = rustix::system::uname();
    let name = name.nodename().to_string_lossy();
    let first = name.split('.').next().unwrap_or_default();
    if first.is_empty() {
        "localhost".to_owned()
    } else {
        first.to_owned()
    }
}

/// The address of the interface that leads outside. Connecting a UDP socket sends nothing.
pub(crate) fn local_address() -> Option<IpAddr> {
    // These are for documentation only (RFC 5737, RFC 3849), so the default route is taken. A device
    // may have only one of both families.
    local_address_to("0.0.0.0:0", "192.0.2.1:9")
        .or_else(|| local_address_to("[::]:0", "[2001:db8::1]:9"))
}

fn local_address_to(own: &str, other: &str) -> Option<IpAddr> {
    let socket = std::net::UdpSocket::bind(own).ok()?;
    socket.connect(other).ok()?;
    socket
        .local_addr()
        .ok()
        .map(|address| address.ip())
        .filter(|ip| !ip.is_unspecified() && !ip.is_loopback())
}

const COMMON_NAME: &str = "skep on ";

/// A month.
const RENEWAL_SECONDS: u64 = 30 * 24 * 60 * 60;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn places(home: &Path) -> (PemFile, PemFile) {
        let place = |name| PemFile::new("", home.join(name));
        (place("server.crt"), place("server.key"))
    }

    fn prepare_in(home: &Path, addresses: &[IpAddr]) -> Result<Identity> {
        let (cert, key) = places(home);
        prepare(&cert, &key, addresses)?;
        keep_fresh(&cert, &key, addresses)?;
        Identity::load(&cert, &key)
    }

    use std::os::unix::fs::PermissionsExt;

    /// The DER of a certificate up to its serial number: version [0], then the number of 16 bytes.
    fn serial(identity: &Identity) -> Vec<u8> {
        let der = identity.chain()[0].to_vec();
        let version = [0xa0, 3, 2, 1, 2, 2, 16];
        let at = der.windows(7).position(|bytes| bytes == version).unwrap();
        der[at + 7..at + 23].to_vec()
    }

    #[test]
    fn a_certificate_that_is_not_one_does_not_cost_the_key() {
        let home = tempfile::tempdir().unwrap();
        let made = prepare_in(home.path(), &[]).unwrap();
        let (cert, _) = places(home.path());

        std::fs::write(&cert.path, "").unwrap();
        assert_eq!(prepare_in(home.path(), &[]).unwrap().pin(), made.pin());

        std::fs::write(&cert.path, "junk").unwrap();
        let error = prepare_in(home.path(), &[]).err().unwrap();
        let hint = error.hint_text().unwrap();
        assert!(hint.starts_with("remove "), "{hint}");
        assert!(hint.contains("server.crt, and it is made again"), "{hint}");
    }

    #[test]
    fn an_identity_is_made_once_and_kept_private() {
        let home = tempfile::tempdir().unwrap();
        let made = prepare_in(home.path(), &[]).unwrap();
        let kept = prepare_in(home.path(), &[]).unwrap();
        assert_eq!(made.chain(), kept.chain());
        assert_eq!(made.pin(), kept.pin());
        let mode = std::fs::metadata(places(home.path()).1.path)
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let facts = made.facts().unwrap();
        assert_eq!(
            (facts.not_before, facts.not_after),
            (946_684_800, 4_102_358_400)
        );
    }

    #[test]
    fn a_new_address_has_the_certificate_renewed_with_the_same_key() {
        let home = tempfile::tempdir().unwrap();
        let made = prepare_in(home.path(), &[]).unwrap();
        let address = "192.0.2.77".parse().unwrap();
        let renewed = prepare_in(home.path(), &[address]).unwrap();
        assert_ne!(made.chain(), renewed.chain());
        assert_ne!(serial(&made), serial(&renewed));
        assert_eq!(made.pin(), renewed.pin());
        assert_eq!(
            renewed.chain(),
            prepare_in(home.path(), &[address]).unwrap().chain()
        );
    }

    #[test]
    fn an_old_certificate_of_ours_is_renewed_and_one_of_others_is_not() {
        let home = tempfile::tempdir().unwrap();
        let made = prepare_in(home.path(), &[]).unwrap();
        let (cert, key) = places(home.path());
        let pair = KeyPair::from_pem(&std::fs::read_to_string(&key.path).unwrap()).unwrap();
        for (name, is_renewed) in [("skep on pi", true), ("pi", false)] {
            let mut params = CertificateParams::new(vec!["pi".to_owned()]).unwrap();
            params.distinguished_name.push(DnType::CommonName, name);
            params.not_after = rcgen::date_time_ymd(2026, 11, 2);
            std::fs::write(&cert.path, params.self_signed(&pair).unwrap().pem()).unwrap();
            let identity = prepare_in(home.path(), &[]).unwrap();
            let end = identity.facts().unwrap().not_after;
            assert_eq!(
                end > clock::seconds() + RENEWAL_SECONDS,
                is_renewed,
                "{name}"
            );
            assert_eq!(identity.pin(), made.pin());
        }
    }

    #[test]
    fn a_certificate_without_its_key_is_an_error_and_stays_as_it_is() {
        let home = tempfile::tempdir().unwrap();
        let made = prepare_in(home.path(), &[]).unwrap();
        let (cert, key) = places(home.path());
        std::fs::remove_file(&cert.path).unwrap();
        assert_eq!(prepare_in(home.path(), &[]).unwrap().pin(), made.pin());
        std::fs::remove_file(&key.path).unwrap();
        let error = prepare_in(home.path(), &[]).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(error.message().contains("server.key is missing"), "{error}");
        std::fs::write(&key.path, "junk").unwrap();
        assert!(
            prepare_in(home.path(), &[])
                .err()
                .unwrap()
                .hint_text()
                .is_some()
        );
        assert_eq!(std::fs::read(&key.path).unwrap(), b"junk");
    }
}
