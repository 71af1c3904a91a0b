// SPDX-License-Identifier: Apache-2.0 OR MIT
//! skep: a pocket model server. This library is the house; the binary is its door.
//!
//! # The house map
//!
//! Four floors and a door. One goes down the stairs, never up; rooms on a floor do not open into each
//! other; a room is entered by its `mod.rs`. `tests/it/tidy.rs` keeps all of this.
//!
//! | floor | room | what it is for |
//! |---|---|---|
//! | door | `cli` | one file per verb; the only room that prints, and that reads flags |
//! | 3rd, assembly | `node` | builds every room from a configuration; start and shutdown order |
//! | | `config` | the table of settings and the layers their values come from |
//! | 2nd, behaviour | `server` | an address and a handler: edge, engine and workers put together |
//! | | `routes` | what requests mean: API v1 and the dearning API, who may call them, and what the log is told |
//! | 1st, organs | `store` | a directory of models: durable publishing, uploads in pieces, digests, cache, limits, old versions |
//! | | `edge` | addresses, the accept loop, places for connections, TLS, the identity, a private authority |
//! | | `http` | strict heads, framing, the engine, the workers, answers |
//! | | `client` | the other side of all this: transfers that go on where they stopped, and whom to trust |
//! | ground, words | `error` `digest` `model` `wire` `pin` `limits` `near` | values that every room speaks of |
//! | | `access` | who may do what: principals, roles, tokens, passwords, the lockout |
//! | | `signature` | signatures of models in minisign's format |
//! | | `clock` | the time, never before a floor |
//! | | `invitation` | what brings a device together with a server |
//! | | `cpu` `x509` | what the processor can do, what a certificate says |
//! | | `audit` `escape` | events of the log, and text made harmless for it |
//! | | `metrics` | what a server counts |
//! | | `transport` | what HTTP needs of a connection |
//! | | `disk` | the only room that creates, renames, fsyncs and removes files |
//! | | `supervise` | the only room that starts threads |
//!
//! # The way of a request
//!
//! ```text
//! edge: accept -> place -> connection thread: TLS handshake
//! http: strict head, framing -> the request is parked under a random ticket, and method, target and
//!       ticket are written to tiny_http's private socket -> tiny_http parses and queues
//!       -> a worker of the fixed pool claims the ticket and runs the handler, which reads the body
//!       straight from the connection and returns a response
//!       -> the connection's thread writes it at the caller's pace, and reads the next head
//! ```
//!
//! At any moment exactly one thread owns a connection, so nothing of it is locked. Slow readers cost a
//! connection thread, never a worker. A panicking handler costs one answer.

mod access;
mod address;
#[cfg_attr(not(test), expect(dead_code, reason = "nothing uses it yet"))]
mod backoff;
#[cfg_attr(not(test), expect(dead_code, reason = "nothing uses it yet"))]
mod bell;
#[cfg_attr(not(test), expect(dead_code, reason = "nothing uses it yet"))]
mod channels;
#[doc(hidden)]
pub mod cli;
pub mod client;
mod clock;
mod config;
mod digest;
mod disk;
mod edge;
mod error;
#[expect(dead_code, reason = "nothing uses it yet")]
mod event;
mod home;
mod http;
mod limits;
mod logging;
mod metrics;
mod model;
mod node;
mod pin;
mod routes;
mod server;
mod signature;
#[cfg_attr(not(test), expect(dead_code, reason = "nothing uses it yet"))]
mod stop;
pub mod store;
mod text;
mod threads;
mod tls;
mod transport;
mod watched_file;
mod wire;

pub use access::Password;
pub use address::Address;
pub use config::{Config, Layer, SETTINGS, Setting};
pub use digest::Digest;
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
pub use node::{Node, PasswordOrigin, Reload};
pub use pin::Pin;
pub use server::{Server, ServerHandle, ServerOptions, Shutdown, TempServer};
pub use signature::{PublicKey, SecretKey, Signature};
pub use tls::TlsOptions;
pub use transport::{Peer, TlsIdentity, UnixCredentials};
pub use wire::{InfoWire, VerifyWire, VersionWire, VersionsWire};
pub use wire::{ListWire, ModelWire, Problem};
