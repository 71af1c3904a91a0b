// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Lets a unit test fail the Nth call to the disk of its own thread, or take its locks away; otherwise
//! nothing.

#[cfg(test)]
use std::cell::Cell;
use std::io;

#[cfg(test)]
thread_local! {
    static CALLS_LEFT: Cell<Option<u32>> = const { Cell::new(None) };
    static FAILS_ON: Cell<bool> = const { Cell::new(false) };
    static IS_FAILING: Cell<bool> = const { Cell::new(false) };
    static HAS_LOCKS: Cell<bool> = const { Cell::new(true) };

    static IS_FULL: Cell<bool> = const { Cell::new(false) };
    static FREE_BYTES: Cell<Option<u64>> = const { Cell::new(None) };
    static HAS_EXCHANGE: Cell<bool> = const { Cell::new(true) };
    static REFUSED: Cell<Option<char>> = const { Cell::new(None) };
    static SYNCS_WHOLE: Cell<bool> = const { Cell::new(true) };
    static READS_LEFT: Cell<Option<u32>> = const { Cell::new(None) };
}

/// From now on, call number `call` (from 0) of this thread fails once with `EIO`; `None` ends it.
/// Returns whether the failure of the last setting is still to come.
#[cfg(test)]
pub(crate) fn set(call: Option<u32>) -> bool {
    FAILS_ON.set(false);
    IS_FAILING.set(false);
    CALLS_LEFT.replace(call).is_some()
}

/// The same, and all calls after that one fail as well.
#[cfg(test)]
pub(crate) fn set_for_good(call: u32) {
    set(Some(call));
    FAILS_ON.set(true);
}

#[cfg(test)]
pub(crate) fn check() -> io::Result<()> {
    match CALLS_LEFT.get() {
        _ if IS_FAILING.get() => Err(rustix::io::Errno::IO.into()),
        Some(0) => {
            CALLS_LEFT.set(None);
            IS_FAILING.set(FAILS_ON.get());
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

/// From now on, look-up number `look` (from 0) of this thread at a name or a folder fails once with `EIO`;
/// `None` ends it. Returns whether the failure of the last setting is still to come.
#[cfg(test)]
pub(crate) fn set_reads(look: Option<u32>) -> bool {
    READS_LEFT.replace(look).is_some()
}

#[cfg(test)]
pub(crate) fn check_read() -> io::Result<()> {
    match READS_LEFT.get() {
        Some(0) => {
            READS_LEFT.set(None);
            Err(rustix::io::Errno::IO.into())
        }
        left => {
            READS_LEFT.set(left.map(|left| left - 1));
            Ok(())
        }
    }
}

#[cfg(not(test))]
pub(crate) fn check_read() -> io::Result<()> {
    Ok(())
}

/// Whether one call may make all of the disk of this thread durable from now on, as FUSE and network file
/// systems do not.
#[cfg(test)]
pub(crate) fn set_whole_sync(syncs_whole: bool) {
    SYNCS_WHOLE.set(syncs_whole);
}

#[cfg(test)]
pub(crate) fn syncs_whole() -> bool {
    SYNCS_WHOLE.get()
}

#[cfg(not(test))]
pub(crate) fn syncs_whole() -> bool {
    true
}

/// Whether the disk of this thread is to know `flock` from now on.
#[cfg(test)]
pub(crate) fn set_locks(has_locks: bool) {
    HAS_LOCKS.set(has_locks);
}

#[cfg(test)]
pub(crate) fn has_locks() -> bool {
    HAS_LOCKS.get()
}

#[cfg(not(test))]
pub(crate) fn has_locks() -> bool {
    true
}

/// Whether the disk of this thread is to have no room for a new name from now on.
#[cfg(test)]
pub(crate) fn set_full(is_full: bool) {
    IS_FULL.set(is_full);
}

/// How much room the disk of this thread is to say that it has from now on; `None` for the truth.
#[cfg(test)]
pub(crate) fn set_free_bytes(free: Option<u64>) {
    FREE_BYTES.set(free);
}

#[cfg(test)]
pub(crate) fn free_bytes() -> Option<u64> {
    FREE_BYTES.get()
}

#[cfg(not(test))]
pub(crate) fn free_bytes() -> Option<u64> {
    None
}

/// The character that no new name may have from now on.
#[cfg(test)]
pub(crate) fn set_refused(character: Option<char>) {
    REFUSED.set(character);
}

/// Whether the disk takes a new name.
#[cfg(test)]
pub(crate) fn check_name(name: &std::ffi::OsStr) -> io::Result<()> {
    if IS_FULL.get() {
        return Err(rustix::io::Errno::NOSPC.into());
    }
    match REFUSED.get() {
        Some(character) if name.to_string_lossy().contains(character) => {
            Err(rustix::io::Errno::INVAL.into())
        }
        _ => Ok(()),
    }
}

#[cfg(not(test))]
pub(crate) fn check_name(_: &std::ffi::OsStr) -> io::Result<()> {
    Ok(())
}

/// Whether the disk of this thread is to know how two names are exchanged from now on.
#[cfg(test)]
pub(crate) fn set_exchange(has_exchange: bool) {
    HAS_EXCHANGE.set(has_exchange);
}

#[cfg(test)]
pub(crate) fn check_exchange() -> io::Result<()> {
    if HAS_EXCHANGE.get() {
        Ok(())
    } else {
        Err(rustix::io::Errno::INVAL.into())
    }
}

#[cfg(not(test))]
pub(crate) fn check_exchange() -> io::Result<()> {
    Ok(())
}
