// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Other names for models and folders: what is asked for, what is looked at before, and the steps of it.

pub(crate) mod move_request;
mod move_steps;
mod moving;
