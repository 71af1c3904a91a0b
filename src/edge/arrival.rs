// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A connection as it leaves the edge: open, with its place, and with what is to become of it.

use std::sync::Arc;

use crate::transport::Transport;
use crate::waiting::{Place, Seat, Waiter};

/// A connection that can be spoken on.
pub(crate) struct Arrival {
    pub(crate) transport: Box<dyn Transport>,
    pub(crate) entry: Entry,
    /// To be held while the connection is open.
    pub(crate) place: Box<dyn Place>,
    pub(crate) seat: Arc<dyn Seat>,
}

/// What is to become of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// Its requests are answered.
    Admitted,
    /// All places are taken, which the caller is to be told.
    Full,
    /// The caller was told why it is not let in; the connection only has to end well.
    Told,
}

/// Makes a connection wait for its first request; `None` closes it.
pub(crate) type Welcome = Arc<dyn Fn(Arrival) -> Option<Box<dyn Waiter>> + Send + Sync>;
