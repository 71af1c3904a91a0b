// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Objects that go: those that got a name, and those that nobody asks for.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use crate::store::catalog::Catalog;
use crate::store::clearing::{ClearMode, ClearedKind};
use crate::store::objects::Objects;

impl Catalog {
    /// Removes objects; models that are the same files stay known.
    pub(crate) fn remove_objects(&self, digests: &BTreeSet<[u8; 32]>) {
        for digest in digests {
            let place = Objects::place(self.layout.hidden(), digest);
            let removed = place.and_then(|place| place.remove_unsynced());
            match removed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    log::warn!("bytes without a name cannot be removed: {error}");
                }
                _ => self.objects.forget(digest),
            }
        }
        self.learn_linked(digests);
    }

    /// Removes the objects to which commits have given names, as far as nothing needs them. Whoever calls this holds no
    /// name: other change sets are looked at, which are held by those who wait for names.
    pub(crate) fn remove_named_objects(&self) {
        let named = self.objects.take_named();
        if named.is_empty() {
            return;
        }
        let needed = self.changes.known_digests();
        let mut free = self.objects.left_alone(Duration::ZERO, &needed);
        free.retain(|digest| named.contains(digest));
        if !free.is_empty() {
            self.remove_objects(&free);
        }
    }

    /// Removes the objects that nobody needs, and has asked for in so long; returns what they take.
    pub(crate) fn clear_objects(
        &self,
        idle_min: Duration,
        mode: ClearMode,
        needed: &BTreeSet<[u8; 32]>,
    ) -> ClearedKind {
        let left = self.objects.left_alone(idle_min, needed);
        let cleared = self.objects.sizes_of(&left);
        if mode == ClearMode::Remove && !left.is_empty() {
            self.remove_objects(&left);
        }
        cleared
    }

    /// Removes the objects that nobody has asked for in the time for which unfinished uploads are kept.
    pub(super) fn clear_left_objects(&self) {
        let needed = self.changes.known_digests();
        let age_max = self.options.upload_age_max;
        self.clear_objects(age_max, ClearMode::Remove, &needed);
    }
}
