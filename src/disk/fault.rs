// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Lets a unit test fail the Nth call to the disk of its own thread; otherwise nothing.

#[cfg(test)]
use std::cell::Cell;
use std::io;

#[cfg(test)]
thread_local! {
    static CALLS_LEFT: Cell<Option<u32>> = const { Cell::new(None) };
}

/// From now on, call number `call` (from 0) of this thread fails once with `EIO`; `None` ends it.
/// Returns whether the failure of the last setting is still to come.
#[cfg(test)]
pub(crate) fn set(call: Option<u32>) -> bool {
    CALLS_LEFT.replace(call).is_some()
}

#[cfg(test)]
pub(crate) fn check() -> io::Result<()> {
    match CALLS_LEFT.get() {
        Some(0) => {
            CALLS_LEFT.set(None);
            Err(rustix::io::Errno::IO.into())
        }
        Some(left) => {
            CALLS_LEFT.set(Some(left - 1));
            Ok(())
        }
        None => Ok(()),
    }
}

#[cfg(not(test))]
pub(crate) fn check() -> io::Result<()> {
    Ok(())
}
