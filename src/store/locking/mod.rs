// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Whose turn it is to change names: the locks of names, and how every change begins and ends.

pub(crate) mod changing;
pub(crate) mod name_locks;
