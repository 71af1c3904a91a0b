// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Where a request comes from, as far as it says so: through which proxy, from a page of which site, and by which
//! name of this server.

pub(super) mod cross_origin;
pub(super) mod forwarded;
pub(super) mod host_name;
