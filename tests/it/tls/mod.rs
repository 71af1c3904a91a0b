// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Keys, certificates, authorities and the clock they go by.

mod authority;
mod broken;
mod clock;
mod identity;
mod mtls;
mod padding;
mod pins;
mod sessions;
