// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What one process at a time has: the right to change a file, and a whole folder.

mod change_lock;
mod folder_lock;

pub(crate) use change_lock::ChangeLock;
pub(crate) use folder_lock::{FolderLock, LockAttempt};
