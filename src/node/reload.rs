// SPDX-License-Identifier: Apache-2.0 OR MIT
//! New settings for a node that runs.

use std::sync::Arc;

use crate::channels::Publisher;
use crate::config::{Config, Effect};
use crate::error::Result;
use crate::event::{Event, Happening};
use crate::limits::{Limits, LiveLimits};
use crate::tls::Following;
use crate::{clock, edge};

/// Gives a running node new settings.
#[derive(Clone)]
pub struct Reload {
    pub(crate) live_limits: Arc<LiveLimits>,
    pub(crate) started: Config,
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

        self.events.publish(|| {
            let effects = [Effect::AtOnce, Effect::NewConnections];
            let now = effects.map(|effect| self.started.changed(&config, effect));
            let changed = now.concat().into_iter().chain(waiting.iter().copied());
            let happening = Happening::ServerReloaded {
                changed: changed.collect(),
            };
            Event::new(clock::now(), happening)
        });

        Ok(waiting)
    }
}
