// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The fixed pool of workers, the engine that feeds it, and what goes to and fro.

mod body_places;
mod engine;
mod turns;
mod workers;

pub(crate) use body_places::{BodyPlace, BodyPlaces};
pub(crate) use engine::{Engine, QueuedRequest};
pub(crate) use workers::Workers;
