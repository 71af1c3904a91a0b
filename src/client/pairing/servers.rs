// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The servers that this device is paired with: the file `servers` in the home, one line `NAME URL
//! TOKEN` each, which only its owner can read. The first one is taken where none is named.

use std::path::{Path, PathBuf};

use crate::access::Password;
use crate::address::ServerUrl;
use crate::error::{Error, ErrorKind, Result};
use crate::home;
use crate::text::{entries, name_of, unreadable};

/// The file of a home, which need not exist.
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
        Self(home.to_owned())
    }

    /// The server of a name or at a URL; without either, the first one.
    ///
    /// # Errors
    /// `Usage` if the file cannot be read, or if the line of that server cannot: what is sent must not
    /// go to another one.
    pub(crate) fn find(&self, wanted: Option<&str>) -> Result<Option<PairedServer>> {
        let text = home::SERVERS.read(&self.0)?;
        let path = home::SERVERS.path(&self.0);

        let bad: Vec<_> = entries(&text)
            .filter(|(_, line)| read(line).is_none())
            .collect();
        let numbers: Vec<_> = bad.iter().map(|(number, _)| *number).collect();
        if let Some(warning) = unreadable(&path, &numbers) {
            log::warn!("{warning}");
        }

        let url = wanted
            .and_then(|text| text.parse::<ServerUrl>().ok())
            .map(|url| url.to_string());

        let found = entries(&text).find_map(|(number, line)| {
            let saved = read(line)?;
            let is_wanted = match wanted {
                None => true,
                Some(name) => saved.name == name || url.as_ref() == Some(&saved.url.to_string()),
            };
            is_wanted.then_some((number, saved))
        });

        let in_doubt = bad
            .into_iter()
            .find(|(number, line)| match (wanted, &found) {
                (Some(name), None) => name_of(line) == Some(name),
                (Some(_), Some(_)) => false,
                // The first line is the default, so a good one behind a bad one is not.
                (None, None) => true,
                (None, Some((first, _))) => number < first,
            });

        match in_doubt {
            None => Ok(found.map(|(_, saved)| saved)),
            Some((number, _)) => {
                let text = format!(
                    "line {number} of {} should have the server to use, but it cannot be read as \
                     NAME URL TOKEN; nothing was sent",
                    path.display()
                );
                Err(Error::new(ErrorKind::Usage, text)
                    .hint("remove the line and pair again, or name another server with --server"))
            }
        }
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
        let is_odd = |letter: char| letter.is_whitespace() || letter == '/';
        if name.is_empty() || name.starts_with('#') || name.contains(is_odd) {
            return Err(
                Error::new(ErrorKind::Usage, "the name of a server is one word")
                    .hint("--name NAME"),
            );
        }

        let urls: Vec<_> = urls.iter().map(ToString::to_string).collect();
        let text = home::SERVERS.read(&self.0)?;
        let other = entries(&text)
            .filter_map(|(_, line)| read(line))
            .find(|saved| saved.name == name);

        // A server that pairs again may keep its name.
        match other.filter(|saved| !urls.contains(&saved.url.to_string())) {
            Some(saved) => {
                let text = format!("{} is called '{name}' already", saved.url);
                Err(Error::new(ErrorKind::Conflict, text).hint("give another name with --name"))
            }
            None => Ok(()),
        }
    }

    /// Keeps a server, in the place of one with that name. Lines of others stay as they are,
    /// whether they can be read or not.
    ///
    /// # Errors
    /// `Usage` if the home cannot be written.
    pub(crate) fn keep(&self, saved: &PairedServer) -> Result<()> {
        let new = format!("{} {} {}", saved.name, saved.url, saved.token.text());

        home::SERVERS.change(&self.0, |text| {
            let mut is_new = true;
            let mut lines = Vec::new();
            for line in text.lines() {
                let is_same = name_of(line) == Some(saved.name.as_str());
                // A second line of that name would never be found.
                if is_new || !is_same {
                    lines.push(if is_same { new.as_str() } else { line });
                }
                is_new &= !is_same;
            }
            if is_new {
                lines.push(&new);
            }
            Ok(Some(lines.join("\n") + "\n"))
        })
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

    fn token_of(servers: &Servers, name: &str) -> String {
        let found = servers.find(Some(name)).unwrap();
        found.map_or_else(String::new, |one| one.token.text().to_owned())
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

        // A bad line costs that line, and stays.
        let file = home::SERVERS.path(&servers.0);
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, format!("pi https://192.0.2.1\n{text}")).unwrap();
        servers
            .keep(&saved("attic", "https://192.0.2.3", "four"))
            .unwrap();
        assert_eq!(token_of(&servers, "attic"), "four");
        assert_eq!(token_of(&servers, "pi"), "three");
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("pi https://192.0.2.1\n"), "{text}");

        // What is meant for the first server must not go to the second one.
        let error = servers.find(None).unwrap_err();
        assert!(error.message().contains("line 1 of"), "{error}");
        std::fs::write(
            &file,
            "attic https://192.0.2.3 four\npi https://192.0.2.1\n",
        )
        .unwrap();
        assert_eq!(token_of(&servers, "attic"), "four");
        assert!(servers.find(None).unwrap().is_some());
        assert!(servers.find(Some("192.0.2.9")).unwrap().is_none());
        assert_eq!(
            servers.find(Some("pi")).unwrap_err().kind(),
            ErrorKind::Usage
        );

        // Pairing anew repairs the line.
        servers
            .keep(&saved("pi", "https://192.0.2.1:8443", "five"))
            .unwrap();
        assert_eq!(token_of(&servers, "pi"), "five");
        assert_eq!(std::fs::read_to_string(&file).unwrap().lines().count(), 2);
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
