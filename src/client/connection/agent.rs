// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What speaks HTTP over the connections of one client.

use std::time::Duration;

use ureq::Agent;
use ureq::config::AutoHeaderValue;

use crate::client::connection::dialer::{Dialer, NoResolver};

/// What speaks HTTP over the connections of a dialer.
pub(crate) fn agent(dialer: Dialer) -> Agent {
    // One request is one exchange with this server: a redirect or a proxy would take the password to a
    // host that nobody has checked, and a coded body would not have the digest of the model.
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .accept_encoding(AutoHeaderValue::None)
        .user_agent(concat!("skep/", env!("CARGO_PKG_VERSION")))
        .max_idle_age(IDLE_MAX)
        .build();
    // The dialer knows this server only and does not look at what the resolver says, so no other host is
    // ever looked up.
    Agent::with_parts(config, dialer, NoResolver)
}

/// Shorter than the 15 s after which servers of this house and of dearning hang up.
const IDLE_MAX: Duration = Duration::from_secs(8);
