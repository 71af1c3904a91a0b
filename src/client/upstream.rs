// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Another hub, of which a server fetches what it does not have: one host that is given, and those to which it
//! redirects.
//!
//! The token of the upstream goes to the upstream only, and never over a line that others can read. Other hosts are
//! public ones, unless the upstream itself is none, so that no redirect leads into the house.

use std::io::Read;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::ClientConfig;
use ureq::http::{Method, Request, Response};
use ureq::{Agent, Body};

use crate::address::{AddressReach, Scheme, ServerUrl, is_public};
use crate::client::api::{self, AnswerContent};
use crate::client::connection::{self, Dialer, Shared};
use crate::client::trust::{ServerCheck, Trust};
use crate::error::{Error, ErrorKind, Result};
use crate::stop::Stop;
use crate::threads::lock;

/// What is known of another hub.
pub(crate) struct UpstreamOptions {
    /// `https://HOST[:PORT][/PATH]`.
    pub(crate) address: String,
    pub(crate) token: Option<String>,
    /// Files of authorities, of which the first that is there counts.
    pub(crate) authorities: Vec<PathBuf>,
}

/// Another hub.
pub(crate) struct Upstream {
    home: ServerUrl,
    /// What stands before the paths of the hub: nothing, or `/hf`.
    prefix: String,
    token: Option<String>,
    guard: Arc<ServerCheck>,
    tls: Arc<ClientConfig>,
    idle: Arc<IdleAgents>,
    stop: Stop,
}

/// Agents that nobody uses: each speaks with one host, for one request at a time.
type IdleAgents = Mutex<Vec<UsedAgent>>;

struct UsedAgent {
    host: ServerUrl,
    agent: Agent,
    shared: Arc<Shared>,
}

/// An answer, and the agent that reads it.
pub(crate) struct UpstreamAnswer {
    response: Response<Body>,
    agent: Option<UsedAgent>,
    idle: Arc<IdleAgents>,
}

impl UpstreamAnswer {
    pub(crate) fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// A field, if it is text.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// The content.
    pub(crate) fn content(&mut self) -> impl Read + '_ {
        AnswerContent::within(&mut self.response)
    }
}

impl Drop for UpstreamAnswer {
    fn drop(&mut self) {
        let mut idle = lock(&self.idle);
        idle.extend(self.agent.take());
        if idle.len() > AGENTS_MAX {
            idle.remove(0);
        }
    }
}

impl Upstream {
    /// # Errors
    /// `Usage` for an address that is none, for a token over a line that others can read, and for a file of authorities
    /// that cannot be used.
    pub(crate) fn open(options: UpstreamOptions, stop: Stop) -> Result<Self> {
        let (home, prefix) = place_of(&options.address)?;
        let is_private = home.scheme() == Scheme::Https || home.is_loopback();
        if options.token.is_some() && !is_private {
            let text = format!("a token for {home} could be read on its way");
            return Err(Error::new(ErrorKind::Usage, text).hint("use https:// in upstream"));
        }

        let authority = options.authorities.into_iter().find(|file| file.exists());
        let trust = match (home.scheme(), authority) {
            (_, Some(file)) => Trust::Authority(file),
            // Nothing is checked on such a line, and nothing secret goes over it.
            (Scheme::Http, None) => Trust::Anything,
            (Scheme::Https, None) => {
                let text = "no public authorities are found that could vouch for the upstream";
                return Err(Error::new(ErrorKind::Usage, text)
                    .hint("install ca-certificates, or name a file with upstream-ca"));
            }
        };
        Ok(Self {
            home,
            prefix: prefix.trim_end_matches('/').to_owned(),
            token: options.token,
            guard: Arc::new(ServerCheck::new(trust, None, Vec::new())?),
            tls: connection::tls(None)?,
            idle: Arc::default(),
            stop,
        })
    }

    /// Where it is, for people.
    pub(crate) fn shown(&self) -> String {
        format!("{}{}", self.home, self.prefix)
    }

    /// Asks it, and no other host; with a content of a type, by POST. Where a repository has got another name, that
    /// one is asked for.
    ///
    /// # Errors
    /// Those of the connection; `Untrusted` for a redirect to where nobody is to be led.
    pub(crate) fn ask(&self, path: &str, content: Option<(&str, &[u8])>) -> Result<UpstreamAnswer> {
        let mut target = (self.home.clone(), format!("{}{path}", self.prefix));
        let method = match content {
            Some(_) => Method::POST,
            None => Method::GET,
        };
        for _ in 0..REDIRECTS_MAX {
            let response = self.exchange(&method, &target, None, content)?;
            let is_redirect = (300..400).contains(&response.status());
            let location = response.field("location").filter(|_| is_redirect);
            let led = location.map(|location| self.led_to(&target.0, location));
            match led.transpose()? {
                Some(led) if led.0 == self.home => target = led,
                _ => return Ok(response),
            }
        }
        Err(self.no_end())
    }

    /// Asks it whether it would send something, wherever that is.
    ///
    /// # Errors
    /// Those of the connection.
    pub(crate) fn look(&self, path: &str) -> Result<UpstreamAnswer> {
        let target = (self.home.clone(), format!("{}{path}", self.prefix));
        self.exchange(&Method::HEAD, &target, None, None)
    }

    fn no_end(&self) -> Error {
        let text = format!("{} redirects without an end", self.shown());
        Error::new(ErrorKind::Unreachable, text)
    }

    /// Fetches from an offset on, wherever it leads to.
    ///
    /// # Errors
    /// Those of the connections; `Untrusted` for a redirect to where nobody is to be led.
    pub(crate) fn fetch(&self, path: &str, offset: u64) -> Result<UpstreamAnswer> {
        let mut target = (self.home.clone(), format!("{}{path}", self.prefix));
        for _ in 0..REDIRECTS_MAX {
            let response = self.exchange(&Method::GET, &target, Some(offset), None)?;
            let is_redirect = (300..400).contains(&response.status());
            match response.field("location").filter(|_| is_redirect) {
                Some(location) => target = self.led_to(&target.0, location)?,
                None => return Ok(response),
            }
        }
        Err(self.no_end())
    }

    fn exchange(
        &self,
        method: &Method,
        target: &(ServerUrl, String),
        offset: Option<u64>,
        content: Option<(&str, &[u8])>,
    ) -> Result<UpstreamAnswer> {
        loop {
            let used = self.agent_of(&target.0);
            let opened = used.shared.opened.load(Ordering::Relaxed);
            let run = self.run(&used, method, target, (offset, content));
            let is_kept = opened > 0 && opened == used.shared.opened.load(Ordering::Relaxed);
            match run {
                Ok(response) => {
                    return Ok(UpstreamAnswer {
                        response,
                        agent: Some(used),
                        idle: Arc::clone(&self.idle),
                    });
                }
                // The other side may have closed a connection that was kept.
                Err(error) if is_kept && error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn run(
        &self,
        used: &UsedAgent,
        method: &Method,
        (host, path): &(ServerUrl, String),
        (offset, content): (Option<u64>, Option<(&str, &[u8])>),
    ) -> Result<Response<Body>> {
        let request = Request::builder()
            .method(method.clone())
            .uri(format!("{}{path}", host.base()))
            // A coded body would have another length and digest.
            .header("accept-encoding", "identity");
        let token = self.token.as_ref().filter(|_| *host == self.home);
        let request = match token {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        };
        let request = match offset.filter(|offset| *offset > 0) {
            Some(offset) => request.header("range", format!("bytes={offset}-")),
            None => request,
        };

        let unwritten = |error: ureq::http::Error| {
            Error::new(ErrorKind::Internal, "the request cannot be written").because(error)
        };
        log::debug!("upstream: {method} {host}");
        used.shared.early.set(false);
        let answer = match content {
            Some((kind, bytes)) => {
                let request = request.header("content-type", kind).body(bytes);
                used.agent.run(request.map_err(unwritten)?)
            }
            None => used.agent.run(request.body(()).map_err(unwritten)?),
        };
        let mut response = answer.map_err(api::trouble)?;
        api::attach(&mut response, &used.shared.early);
        Ok(response)
    }

    fn agent_of(&self, host: &ServerUrl) -> UsedAgent {
        let mut idle = lock(&self.idle);
        if let Some(place) = idle.iter().position(|known| known.host == *host) {
            return idle.remove(place);
        }

        let shared = Arc::new(Shared::default());
        let agent = connection::agent(Dialer {
            url: host.clone(),
            elsewhere: None,
            reach: if *host == self.home || self.is_in_the_house() {
                AddressReach::Anywhere
            } else {
                AddressReach::Public
            },
            guard: Arc::clone(&self.guard),
            tls: Arc::clone(&self.tls),
            connect_timeout: CONNECT_TIMEOUT,
            timeout: TIMEOUT,
            rate: None,
            shared: Arc::clone(&shared),
            stop: self.stop.clone(),
        });
        UsedAgent {
            host: host.clone(),
            agent,
            shared,
        }
    }

    /// Whether the upstream is on this device or in a private network, by its address.
    fn is_in_the_house(&self) -> bool {
        let is_private = |address: IpAddr| !is_public(address);
        self.home.is_loopback() || self.home.host().parse().is_ok_and(is_private)
    }

    /// Where a redirect leads to.
    fn led_to(&self, from: &ServerUrl, location: &str) -> Result<(ServerUrl, String)> {
        let refused = |reason: &str| {
            let text = format!("{} redirects to where {reason}", self.shown());
            Error::new(ErrorKind::Untrusted, text)
        };
        if location.starts_with('/') && !location.starts_with("//") {
            return Ok((from.clone(), location.to_owned()));
        }
        let (host, path) = place_of(location).map_err(|_| refused("no host is"))?;
        if self.home.scheme() == Scheme::Https && host.scheme() == Scheme::Http {
            return Err(refused("the line can be read"));
        }
        Ok((
            host,
            if path.is_empty() {
                "/".to_owned()
            } else {
                path
            },
        ))
    }
}

/// The host of an address, and the path with the query behind it.
///
/// # Errors
/// `Usage` for what is no such address.
fn place_of(address: &str) -> Result<(ServerUrl, String)> {
    let bad = || {
        let text = "the address of a hub begins with https:// and a host";
        Error::new(ErrorKind::Usage, text)
            .hint("for example https://huggingface.co, or https://pi:8443/hf")
    };
    let (scheme, rest) = address.split_once("://").ok_or_else(bad)?;
    let usual = match scheme.to_ascii_lowercase().as_str() {
        "https" => 443,
        "http" => 80,
        _ => return Err(bad()),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if authority.is_empty() || authority.contains('@') || authority.starts_with("unix:") {
        return Err(bad());
    }

    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| {
        !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
    });
    let authority = if has_port {
        authority.to_owned()
    } else {
        format!("{authority}:{usual}")
    };
    let path = path.split('#').next().unwrap_or_default().to_owned();
    Ok((format!("{scheme}://{authority}").parse()?, path))
}

/// More than real hubs need.
const REDIRECTS_MAX: u32 = 5;

/// Connections that wait for the next request.
const AGENTS_MAX: usize = 8;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

const TIMEOUT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(address: &str, token: Option<&str>) -> Result<Upstream> {
        let options = UpstreamOptions {
            address: address.to_owned(),
            token: token.map(str::to_owned),
            authorities: Vec::new(),
        };
        Upstream::open(options, Stop::new())
    }

    #[test]
    fn addresses_have_a_port_and_a_path() {
        for (text, host, path) in [
            ("https://huggingface.co", "https://huggingface.co:443", ""),
            ("http://pi:8443/hf", "http://pi:8443", "/hf"),
            ("https://[::1]/hf/", "https://[::1]:443", "/hf/"),
            (
                "https://cdn.example?a=b#c",
                "https://cdn.example:443",
                "?a=b",
            ),
            ("https://x/p?a=b", "https://x:443", "/p?a=b"),
        ] {
            let (url, rest) = place_of(text).unwrap();
            assert_eq!(
                (url.to_string().as_str(), rest.as_str()),
                (host, path),
                "{text}"
            );
        }
        for bad in [
            "",
            "x",
            "ftp://x",
            "https://",
            "https://u@x/",
            "https://unix:/a",
            "//x",
            "https:///p",
        ] {
            assert!(place_of(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_token_goes_over_no_line_that_others_can_read() {
        assert!(upstream("http://192.0.2.1/hf", Some("hf_x")).is_err());
        assert!(upstream("http://127.0.0.1:1/hf", Some("hf_x")).is_ok());
        assert!(upstream("http://192.0.2.1/hf", None).is_ok());
        // Nobody would vouch for it.
        assert!(upstream("https://192.0.2.1/hf", None).is_err());
    }

    #[test]
    fn redirects_lead_to_hosts_and_not_to_lines_that_others_can_read() {
        let hub = upstream("http://127.0.0.1:1/hf", None).unwrap();
        let home = hub.home.clone();
        let led = hub.led_to(&home, "/api/x?y").unwrap();
        assert_eq!((led.0 == home, led.1.as_str()), (true, "/api/x?y"));
        let led = hub.led_to(&home, "https://cdn.example/a?b").unwrap();
        assert_eq!((led.0 == home, led.1.as_str()), (false, "/a?b"));
        for bad in [
            "//cdn.example/a",
            "x",
            "file:///etc/passwd",
            "https://u:p@x/",
        ] {
            assert!(hub.led_to(&home, bad).is_err(), "{bad}");
        }
    }
}
