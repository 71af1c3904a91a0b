// SPDX-License-Identifier: Apache-2.0 OR MIT
//! New settings for a node that runs.

use std::sync::{Arc, Mutex};

use crate::channels::Publisher;
use crate::config::{Config, Effect};
use crate::error::Result;
use crate::event::{Event, Happening};
use crate::limits::{Limits, LiveLimits};
use crate::threads::lock;
use crate::tls::Following;
use crate::{clock, edge};

/// Gives a running node new settings.
#[derive(Clone)]
pub struct Reload {
    pub(crate) live_limits: Arc<LiveLimits>,
    pub(crate) started: Config,
    /// What the last reload was given; before the first one, what the node was started with.
    pub(crate) latest: Arc<Mutex<Config>>,
    pub(crate) tls: Option<Arc<Following>>,
    pub(crate) events: Publisher,
}

impl Reload {
    /// Takes the limits of a configuration, for connections from now on. Returns the settings that
    /// differ from those the node was started with but count only at the next start.
    ///
    /// # Errors
    /// `Usage` for limits with which nobody could be served; the old ones then stay.
    pub fn apply(&self, config: Config) -> Result<Vec<&'static str>> {
        config.check()?;

        // The lock is held to the end, so that two reloads at one time do not mix their limits.
        let mut latest = lock(&self.latest);

        // The pool is fixed: a running server keeps its number of workers.
        let mut limits = Limits {
            workers: self.started.limits.workers,
            ..config.limits.clone()
        };

        edge::make_room(&mut limits);
        self.live_limits.change(limits);

        if let Some(tls) = &self.tls {
            // The addresses of this device may have changed.
            let fresh = self
                .started
                .tls_files()
                .and_then(|_| self.started.keep_identity_fresh());
            if let Err(error) = fresh {
                log::error!("the old certificate stays in use: {error}");
            }
            tls.refresh();
        }

        let waiting = self.started.changed(&config, Effect::NextStart);

        // An event tells of this reload only: what an earlier one changed is not told again, and
        // what is set back is told, too.
        self.events.publish(|| {
            let effects = [Effect::AtOnce, Effect::NewConnections, Effect::NextStart];
            let changed = effects.map(|effect| latest.changed(&config, effect));
            let happening = Happening::ServerReloaded {
                changed: changed.concat(),
            };
            Event::new(clock::now(), happening)
        });

        // Without the sockets, which must not stay open for a copy.
        *latest = Config {
            sockets: Vec::new(),
            ..config
        };

        Ok(waiting)
    }
}
