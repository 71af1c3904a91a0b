// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Text from servers and file systems, made harmless for a terminal.

pub(super) use crate::escape::escaped;
