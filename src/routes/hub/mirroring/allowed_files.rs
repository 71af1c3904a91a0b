// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Files of which the upstream has said lately that they may be had.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::threads::lock;

/// The paths of these files, the newest last.
#[derive(Default)]
pub(super) struct AllowedFiles(Mutex<VecDeque<(String, Instant)>>);

impl AllowedFiles {
    pub(super) fn has(&self, path: &str) -> bool {
        let files = lock(&self.0);
        let is_it = |(known, asked): &(String, Instant)| known == path && asked.elapsed() < LATELY;
        files.iter().any(is_it)
    }

    pub(super) fn add(&self, path: &str) {
        let mut files = lock(&self.0);
        files.retain(|(known, asked)| known != path && asked.elapsed() < LATELY);
        if files.len() == FILES_MAX {
            files.pop_front();
        }
        files.push_back((path.to_owned(), Instant::now()));
    }
}

/// The time between the two requests with which clients fetch a file, and some more.
const LATELY: Duration = Duration::from_secs(60);

/// 200 KB of memory.
const FILES_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_are_remembered_and_the_oldest_are_not() {
        let files = AllowedFiles::default();
        for number in 0..=FILES_MAX {
            files.add(&number.to_string());
            files.add(&number.to_string());
        }
        assert!(!files.has("0") && files.has("1") && files.has(&FILES_MAX.to_string()));
        assert_eq!(lock(&files.0).len(), FILES_MAX);
    }
}
