// SPDX-License-Identifier: Apache-2.0 OR MIT
//! skep: a pocket model server. This library is the house; the binary is its door.

#![allow(dead_code, unused_imports, reason = "the floors above are not in yet")]

mod access;
mod digest;
mod disk;
mod edge;
mod error;
mod limits;
mod metrics;
mod model;
mod near;
mod pin;
pub mod store;
mod supervise;
mod transport;
mod wire;
pub use access::Password;
pub use digest::Digest;
pub use edge::{Address, TlsOptions};
pub use error::{Error, ErrorKind, Result};
pub use limits::Limits;
pub use metrics::{Count, Metrics};
pub use model::{Model, ModelName};
pub use pin::Pin;
pub use transport::{Peer, TlsIdentity, UnixCredentials};
pub use wire::{ListWire, ModelWire, Problem};
