// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A file `.ready` with its revision in each folder of models, for programs that look into the directory by
//! themselves: whoever finds the same text before and after reading the folder has read one revision.
//!
//! Invariants: the file of each folder around a change is gone, durably, before anybody can see the first byte
//! of the change ([`unready::Unready`]); it comes back after the change, and only with the names locked and no newer
//! change begun. What is in it was computed from digests that are known; while one is not, there is no file.
//! One thread writes the files, a moment after the last change, so that a burst of changes costs one look at
//! the folder, and none of it is in the way of an answer.
//!
//! Hands are seen when a listing or a request comes across what they did; the file is right again after that.

mod ready_place;
mod ready_queue;
mod ready_writer;
#[cfg(test)]
mod tests;
mod unready;

pub(crate) use ready_place::{is_ready_file, remove_vacant};
pub(crate) use ready_queue::ReadyQueue;
pub(crate) use ready_writer::{begin, run};
