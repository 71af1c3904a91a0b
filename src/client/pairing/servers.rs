// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The servers that this device is paired with: the file `servers` in the home, which only its owner
//! can read. The first one is taken where none is named.
//!
//! A line is `NAME URL TOKEN`, and behind that, where they are known, the pin of the server and its
//! other addresses, with commas between them.

use std::path::{Path, PathBuf};

use crate::access::Password;
use crate::address::{Scheme, ServerUrl};
use crate::client::pairing::server_name::{check_word, other_meaning};
use crate::client::trust::{Elsewhere, KnownServers};
use crate::error::{Error, ErrorKind, Result};
use crate::home;
use crate::text::{entries, name_of, nearest, unreadable};

/// The file of a home, which need not exist.
pub(crate) struct Servers(PathBuf);

/// One server.
#[derive(Clone, Debug)]
pub(crate) struct PairedServer {
    pub(crate) name: String,
    pub(crate) url: ServerUrl,
    pub(crate) token: Password,
    /// Where else it may be reached, by the pin that it invited with.
    pub(crate) elsewhere: Option<Elsewhere>,
}

impl PairedServer {
    /// Whether it was found by its name, and that name is the address of another server as well: the
    /// one that may have been meant.
    pub(crate) fn other_meaning(&self, wanted: Option<&str>) -> Option<ServerUrl> {
        let name = wanted.filter(|name| *name == self.name)?;
        other_meaning(name, std::slice::from_ref(&self.url))
    }
}

impl Servers {
    pub(crate) fn new(home: &Path) -> Self {
        Self(home.to_owned())
    }

    /// The server at a URL or of a name; without either, the first one.
    ///
    /// # Errors
    /// `Usage` if the file cannot be read, if the line of that server cannot, or if the name stands for
    /// a known server elsewhere, too: what is sent must not go to another one.
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

        let found = search(&text, wanted);

        let in_doubt = bad
            .into_iter()
            .find(|(number, line)| match (wanted, &found) {
                (Some(name), None) => name_of(line) == Some(name),
                (Some(_), Some(_)) => false,
                // The first line is the default, so a good one behind a bad one is not.
                (None, None) => true,
                (None, Some((first, _))) => number < first,
            });

        if let Some((number, _)) = in_doubt {
            let text = format!(
                "line {number} of {} should have the server to use, but it cannot be read as NAME \
                 URL TOKEN; nothing was sent",
                path.display()
            );
            return Err(Error::new(ErrorKind::Usage, text)
                .hint("remove the line and pair again, or name another server with --server"));
        }

        let found = found.map(|(_, saved)| saved);
        if let Some(saved) = &found {
            self.check_meaning(&text, saved, wanted)?;
        }

        Ok(found)
    }

    /// The name of a paired server that is nearest to this one, which none has.
    ///
    /// # Errors
    /// `Usage` if the file cannot be read.
    pub(crate) fn near(&self, name: &str) -> Result<Option<String>> {
        let text = home::SERVERS.read(&self.0)?;
        let names = entries(&text).filter_map(|(_, line)| name_of(line));
        Ok(nearest(name, names).map(str::to_owned))
    }

    /// Refuses a name under which another server is known by now.
    fn check_meaning(&self, text: &str, saved: &PairedServer, wanted: Option<&str>) -> Result<()> {
        let Some(other) = saved.other_meaning(wanted) else {
            return Ok(());
        };

        if self.knows(text, &other)? {
            let PairedServer { name, url, .. } = saved;
            let text = format!(
                "'{name}' may mean {url}, which has that name here, or {other}, which is known, \
                 too; nothing was sent"
            );
            return Err(Error::new(ErrorKind::Usage, text)
                .hint(format!("write --server {url} or --server {other}")));
        }

        Ok(())
    }

    /// Whether a server is known by its pin or paired with, at this address.
    fn knows(&self, text: &str, url: &ServerUrl) -> Result<bool> {
        let is_paired = entries(text)
            .filter_map(|(_, line)| read(line))
            .any(|saved| saved.url == *url);
        Ok(is_paired || KnownServers::new(&self.0).has(&url.authority())?)
    }

    /// Checks that the server at these addresses can be called so: it is one word, no server elsewhere
    /// has it as its name, and no other one is known at the address that it may be taken for.
    ///
    /// # Errors
    /// `Usage` or `Conflict`.
    pub(crate) fn check_name(&self, name: &str, urls: &[ServerUrl]) -> Result<()> {
        check_word(name, urls)?;

        let text = home::SERVERS.read(&self.0)?;
        let other = entries(&text)
            .filter_map(|(_, line)| read(line))
            .find(|saved| saved.name == name);
        let hint = "give another name with --name";

        // A server that pairs again may keep its name.
        if let Some(saved) = other.filter(|saved| !urls.contains(&saved.url)) {
            let text = format!("{} is called '{name}' already", saved.url);
            return Err(Error::new(ErrorKind::Conflict, text).hint(hint));
        }

        match other_meaning(name, urls) {
            Some(other) if self.knows(&text, &other)? => {
                let text = format!("'{name}' stands for {other} already, which is known here");
                Err(Error::new(ErrorKind::Conflict, text).hint(hint))
            }
            _ => Ok(()),
        }
    }

    /// Keeps a server, in the place of one with that name. Lines of others stay as they are,
    /// whether they can be read or not.
    ///
    /// # Errors
    /// `Usage` if the home cannot be written.
    pub(crate) fn keep(&self, saved: &PairedServer) -> Result<()> {
        let new = line_of(saved);

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

/// The line that is meant, with its number. A URL counts before a name, so that no name hides a server.
fn search(text: &str, wanted: Option<&str>) -> Option<(usize, PairedServer)> {
    let mut saved = entries(text).filter_map(|(number, line)| Some((number, read(line)?)));
    let Some(wanted) = wanted else {
        return saved.next();
    };

    let saved: Vec<_> = saved.collect();
    let url = wanted.parse::<ServerUrl>().ok();
    let by_url = saved.iter().find(|(_, one)| Some(&one.url) == url.as_ref());
    let by_name = || saved.iter().find(|(_, one)| one.name == wanted);

    by_url.or_else(by_name).cloned()
}

fn line_of(saved: &PairedServer) -> String {
    let PairedServer {
        name,
        url,
        token,
        elsewhere,
    } = saved;
    let mut line = format!("{name} {url} {}", token.text());

    if let Some(Elsewhere { pin, urls }) = elsewhere {
        let others: Vec<_> = urls.iter().map(ServerUrl::authority).collect();
        line = format!("{line} {pin} {}", others.join(","));
    }

    line.trim_end().to_owned()
}

fn read(line: &str) -> Option<PairedServer> {
    let mut words = line.split_ascii_whitespace();
    let (name, url) = (words.next()?.to_owned(), words.next()?.parse().ok()?);
    let token = Password::new(words.next()?).ok()?;

    let elsewhere = match words.next() {
        None => None,
        Some(pin) => {
            let others = words.next().unwrap_or_default().split(',');
            let others = others.filter(|text| !text.is_empty());
            // Only TLS shows a pin.
            let is_https = |url: &ServerUrl| url.scheme() == Scheme::Https;
            let urls = others.map(|text| text.parse().ok().filter(is_https));
            Some(Elsewhere {
                pin: pin.parse().ok()?,
                urls: urls.collect::<Option<_>>()?,
            })
        }
    };

    words.next().is_none().then_some(PairedServer {
        name,
        url,
        token,
        elsewhere,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::pin::Pin;

    fn saved(name: &str, url: &str, token: &str) -> PairedServer {
        let token = Password::new(token).unwrap();
        PairedServer {
            name: name.to_owned(),
            url: url.parse().unwrap(),
            token,
            elsewhere: None,
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
    fn other_addresses_are_kept_with_the_pin_of_the_server() {
        let home = tempfile::tempdir().unwrap();
        let servers = Servers::new(home.path());
        let pin: Pin = format!("SHA256:{}", "a".repeat(64)).parse().unwrap();
        for urls in [&["192.0.2.1:8443", "[2001:db8::1]:9"][..], &[]] {
            let mut one = saved("pi", "https://pi.local:8443", "skep_a");
            one.elsewhere = Some(Elsewhere {
                pin,
                urls: urls.iter().map(|url| url.parse().unwrap()).collect(),
            });
            servers.keep(&one).unwrap();
            let found = servers.find(None).unwrap().unwrap();
            assert_eq!(found.elsewhere, one.elsewhere);
        }

        // Such an address belongs to whoever has it: only the name leads to the server that said so.
        assert!(servers.find(Some("192.0.2.1")).unwrap().is_none());
        for bad in [
            "pi pi skep_a SHA256:aa",
            &format!("pi pi skep_a {pin} http://x"),
            "pi pi a b c d",
        ] {
            assert!(read(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_name_never_takes_the_place_of_a_known_server() {
        let home = tempfile::tempdir().unwrap();
        let servers = Servers::new(home.path());
        let pin: Pin = format!("SHA256:{}", "a".repeat(64)).parse().unwrap();
        let elsewhere: [ServerUrl; 1] = ["https://vm.evil.example:8443".parse().unwrap()];
        servers.check_name("vm", &elsewhere).unwrap();

        // Paired by the name while `vm` itself was not known; from now on it is.
        servers
            .keep(&saved("vm", "https://vm.evil.example:8443", "skep_a"))
            .unwrap();
        let found = servers.find(Some("vm")).unwrap().unwrap();
        let other = found.other_meaning(Some("vm")).unwrap();
        assert_eq!(other.to_string(), "https://vm:8443");
        assert!(
            found
                .other_meaning(Some("https://vm.evil.example:8443"))
                .is_none()
        );
        KnownServers::new(home.path()).add("vm:8443", pin).unwrap();

        let error = servers.find(Some("vm")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(
            error
                .hint_text()
                .unwrap()
                .contains("--server https://vm:8443")
        );
        assert!(servers.find(Some("https://vm:8443")).unwrap().is_none());
        assert!(servers.find(Some("vm.evil.example")).unwrap().is_some());
        let error = servers.check_name("vm", &elsewhere).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);

        // A server that is paired with counts as known as well.
        servers
            .keep(&saved("b", "https://nas:8443", "skep_b"))
            .unwrap();
        let error = servers.check_name("nas", &elsewhere).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);

        // Nor does a name that somebody wrote by hand, although it stands first.
        let text = "nas https://vm.evil.example:8443 skep_a\nb https://nas:8443 skep_b\n";
        home::SERVERS.write(home.path(), text).unwrap();
        assert_eq!(token_of(&servers, "nas"), "skep_b");
    }

    #[test]
    fn of_many_that_pair_at_one_time_all_are_kept() {
        let home = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for number in 0..48 {
                let home = home.path();
                scope.spawn(move || {
                    let url = format!("https://pi{number}:8443");
                    let one = saved(&format!("pi{number}"), &url, "skep_a");
                    Servers::new(home).keep(&one).unwrap();
                });
            }
        });
        let text = std::fs::read_to_string(home::SERVERS.path(home.path())).unwrap();
        assert_eq!(text.lines().count(), 48);
    }
}
