// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The only place that starts threads: each has a name of at most 15 characters and a small stack,
//! and a panic in one is logged with that name.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle, current};

/// Enough for a TLS handshake and a directory walk in a debug build. It is address space, not memory:
/// a page counts only once it is touched.
pub(crate) const STACK_BYTES: usize = 512 * 1024;

/// Starts a named thread.
///
/// # Errors
/// If the system has no thread to give; the work is then not done.
pub(crate) fn spawn(
    name: &str,
    work: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    Builder::new()
        .name(name.to_owned())
        .stack_size(STACK_BYTES)
        .spawn(move || guarded(work))
}

/// Does work in threads of this name, and meanwhile `here` in this one; returns when all have ended. Work for
/// which the system has no thread is dropped, as long as there is a thread for the first.
///
/// # Errors
/// If there is none for the first; then nothing of the work is done.
pub(crate) fn side_by_side<'env>(
    name: &str,
    works: Vec<Box<dyn FnOnce() + Send + 'env>>,
    here: &mut dyn FnMut(),
) -> io::Result<()> {
    std::thread::scope(|scope| {
        for (number, work) in works.into_iter().enumerate() {
            let builder = Builder::new().name(name.to_owned()).stack_size(STACK_BYTES);
            match builder.spawn_scoped(scope, move || guarded(work)) {
                Err(error) if number == 0 => return Err(error),
                Err(error) => {
                    log::debug!("there are {number} threads instead of more: {error}");
                    break;
                }
                Ok(_) => {}
            }
        }
        here();
        Ok(())
    })
}

fn guarded(work: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
        log::error!("thread {} panicked: {}", thread_name(), panic_text(&*panic));
    }
}

/// The name of the calling thread.
pub(crate) fn thread_name() -> String {
    current().name().unwrap_or("unnamed").to_owned()
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// Locks a mutex whose data is valid at every moment, so a panic elsewhere does not spread.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
