// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What several promises need: the real binary as a server and as a client, and rude sockets.

pub(crate) mod browser;
pub(crate) mod folders;
pub(crate) mod liar;
pub(crate) mod pieces;
pub(crate) mod power;
pub(crate) mod process;
pub(crate) mod raw;
pub(crate) mod relay;
pub(crate) mod served;
pub(crate) mod stand_in;
pub(crate) mod syscalls;
pub(crate) mod terminal;
