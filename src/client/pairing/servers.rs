// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The servers that this device is paired with: the file `servers` in the home, one line `NAME URL
//! TOKEN` each, which only its owner can read. The first one is taken where none is named.

use std::io;
use std::path::{Path, PathBuf};

use crate::access::Password;
use crate::address::ServerUrl;
use crate::disk;
use crate::error::{Error, ErrorKind, Result};

/// The file, which need not exist.
pub(crate) struct Servers(PathBuf);

/// One server.
#[derive(Clone, Debug)]
pub(crate) struct PairedServer {
    pub(crate) name: String,
    pub(crate) url: ServerUrl,
    pub(crate) token: Password,
}

impl Servers {
    pub(crate) fn new(home: &Path) -> Self {
        Self(home.join("servers"))
    }

    /// The server of a name or at a URL; without either, the first one.
    ///
    /// # Errors
    /// `Usage` if the file cannot be read.
    pub(crate) fn find(&self, wanted: Option<&str>) -> Result<Option<PairedServer>> {
        let url = wanted
            .and_then(|text| text.parse::<ServerUrl>().ok())
            .map(|url| url.to_string());
        Ok(self.all()?.into_iter().find(|saved| match wanted {
            None => true,
            Some(name) => saved.name == name || url.as_ref() == Some(&saved.url.to_string()),
        }))
    }

    /// What a server is called if nobody says: its host, without the domain of a name.
    pub(crate) fn name_for(url: &ServerUrl) -> String {
        let host = url.host();
        match host.parse::<std::net::IpAddr>() {
            Ok(_) => host.to_owned(),
            Err(_) => host.split('.').next().unwrap_or(host).to_owned(),
        }
    }

    /// Checks that a name can be one, and that no server elsewhere has it.
    ///
    /// # Errors
    /// `Usage` or `Conflict`.
    pub(crate) fn check_name(&self, name: &str, urls: &[ServerUrl]) -> Result<()> {
        if name.is_empty() || name.contains(|letter: char| letter.is_whitespace() || letter == '/')
        {
            return Err(
                Error::new(ErrorKind::Usage, "the name of a server is one word")
                    .hint("--name NAME"),
            );
        }
        let urls: Vec<_> = urls.iter().map(ToString::to_string).collect();
        let other = self.all()?.into_iter().find(|saved| saved.name == name);
        match other.filter(|saved| !urls.contains(&saved.url.to_string())) {
            Some(saved) => {
                let text = format!("{} is called '{name}' already", saved.url);
                Err(Error::new(ErrorKind::Conflict, text).hint("give another name with --name"))
            }
            None => Ok(()),
        }
    }

    /// Keeps a server, in the place of one with that name.
    ///
    /// # Errors
    /// `Usage` if the home cannot be written.
    pub(crate) fn keep(&self, saved: &PairedServer) -> Result<()> {
        let mut text = String::new();
        let mut is_new = true;
        let line = |one: &PairedServer| format!("{} {} {}\n", one.name, one.url, one.token.text());
        for one in self.all()? {
            let is_same = one.name == saved.name;
            is_new &= !is_same;
            text.push_str(&line(if is_same { saved } else { &one }));
        }
        if is_new {
            text.push_str(&line(saved));
        }
        let write = || {
            self.0.parent().map_or(Ok(()), disk::create_directory)?;
            disk::write(&self.0, text.as_bytes(), 0o600)
        };
        write().map_err(|error| Error::local(format!("writing {}", self.0.display()), error))
    }

    fn all(&self) -> Result<Vec<PairedServer>> {
        let shown = self.0.display();
        let text = match std::fs::read_to_string(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(|error| Error::local(format!("reading {shown}"), error))?,
        };
        let lines = text
            .lines()
            .zip(1..)
            .filter(|(line, _)| !line.trim().is_empty());
        let saved = lines.map(|(line, number)| {
            read(line).ok_or_else(|| {
                let text = format!("line {number} of {shown} is not NAME URL TOKEN");
                Error::new(ErrorKind::Usage, text).hint("remove it, and pair again")
            })
        });
        saved.collect()
    }
}

fn read(line: &str) -> Option<PairedServer> {
    let mut words = line.split_ascii_whitespace();
    let (name, url) = (words.next()?.to_owned(), words.next()?.parse().ok()?);
    let token = Password::new(words.next()?).ok()?;
    words
        .next()
        .is_none()
        .then_some(PairedServer { name, url, token })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved(name: &str, url: &str, token: &str) -> PairedServer {
        let token = Password::new(token).unwrap();
        PairedServer {
            name: name.to_owned(),
            url: url.parse().unwrap(),
            token,
        }
    }

    #[test]
    fn the_first_server_is_the_default_and_others_have_names() {
        let home = tempfile::tempdir().unwrap();
        let servers = Servers::new(&home.path().join("new"));
        assert!(servers.find(None).unwrap().is_none());
        servers
            .keep(&saved("pi", "https://192.0.2.1:8443", "one"))
            .unwrap();
        servers
            .keep(&saved("nas", "https://nas.local:8443", "two"))
            .unwrap();
        servers
            .keep(&saved("pi", "https://192.0.2.1:8443", "three"))
            .unwrap();
        let token = |wanted| {
            let found: Option<PairedServer> = servers.find(wanted).unwrap();
            found
                .map(|saved| saved.token.text().to_owned())
                .unwrap_or_default()
        };
        assert_eq!(token(None), "three");
        assert_eq!(token(Some("nas")), "two");
        assert_eq!(token(Some("NAS.local")), "two");
        assert_eq!(token(Some("192.0.2.2")), "");
        let elsewhere = ["https://192.0.2.9".parse().unwrap()];
        let error = servers.check_name("pi", &elsewhere).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(servers.check_name("a b", &elsewhere).is_err());
        std::fs::write(&servers.0, "pi https://192.0.2.1\n").unwrap();
        assert_eq!(servers.find(None).unwrap_err().kind(), ErrorKind::Usage);
    }

    #[test]
    fn a_server_is_called_by_its_host() {
        for (url, name) in [
            ("pi.local", "pi"),
            ("192.0.2.1", "192.0.2.1"),
            ("[::1]:1", "::1"),
        ] {
            assert_eq!(Servers::name_for(&url.parse().unwrap()), name);
        }
    }
}
