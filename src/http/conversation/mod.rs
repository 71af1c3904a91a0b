// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A connection from its first request to its last answer, without a thread of its own: it waits at
//! the poller, goes to a worker with each request, and comes back once that is answered.

mod answer_end;
mod answering;
mod beginning;
mod caller;
mod draining;
mod exchange;
mod http_shared;
#[cfg(test)]
mod tests;

pub(crate) use http_shared::HttpShared;
