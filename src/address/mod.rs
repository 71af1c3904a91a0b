// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Where a server listens, and where a server is.

mod listen;
mod url;

pub use listen::Address;
pub(crate) use listen::DEFAULT_PORT;
pub use url::{Scheme, ServerUrl};
