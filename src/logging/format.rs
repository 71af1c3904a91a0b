// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The audit log: one line for each event, saying who did what with which outcome.
//!
//! Lines are handed to the `log` facade under [`TARGET`]; where they are written to is the matter of
//! whoever set up the log. They hold no secret and no query, and nothing in them breaks a line.

use std::fmt::Write as _;
use std::str::FromStr;
use std::time::SystemTime;

use serde_json::{Map, Value};

use crate::event::FinishedRequest;
use crate::text::{date_time, escaped, json_escaped};
use crate::wire::rfc3339;

/// What the records of the audit log are recognised by.
pub(crate) const TARGET: &str = "skep::audit";

/// How lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people; whoever writes it puts the time in front.
    #[default]
    Line,
    /// `key=value` with quotes where they are needed.
    Logfmt,
    /// One JSON object.
    Json,
    /// The combined log format of web servers.
    Clf,
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "line" => Ok(Self::Line),
            "logfmt" => Ok(Self::Logfmt),
            "json" => Ok(Self::Json),
            "clf" => Ok(Self::Clf),
            _ => Err("use line, logfmt, json or clf".to_owned()),
        }
    }
}

/// What the settings say about events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AuditOptions {
    pub(crate) format: LogFormat,
    /// Whether successful calls that only look whether something is new are events, too.
    pub(crate) polls: bool,
}

/// A line of the log: a request that was answered, and when.
pub(crate) struct AuditLine<'a> {
    pub(crate) at: SystemTime,
    pub(crate) request: &'a FinishedRequest,
}

impl AuditLine<'_> {
    /// The line, without its end.
    pub(crate) fn text(&self, format: LogFormat) -> String {
        match format {
            LogFormat::Line => self.line(),
            LogFormat::Clf => self.clf(),
            LogFormat::Logfmt => pairs(&self.members()),
            LogFormat::Json => object(self.members()),
        }
    }

    fn digest(&self) -> String {
        let digest = self.request.digest;
        digest.map_or_else(String::new, |digest| format!("{digest:?}"))
    }

    fn line(&self) -> String {
        let sent = self
            .request
            .sent
            .map_or_else(|| "cut".to_owned(), |sent| sent.to_string());

        // Everything that a caller chose is escaped, so one request is one line.
        let mut text = format!(
            "{} {} {} {} {} {sent} {}ms",
            escaped(&self.request.peer),
            word(&self.request.who),
            self.request.method,
            escaped(&self.request.path),
            self.request.status,
            self.request.duration.as_millis()
        );

        // What says nothing is left out; the order is fixed, so that people find things at a
        // glance.
        for (key, value) in [
            (
                "received",
                if self.request.received > 0 {
                    self.request.received.to_string()
                } else {
                    String::new()
                },
            ),
            ("name", self.request.name.clone()),
            ("digest", self.digest()),
            ("id", self.request.id.clone()),
            ("agent", self.request.agent.clone()),
            ("trouble", self.request.trouble.clone()),
        ] {
            if !value.is_empty() {
                let _ = write!(text, " {key}={}", word(&value));
            }
        }

        text
    }

    fn members(&self) -> Vec<(&'static str, Value)> {
        // The names are an interface: programs read them.
        let mut members = vec![
            ("time", rfc3339(self.at).into()),
            ("level", "info".into()),
            ("id", self.request.id.as_str().into()),
            ("who", self.request.who.as_str().into()),
            ("peer", self.request.peer.as_str().into()),
            ("agent", self.request.agent.as_str().into()),
            ("what", self.request.method.into()),
            ("path", self.request.path.as_str().into()),
            ("name", self.request.name.as_str().into()),
            ("digest", self.digest().into()),
            ("status", self.request.status.into()),
            ("received", self.request.received.into()),
            ("sent", self.request.sent.into()),
            (
                "ms",
                u64::try_from(self.request.duration.as_millis())
                    .unwrap_or(u64::MAX)
                    .into(),
            ),
        ];

        if !self.request.trouble.is_empty() {
            members.push(("trouble", self.request.trouble.as_str().into()));
        }

        members
    }

    /// `host ident user [time] "request" status bytes "referer" "agent"`.
    fn clf(&self) -> String {
        // The user is one word, and an address has no port here.
        let host = self
            .request
            .peer
            .rsplit_once(':')
            .map_or(self.request.peer.as_str(), |(host, _)| host);

        let host = host.trim_matches(['[', ']']);
        let user = escaped(&self.request.who).replace(' ', "_");

        // The format has a hyphen for what is not known.
        let sent = self
            .request
            .sent
            .map_or_else(|| "-".to_owned(), |sent| sent.to_string());

        let agent = if self.request.agent.is_empty() {
            "-"
        } else {
            &self.request.agent
        };

        format!(
            "{} - {user} [{}] {} {} {sent} \"-\" {}",
            escaped(host),
            clf_time(self.at),
            quoted(&format!(
                "{} {} HTTP/1.1",
                self.request.method, self.request.path
            )),
            self.request.status,
            quoted(agent)
        )
    }
}

/// A record that is not an event, in a form for programs; `None` for the others.
pub(crate) fn record(format: LogFormat, at: SystemTime, level: &str, text: &str) -> Option<String> {
    let members = || {
        vec![
            ("time", rfc3339(at).into()),
            ("level", level.into()),
            ("text", text.into()),
        ]
    };

    // The two other formats are for people and for web statistics; there, the plain text with its
    // level suffices.
    match format {
        LogFormat::Json => Some(object(members())),
        LogFormat::Logfmt => Some(pairs(&members())),
        LogFormat::Line | LogFormat::Clf => None,
    }
}

fn object(members: Vec<(&'static str, Value)>) -> String {
    let members = members.into_iter();
    let members = members.map(|(key, value)| (key.to_owned(), value));
    let json = Value::Object(members.collect::<Map<_, _>>()).to_string();
    json_escaped(&json).into_owned()
}

fn pairs(members: &[(&'static str, Value)]) -> String {
    let pair = |(key, value): &(&str, Value)| match value {
        Value::String(text) => format!("{key}={}", word(text)),
        Value::Null => format!("{key}="),
        other => format!("{key}={other}"),
    };
    members.iter().map(pair).collect::<Vec<_>>().join(" ")
}

/// A text as one word: in quotes where it could be taken for more.
fn word(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"\"'\\=".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        text.to_owned()
    } else {
        quoted(text)
    }
}

fn quoted(text: &str) -> String {
    format!(
        "\"{}\"",
        escaped(&text.replace('\\', "\\\\").replace('"', "\\\""))
    )
}

/// `10/Oct/2000:13:55:36 +0000`.
fn clf_time(at: SystemTime) -> String {
    let at = date_time(at);
    let (day, month, year) = (at.day(), &at.month().to_string()[..3], at.year());
    let (hour, minute, second) = at.to_hms();
    format!("{day:02}/{month}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000")
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::time::Duration;

    fn at() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(971_186_136)
    }

    fn text(request: &FinishedRequest, format: LogFormat) -> String {
        AuditLine { at: at(), request }.text(format)
    }

    fn request() -> FinishedRequest {
        FinishedRequest {
            id: "a1".to_owned(),
            who: "pi 1".to_owned(),
            peer: "192.0.2.1:5000".to_owned(),
            agent: "evil\"\n\u{85}\u{2028}x\\".to_owned(),
            method: "PUT",
            path: "/v1/models/a".to_owned(),
            name: "a".to_owned(),
            digest: Some(crate::digest::Digest::of(b"")),
            status: 201,
            received: 7,
            sent: Some(9),
            duration: Duration::from_millis(12),
            trouble: String::new(),
        }
    }

    #[test]
    fn no_format_lets_a_caller_write_a_line_of_its_own() {
        for format in [
            LogFormat::Line,
            LogFormat::Logfmt,
            LogFormat::Json,
            LogFormat::Clf,
        ] {
            let shown = text(&request(), format);
            assert!(
                !shown.contains(['\n', '\u{85}', '\u{2028}', '\u{1b}']),
                "{shown}"
            );
        }
    }

    #[test]
    fn each_format_is_what_its_readers_expect() {
        let value: Value = serde_json::from_str(&text(&request(), LogFormat::Json)).unwrap();
        assert_eq!(
            (&value["who"], &value["status"]),
            (&"pi 1".into(), &201.into())
        );
        assert_eq!((&value["received"], &value["ms"]), (&7.into(), &12.into()));
        assert_eq!(value["time"], "2000-10-10T13:55:36Z");
        let shown = text(&request(), LogFormat::Logfmt);
        assert!(
            shown.contains(" who=\"pi 1\" peer=192.0.2.1:5000 agent=\"evil\\\""),
            "{shown}"
        );
        assert!(
            shown.ends_with(" status=201 received=7 sent=9 ms=12"),
            "{shown}"
        );
        let shown = text(&request(), LogFormat::Clf);
        let start =
            "192.0.2.1 - pi_1 [10/Oct/2000:13:55:36 +0000] \"PUT /v1/models/a HTTP/1.1\" 201 9";
        assert!(shown.starts_with(start), "{shown}");
        let shown = text(&request(), LogFormat::Line);
        let start = "192.0.2.1:5000 \"pi 1\" PUT /v1/models/a 201 9 12ms received=7 name=a";
        assert!(shown.starts_with(start), "{shown}");
        let cut = FinishedRequest {
            sent: None,
            trouble: "broken pipe".to_owned(),
            ..request()
        };
        assert!(text(&cut, LogFormat::Line).contains(" 201 cut 12ms "));
        assert!(
            record(LogFormat::Json, at(), "warning", "a\nb")
                .unwrap()
                .contains(r"a\nb")
        );
        assert!("xml".parse::<LogFormat>().is_err());
    }
}
