// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How much one caller may have of this server.

mod request_rate;

pub(crate) use request_rate::{RateKey, RequestRate};
