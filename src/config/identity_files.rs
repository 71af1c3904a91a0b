// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the settings say of TLS: which identity is shown, and whose callers are let in.

use std::net::IpAddr;

use crate::address::Address;
use crate::config::configuration::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::home::{self, HomeFile};
use crate::pin::Pin;
use crate::tls::{Callers, PemFile, TlsFiles, Unknown};

impl Config {
    /// The files of TLS, with an identity made in the home where none is named; `None` for plain HTTP.
    ///
    /// # Errors
    /// `Usage` for settings that contradict each other and for an identity that cannot be used.
    pub(crate) fn tls_files(&self) -> Result<Option<TlsFiles>> {
        self.check_tls()?;
        if !self.speaks_tls()? {
            return Ok(None);
        }

        // A pair that is given is used as it is; only the own identity may be made and renewed.
        let (cert, key) = match (&self.cert_file, &self.key_file) {
            (Some(cert), Some(key)) => (PemFile::new("--cert", cert), PemFile::new("--key", key)),
            _ => {
                // The addresses go into the certificate, so clients that check names accept it.
                let (cert, key) = self.own_files();
                crate::tls::prepare(&cert, &key, &self.own_addresses()?)?;
                (cert, key)
            }
        };

        let unknown = if self.allow_unauthenticated_clients {
            Unknown::Admitted
        } else {
            Unknown::Refused
        };

        let authorities = self
            .client_ca
            .iter()
            .map(|path| PemFile::new("--client-ca", path));

        // A list beside the authority is used without being named; otherwise a forgotten setting
        // would let in who was revoked.
        let beside = || {
            let ca = self.client_ca.as_ref()?;
            let folder = if ca.is_dir() { ca } else { ca.parent()? };
            // An authority of 'skep ca' always has a list: without it, who was revoked would get in.
            let is_ours = || folder.join(crate::tls::ISSUED).exists();

            // A list that is named wins over the one that lies beside the authority.
            Some(folder.join(crate::tls::REVOKED)).filter(|path| path.exists() || is_ours())
        };

        let revoked = self.client_crl.clone().or_else(beside);

        let revoked = revoked
            .into_iter()
            .map(|path| PemFile::new("--client-crl", path))
            .collect();

        let callers = Callers {
            authorities: authorities.collect(),
            revoked,
            unknown,
        };

        Ok(Some(TlsFiles { cert, key, callers }))
    }

    /// What clients recognise a server with these settings by; `None` if it has no identity yet.
    /// Nothing is made or renewed.
    ///
    /// # Errors
    /// `Usage` for files that cannot be used.
    pub(crate) fn kept_pin(&self) -> Result<Option<Pin>> {
        self.check_tls()?;
        let (cert, key) = match (&self.cert_file, &self.key_file) {
            (Some(cert), Some(key)) => (PemFile::new("--cert", cert), PemFile::new("--key", key)),
            _ => self.own_files(),
        };

        // A given file that is missing is an error; an own identity that is missing was only not
        // made yet.
        let is_none = self.cert_file.is_none() && !cert.path.exists();

        let files = TlsFiles {
            cert,
            key,
            callers: Callers::default(),
        };

        if is_none {
            Ok(None)
        } else {
            crate::tls::pin(&files).map(Some)
        }
    }

    /// The identity that the device makes itself.
    fn own_files(&self) -> (PemFile, PemFile) {
        let file = |file: &HomeFile| PemFile::new("", file.path(&self.home));
        (file(&home::CERTIFICATE), file(&home::KEY))
    }

    fn check_tls(&self) -> Result<()> {
        let wrong = |text: &str, hint: &str| {
            Err(Error::new(ErrorKind::Usage, text.to_owned()).hint(hint.to_owned()))
        };

        match (&self.cert_file, &self.key_file) {
            (Some(_), None) => return wrong("--cert is given, but --key is missing", BOTH),
            (None, Some(_)) => return wrong("--key is given, but --cert is missing", BOTH),
            _ => {}
        }

        if self.client_crl.is_some() && self.client_ca.is_none() {
            return wrong(
                "--client-crl is given, but --client-ca is missing",
                "add --client-ca with the authority",
            );
        }

        // The list of the revoked is not among them: it was refused above without an authority.
        let of_tls: [&Option<_>; 2] = [&self.cert_file, &self.client_ca];

        if of_tls.iter().any(|path| path.is_some()) && !self.speaks_tls()? {
            return wrong(
                "plain HTTP does not use certificates",
                "remove --plain, or remove --cert and --client-ca",
            );
        }

        Ok(())
    }

    /// The addresses that are named, for a certificate that is good for them.
    fn own_addresses(&self) -> Result<Vec<IpAddr>> {
        let ips = self
            .listen_on()?
            .into_iter()
            .filter_map(|listen| match listen.address {
                Address::Ip(address) => Some(address.ip()),
                _ => None,
            });
        Ok(ips.collect())
    }
}

const BOTH: &str = "give both, or neither to use the identity in the home";
