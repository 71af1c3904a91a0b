// SPDX-License-Identifier: Apache-2.0 OR MIT
//! skep: a pocket model server and its client, for phones, small boards and programs that embed it.
//!
#![doc = include_str!("manual/front.md")]
//!
//! The map of the house and its rules are in `.github/CONTRIBUTING.md`.

mod access;
mod address;
mod backoff;
mod bell;
mod channels;
#[doc(hidden)]
pub mod child;
#[doc(hidden)]
pub mod cli;
pub mod client;
mod clock;
mod config;
mod crew;
mod digest;
mod disk;
mod edge;
mod error;
mod event;
mod formats;
mod home;
mod http;
mod limits;
mod logging;
pub mod manual;
mod metrics;
mod model;
mod node;
mod pin;
mod random;
mod routes;
mod server;
mod signature;
mod stop;
pub mod store;
mod text;
mod threads;
mod tls;
mod transport;
mod waiting;
mod watched_file;
mod wire;

pub use access::Password;
pub use address::{Address, ListenAddress};
pub use config::{Config, Effect, Effective, Layer, Origin, SECTIONS, Section, Setting, settings};
pub use digest::Digest;
pub use error::{Error, ErrorKind, Result};
pub use event::{EVENTS, EventKind};
#[cfg(any(fuzzing, test))]
#[doc(hidden)]
pub use formats::fuzz_formats::fuzz_format;
#[cfg(any(fuzzing, test))]
#[doc(hidden)]
pub use formats::xet::fuzz_xet::{fuzz_shard, fuzz_xorb};
#[cfg(any(fuzzing, test))]
#[doc(hidden)]
pub use http::fuzz::{fuzz_body, fuzz_head};
pub use http::{
    Admission, Body, Content, Endless, Fields, Handler, Happened, Head, Method, NewConnection,
    Range, RangeError, Request, RequestSender, Response, Session, Status, Version,
};
pub use limits::Limits;
pub use metrics::{Count, METRICS, Metric, MetricKind, Metrics};
pub use model::{Model, ModelInfo, ModelName, OldVersion, Verification, Verified, VersionChoice};
pub use node::{
    Node, Notice, PasswordOrigin, Reload, ServiceState, ServiceStatus, Services, Watcher,
};
pub use pin::Pin;
pub use server::{Server, ServerHandle, ServerOptions, TempServer};
pub use signature::{PublicKey, SecretKey, Signature};
pub use stop::Shutdown;
pub use tls::TlsOptions;
pub use transport::{Peer, TlsIdentity, UnixCredentials};
pub use wire::Problem;
