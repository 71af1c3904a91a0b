// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The fixed pool of workers, the engine that feeds it, and what goes to and fro.

mod body_places;
mod engine;
mod held_places;
mod turns;
mod workers;

pub(crate) use body_places::BodyPlaces;
pub(crate) use engine::{Engine, QueuedRequest};
pub(crate) use held_places::HeldPlaces;
pub(crate) use workers::Workers;
