// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What can happen in a server, as values that a log, a page, a hook or a counter can use alike.
//!
//! Invariant: nothing in an event is a secret. There are no passwords, no tokens, no invitations and no
//! addresses of uploads, which are secrets, too: whoever knows one can go on with the upload.

mod finished_request;

pub(crate) use finished_request::FinishedRequest;

use std::time::SystemTime;

use serde_json::{Map, Value};

use crate::digest::Digest;
use crate::model::ModelName;
use crate::wire::rfc3339;

/// Something that happened, and when.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    /// The time as its publisher's clock has it.
    pub(crate) at: SystemTime,
    pub(crate) what: Happening,
}

/// What is the same for all events of a kind.
#[derive(Debug)]
pub struct EventKind {
    /// What programs know it by, for example `model.published`.
    pub name: &'static str,
    /// The channel that it is published on.
    pub channel: &'static str,
    /// What it tells, for documentation.
    pub help: &'static str,
}

/// The channels: streams of events that somebody may want to watch without the others.
pub(crate) const MODELS: &str = "models";
pub(crate) const UPLOADS: &str = "uploads";
pub(crate) const ACCESS: &str = "access";
pub(crate) const CONNECTIONS: &str = "connections";
pub(crate) const SERVER: &str = "server";
pub(crate) const REQUESTS: &str = "requests";

/// Makes of one table the type [`Happening`], the kinds with their names, and the fields.
macro_rules! events {
    ($(
        #[doc = $help:literal]
        $variant:ident = $name:literal on $channel:ident {
            $( $(#[$comment:meta])* $field:ident: $type:ty, )*
        }
    )*) => {
        /// What happened, with all that is known of it. Sizes are bytes.
        #[derive(Clone, Debug, PartialEq)]
        pub(crate) enum Happening {
            $( #[doc = $help] $variant { $( $(#[$comment])* $field: $type, )* }, )*
        }

        /// All kinds of events.
        pub const EVENTS: &[EventKind] = &[
            $( EventKind { name: $name, channel: $channel, help: $help.trim_ascii() }, )*
        ];

        impl Happening {
            /// Its kind.
            pub(crate) fn kind(&self) -> &'static EventKind {
                match self {
                    $( Self::$variant { .. } => &const {
                        EventKind { name: $name, channel: $channel, help: $help.trim_ascii() }
                    }, )*
                }
            }

            /// All that is known of it, for a log or for JSON; what is not known is null. Names and
            /// texts may come from a caller, so whoever writes lines has to escape them.
            pub(crate) fn fields(&self) -> Vec<(&'static str, Value)> {
                let mut fields = Vec::new();
                match self {
                    $( Self::$variant { $( $field, )* } => {
                        $( $field.put(stringify!($field), &mut fields); )*
                    } )*
                }
                fields
            }
        }
    };
}

events! {
    /// A model is there, new or in place of another.
    ModelPublished = "model.published" on MODELS {
        name: ModelName,
        size: u64,
        digest: Digest,
        /// Whether a model of this name was there before.
        replaced: bool,
    }
    /// A model was removed.
    ModelRemoved = "model.removed" on MODELS {
        name: ModelName,
        size: u64,
        digest: Option<Digest>,
    }
    /// A model has another name.
    ModelMoved = "model.moved" on MODELS {
        /// What it was called before.
        from: ModelName,
        name: ModelName,
        size: u64,
        digest: Option<Digest>,
    }
    /// An old version of a model is the current one again.
    ModelRolledBack = "model.rolled-back" on MODELS {
        name: ModelName,
        size: u64,
        digest: Option<Digest>,
    }
    /// A check found other bytes than a model should have, or could not read it.
    ModelDamaged = "model.damaged" on MODELS {
        name: ModelName,
        /// The digest of its bytes now; `None` if they cannot be read.
        digest: Option<Digest>,
        expected: Option<Digest>,
    }
    /// The first bytes of an upload are expected.
    UploadBegun = "upload.begun" on UPLOADS {
        name: ModelName,
        /// `None` while it is not known.
        size: Option<u64>,
    }
    /// More bytes of an upload in pieces are safe on the disk.
    UploadProgressed = "upload.progressed" on UPLOADS {
        name: ModelName,
        received: u64,
        size: Option<u64>,
    }
    /// An upload became the model of its name; `model.published` came before.
    UploadEnded = "upload.ended" on UPLOADS {
        name: ModelName,
        size: u64,
    }
    /// An upload was given up, and its bytes were removed.
    UploadAbandoned = "upload.abandoned" on UPLOADS {
        name: ModelName,
        received: u64,
        reason: &'static str,
    }
    /// A caller did not prove who it is, or lacks the right to do what it asked for.
    AccessRefused = "access.refused" on ACCESS {
        peer: String,
        reason: &'static str,
    }
    /// A caller was wrong too often and is locked out for a while.
    AccessLocked = "access.locked" on ACCESS {
        /// An address, a network or a user.
        caller: String,
        seconds: u64,
    }
    /// A device accepted an invitation.
    DevicePaired = "device.paired" on ACCESS {
        name: String,
        role: String,
        peer: String,
    }
    /// A connection found a place.
    ConnectionAccepted = "connection.accepted" on CONNECTIONS {
        peer: String,
    }
    /// A connection found no place, or did not get through TLS.
    ConnectionRefused = "connection.refused" on CONNECTIONS {
        peer: String,
        reason: &'static str,
    }
    /// The server can be reached at an address.
    ListenerOpened = "listener.opened" on SERVER {
        address: String,
    }
    /// The server takes requests.
    ServerStarted = "server.started" on SERVER {
        version: &'static str,
    }
    /// The settings were read again.
    ServerReloaded = "server.reloaded" on SERVER {
        /// The keys of the settings that have other values now, without the values.
        changed: Vec<&'static str>,
    }
    /// The server takes no further requests.
    ServerStopping = "server.stopping" on SERVER {
        reason: String,
    }
    /// A request was answered: a line of the audit log.
    RequestFinished = "request.finished" on REQUESTS {
        request: Box<FinishedRequest>,
    }
}

impl Event {
    /// Something that happened at a time.
    pub(crate) fn new(at: SystemTime, what: Happening) -> Self {
        Self { at, what }
    }

    /// What programs know its kind by.
    pub(crate) fn name(&self) -> &'static str {
        self.what.kind().name
    }

    /// One JSON object: `event` (the name of the kind), `time` (RFC 3339, UTC), and the fields.
    pub(crate) fn json(&self) -> Value {
        let head = [
            ("event", self.name().into()),
            ("time", rfc3339(self.at).into()),
        ];
        let members = head.into_iter().chain(self.what.fields());
        let owned = members.map(|(key, value)| (key.to_owned(), value));
        Value::Object(owned.collect::<Map<_, _>>())
    }
}

/// A value of an event, as JSON has it.
trait Field {
    fn put(&self, key: &'static str, fields: &mut Vec<(&'static str, Value)>);
}

/// What JSON takes as it is.
macro_rules! plain_fields {
    ($($type:ty)*) => { $(
        impl Field for $type {
            fn put(&self, key: &'static str, fields: &mut Vec<(&'static str, Value)>) {
                fields.push((key, self.clone().into()));
            }
        }
    )* };
}

plain_fields! { u64 bool String &'static str Vec<&'static str> }

impl Field for ModelName {
    fn put(&self, key: &'static str, fields: &mut Vec<(&'static str, Value)>) {
        fields.push((key, self.as_str().into()));
    }
}

impl Field for Digest {
    fn put(&self, key: &'static str, fields: &mut Vec<(&'static str, Value)>) {
        fields.push((key, format!("{self:?}").into()));
    }
}

impl<T: Field> Field for Option<T> {
    fn put(&self, key: &'static str, fields: &mut Vec<(&'static str, Value)>) {
        match self {
            Some(field) => field.put(key, fields),
            None => fields.push((key, Value::Null)),
        }
    }
}

/// The fields of a request stand beside those of other events, not one level below.
impl Field for Box<FinishedRequest> {
    fn put(&self, _: &'static str, fields: &mut Vec<(&'static str, Value)>) {
        fields.extend(FinishedRequest::fields(self));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn the_manual_lists_every_kind() {
        let manual = include_str!("../manual/embedding.md");
        for kind in EVENTS {
            let row = format!("| `{}` | {} | {} |", kind.name, kind.channel, kind.help);
            assert!(manual.contains(&row), "the manual lacks {row}");
        }
    }

    #[test]
    fn names_are_unique_and_channels_are_known() {
        let names: BTreeSet<_> = EVENTS.iter().map(|kind| kind.name).collect();
        assert_eq!(names.len(), EVENTS.len());

        let channels: BTreeSet<_> = EVENTS.iter().map(|kind| kind.channel).collect();
        let known = [MODELS, UPLOADS, ACCESS, CONNECTIONS, SERVER, REQUESTS];
        assert_eq!(channels, BTreeSet::from(known));
        for kind in EVENTS {
            let is_plain = |byte: u8| byte.is_ascii_lowercase() || b".-".contains(&byte);
            assert!(kind.name.bytes().all(is_plain), "{kind:?}");
            assert!(kind.help.ends_with('.') && !kind.help.starts_with(' '));
        }
    }

    #[test]
    fn an_event_is_one_object_with_its_name_its_time_and_its_fields() {
        let digest = Digest::of(b"");
        let name: ModelName = "resnet".parse().unwrap();
        let event = Event::new(
            at(951_827_696),
            Happening::ModelPublished {
                name: name.clone(),
                size: 0,
                digest,
                replaced: true,
            },
        );
        assert_eq!(
            (event.name(), event.what.kind().channel),
            ("model.published", MODELS)
        );

        let expected = serde_json::json!({
            "event": "model.published", "time": "2000-02-29T12:34:56Z",
            "name": "resnet", "size": 0, "digest": format!("{digest:?}"), "replaced": true,
        });
        assert_eq!(event.json(), expected);

        let unknown = Happening::ModelDamaged {
            name,
            digest: None,
            expected: Some(digest),
        };
        let keys: Vec<_> = unknown.fields().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["name", "digest", "expected"]);
        assert_eq!(unknown.fields()[1].1, Value::Null);
        assert_eq!(unknown.kind().name, "model.damaged");
    }

    #[test]
    fn lists_and_texts_are_values_of_json() {
        let reloaded = Happening::ServerReloaded {
            changed: vec!["workers", "idle-timeout"],
        };
        let expected = serde_json::json!(["workers", "idle-timeout"]);
        assert_eq!(reloaded.fields(), [("changed", expected)]);

        let refused = Happening::ConnectionRefused {
            peer: "192.0.2.1:5000".to_owned(),
            reason: "full",
        };
        let expected = [("peer", "192.0.2.1:5000".into()), ("reason", "full".into())];
        assert_eq!(refused.fields(), expected);
    }

    #[test]
    fn a_request_has_the_fields_of_the_audit_log() {
        let request = FinishedRequest {
            id: "a1".to_owned(),
            who: "pi".to_owned(),
            peer: "unix".to_owned(),
            agent: String::new(),
            method: "PUT",
            path: "/v1/models/a".to_owned(),
            name: "a".to_owned(),
            digest: None,
            status: 201,
            received: 7,
            sent: None,
            duration: Duration::from_millis(12),
            trouble: "broken pipe".to_owned(),
        };
        let event = Event::new(
            at(0),
            Happening::RequestFinished {
                request: Box::new(request),
            },
        );
        let expected = serde_json::json!({
            "event": "request.finished", "time": "1970-01-01T00:00:00Z", "id": "a1", "who": "pi",
            "peer": "unix", "agent": "", "what": "PUT", "path": "/v1/models/a", "name": "a",
            "digest": "", "status": 201, "received": 7, "sent": null, "ms": 12,
            "trouble": "broken pipe",
        });
        assert_eq!(event.json(), expected);
    }
}
