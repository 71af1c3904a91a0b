// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The end of a channel that tells what happens.

use std::sync::Arc;

use super::register::Register;
use super::stream::Stream;
use crate::event::Event;

/// Publishes on one channel. The default publishes to nobody, for rooms that work without channels.
#[derive(Clone, Default)]
pub(crate) struct Publisher(Option<Ends>);

#[derive(Clone)]
struct Ends {
    register: Arc<Register>,
    stream: Arc<Stream>,
}

impl Publisher {
    pub(crate) fn new(register: Arc<Register>, stream: Arc<Stream>) -> Self {
        Self(Some(Ends { register, stream }))
    }

    /// Whether anybody would be told, for publishers to whom even collecting the facts is work.
    #[inline]
    pub(crate) fn is_heard(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|ends| ends.stream.has_listeners())
    }

    /// Tells what happened. The event is made only if somebody listens.
    #[inline]
    pub(crate) fn publish(&self, event: impl FnOnce() -> Event) {
        if let Some(ends) = &self.0
            && ends.stream.has_listeners()
        {
            ends.tell(event());
        }
    }
}

impl Ends {
    fn tell(&self, event: Event) {
        self.stream.observe(&event);
        if self.stream.has_queues() {
            self.register.deliver(&self.stream, event);
        }
    }
}
