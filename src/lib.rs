// SPDX-License-Identifier: Apache-2.0 OR MIT
//! skep: a pocket model server. This library is the house; the binary is its door.

#![allow(dead_code, unused_imports, reason = "the floors above are not in yet")]

mod access;
pub mod client;
mod config;
mod digest;
mod disk;
mod edge;
mod error;
mod http;
mod limits;
mod metrics;
mod model;
mod near;
mod node;
mod pin;
mod routes;
mod server;
pub mod store;
mod supervise;
mod transport;
mod wire;
pub use access::Password;
pub use config::{Config, Layer, SETTINGS, Setting};
pub use digest::Digest;
pub use edge::{Address, TlsOptions};
pub use error::{Error, ErrorKind, Result};
#[cfg(fuzzing)]
#[doc(hidden)]
pub use http::fuzz::{fuzz_body, fuzz_head};
pub use http::{
    Admission, Body, Content, Fields, Handler, Head, Method, Range, RangeError, Request, Response,
    Session, Status, Version,
};
pub use limits::Limits;
pub use metrics::{Count, Metrics};
pub use model::{Model, ModelName};
pub use node::{Node, PasswordOrigin};
pub use pin::Pin;
pub use server::{Server, ServerHandle, ServerOptions, Shutdown, TempServer};
pub use transport::{Peer, TlsIdentity, UnixCredentials};
pub use wire::{ListWire, ModelWire, Problem};
