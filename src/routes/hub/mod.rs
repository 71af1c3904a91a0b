// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The hub: the routes by which the clients of Hugging Face fetch and send models, data sets and spaces, below `/hf`.
//!
//! A repository is a folder: `NS/REPO` or `REPO` for models, with `datasets/` or `spaces/` in front for the others.
//! Its commit is the revision of the folder, and the branch `main` is what the folder has now.

mod accounts;
mod changing;
mod hub_path;
mod hub_refusals;
mod hub_routes;
mod hub_wires;
mod mirroring;
mod reading;

pub(crate) use hub_refusals::{is_hub, refusal};
pub(crate) use hub_routes::HUB_ROUTES;
pub(crate) use mirroring::{Mirror, MirrorOptions, PUBLIC_AUTHORITIES};
