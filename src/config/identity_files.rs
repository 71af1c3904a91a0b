// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the settings say of TLS: which identity is shown, and whose callers are let in.

use std::net::IpAddr;

use crate::address::Address;
use crate::config::configuration::Config;
use crate::error::Result;
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

        // A pair that is given is used as it is; only the own identity may be made.
        let (cert, key) = match self.named_pair() {
            Some(pair) => pair,
            None => {
                // The addresses go into the certificate, so clients that check names accept it.
                let (cert, key) = self.own_files();
                crate::tls::prepare(&cert, &key, &self.own_addresses()?)?;
                (cert, key)
            }
        };

        let callers = self.callers();
        Ok(Some(TlsFiles {
            cert,
            key,
            callers,
            oldest: self.tls_min,
        }))
    }

    /// Renews the certificate of the own identity if it has to be. This comes after the addresses are
    /// bound, so that a start which fails changes nothing.
    ///
    /// # Errors
    /// `Usage` for an identity that cannot be used.
    pub(crate) fn keep_identity_fresh(&self) -> Result<()> {
        if self.named_pair().is_some() || !self.speaks_tls()? {
            return Ok(());
        }

        let (cert, key) = self.own_files();
        crate::tls::keep_fresh(&cert, &key, &self.own_addresses()?)
    }

    /// Whether the files of TLS that are named can be used. Nothing is made or renewed.
    ///
    /// # Errors
    /// `Usage`, with where the setting was written.
    pub(crate) fn check_named_files(&self) -> Result<()> {
        if !self.speaks_tls()? {
            return Ok(());
        }

        if let Some((cert, key)) = self.named_pair() {
            crate::tls::check_pair_of(&cert, &key).map_err(|error| self.blamed("cert", error))?;
        }

        self.callers()
            .check()
            .map_err(|error| self.blamed("client-ca", error))
    }

    /// Whose certificates are accepted.
    fn callers(&self) -> Callers {
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

        Callers {
            authorities: authorities.collect(),
            revoked,
            unknown,
        }
    }

    /// The certificate and the key that are given.
    fn named_pair(&self) -> Option<(PemFile, PemFile)> {
        let (cert, key) = (self.cert_file.as_ref()?, self.key_file.as_ref()?);
        Some((PemFile::new("--cert", cert), PemFile::new("--key", key)))
    }

    /// What clients recognise a server with these settings by; `None` if it has no identity yet.
    /// Nothing is made or renewed.
    ///
    /// # Errors
    /// `Usage` for files that cannot be used.
    pub(crate) fn kept_pin(&self) -> Result<Option<Pin>> {
        self.check_tls()?;
        let (cert, key) = self.named_pair().unwrap_or_else(|| self.own_files());

        // A given file that is missing is an error; an own identity that is missing was only not
        // made yet.
        let is_none = self.cert_file.is_none() && !cert.path.exists();

        let files = TlsFiles {
            cert,
            key,
            callers: Callers::default(),
            oldest: self.tls_min,
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

    /// Settings of TLS that contradict each other. No file is read.
    ///
    /// # Errors
    /// `Usage`, with where the setting was written.
    pub(crate) fn check_tls(&self) -> Result<()> {
        let wrong = |key: &str, text: &str, hint: &str| Err(self.wrong(key, text).hint(hint));

        match (&self.cert_file, &self.key_file) {
            (Some(_), None) => {
                return wrong("cert", "--cert is given, but --key is missing", BOTH);
            }
            (None, Some(_)) => {
                return wrong("key", "--key is given, but --cert is missing", BOTH);
            }
            _ => {}
        }

        if self.client_crl.is_some() && self.client_ca.is_none() {
            return wrong(
                "client-crl",
                "--client-crl is given, but --client-ca is missing",
                "add --client-ca with the authority",
            );
        }

        // The list of the revoked is not among them: it was refused above without an authority.
        let of_tls: [&Option<_>; 2] = [&self.cert_file, &self.client_ca];

        if of_tls.iter().any(|path| path.is_some()) && !self.speaks_tls()? {
            return wrong(
                if self.cert_file.is_some() {
                    "cert"
                } else {
                    "client-ca"
                },
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
