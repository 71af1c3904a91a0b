// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What all connections of a server share.

use std::sync::Arc;

use crate::crew::Crew;
use crate::http::Handler;
use crate::http::pool::{BodyPlaces, Engine};
use crate::limits::LiveLimits;
use crate::metrics::Metrics;
use crate::stop::Stop;

/// What all connections of a server share.
pub(crate) struct HttpShared {
    pub(crate) engine: Arc<Engine>,
    pub(crate) handler: Arc<dyn Handler>,
    pub(crate) limits: Arc<LiveLimits>,
    pub(crate) metrics: Arc<Metrics>,
    /// How many workers may wait for bodies at one time.
    pub(crate) places: Arc<BodyPlaces>,
    /// Who writes answers at their callers' pace.
    pub(crate) writers: Arc<Crew>,
    /// Set once a shutdown has begun: no connection takes another request.
    pub(crate) stop: Stop,
}
