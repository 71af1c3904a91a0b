// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The channels of a node: who publishes on which, and the audit log as their first listener.

use crate::channels::{Channels, Observation, Publisher};
use crate::clock;
use crate::error::Result;
use crate::event::{ACCESS, CONNECTIONS, Event, Happening, MODELS, REQUESTS, SERVER, UPLOADS};
use crate::logging::{self, AuditOptions};
use crate::routes::ApiEvents;
use crate::stop::Reason;
use crate::store::StoreEvents;

/// The publishers of a node.
pub(crate) struct NodeEvents {
    channels: Channels,
    pub(crate) connections: Publisher,
    pub(crate) server: Publisher,
    models: Publisher,
    uploads: Publisher,
    access: Publisher,
    requests: Publisher,
    /// Held to be dropped: the audit log listens as long as the node lives.
    _audit: Option<Observation>,
}

impl NodeEvents {
    /// Opens all channels. The audit log listens if anybody reads it.
    ///
    /// # Errors
    /// None that is known: the names are ours.
    pub(crate) fn open(audit: AuditOptions) -> Result<Self> {
        let channels = Channels::new(clock::now(), SUBSCRIBERS_MAX);
        let open = |name| channels.open(name, 0);
        let requests = open(REQUESTS)?;

        // Where nobody reads the log, requests are not even made into events.
        let log = logging::is_wanted().then(|| {
            let observer = logging::observer(audit);
            channels.observe(REQUESTS, observer)
        });

        Ok(Self {
            connections: open(CONNECTIONS)?,
            server: open(SERVER)?,
            models: open(MODELS)?,
            uploads: open(UPLOADS)?,
            access: open(ACCESS)?,
            requests,
            _audit: log.transpose()?,
            channels,
        })
    }

    /// All channels, for whoever wants to watch.
    pub(crate) fn channels(&self) -> &Channels {
        &self.channels
    }

    pub(crate) fn of_store(&self) -> StoreEvents {
        StoreEvents {
            models: self.models.clone(),
            uploads: self.uploads.clone(),
        }
    }

    pub(crate) fn of_api(&self) -> ApiEvents {
        ApiEvents {
            requests: self.requests.clone(),
            access: self.access.clone(),
        }
    }

    /// Tells where the node listens, and that it begins to answer.
    pub(crate) fn started(&self, urls: &[String]) {
        for url in urls {
            let address = url.clone();
            self.tell(|| Happening::ListenerOpened { address });
        }
        self.tell(|| Happening::ServerStarted {
            version: env!("CARGO_PKG_VERSION"),
        });
    }

    /// Tells that the node takes no further requests.
    pub(crate) fn stopping(&self, reason: Option<Reason>) {
        let reason = match reason {
            Some(Reason::Signal(number)) => format!("signal {number}"),
            _ => "asked".to_owned(),
        };
        self.tell(|| Happening::ServerStopping { reason });
    }

    fn tell(&self, happening: impl FnOnce() -> Happening) {
        self.server
            .publish(|| Event::new(clock::now(), happening()));
    }
}

/// How many may watch at one time.
const SUBSCRIBERS_MAX: usize = 64;
