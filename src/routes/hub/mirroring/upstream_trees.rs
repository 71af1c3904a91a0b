// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The files of commits of the upstream, from its trees.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use serde::Deserialize;

use crate::error::{Error, ErrorKind, Result};
use crate::routes::hub::mirroring::fetch::Announced;
use crate::routes::hub::mirroring::upstream_answers::{
    HubQuestion, UpstreamAnswers, UpstreamRefusal,
};
use crate::threads::lock;

/// The files of a commit, by their paths.
pub(super) type Tree = BTreeMap<String, Announced>;

/// Those of the commits that were asked for last.
#[derive(Default)]
pub(super) struct UpstreamTrees {
    last: Mutex<VecDeque<(String, Arc<Tree>)>>,
    /// Ten callers that want the same commit ask once.
    asking: Mutex<()>,
}

#[derive(Deserialize)]
struct TreeEntryWire {
    #[serde(rename = "type")]
    kind: String,
    path: String,
    #[serde(default)]
    oid: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    lfs: Option<TreeLfsWire>,
}

#[derive(Deserialize)]
struct TreeLfsWire {
    oid: String,
    size: u64,
}

impl UpstreamTrees {
    /// The files of the commit whose tree is at `path`, which is below the root of the hub.
    ///
    /// # Errors
    /// As [`UpstreamAnswers::of`]; `TooLarge` for more files than are looked through.
    pub(super) fn of(
        &self,
        answers: &UpstreamAnswers,
        path: &str,
    ) -> Result<std::result::Result<Arc<Tree>, UpstreamRefusal>> {
        let known = || {
            let last = lock(&self.last);
            let known = last.iter().find(|(known, _)| known == path);
            known.map(|(_, tree)| Arc::clone(tree))
        };
        if let Some(tree) = known() {
            return Ok(Ok(tree));
        }
        let _turn = lock(&self.asking);
        if let Some(tree) = known() {
            return Ok(Ok(tree));
        }

        let (mut tree, mut next) = (
            Tree::new(),
            Some(format!("{path}?recursive=true&expand=false")),
        );
        for _ in 0..PAGES_MAX {
            let Some(page) = next.take() else { break };
            let question = HubQuestion {
                path: page,
                content: None,
                is_fixed: true,
            };
            let told = match answers.of(&question)? {
                Ok(told) => told,
                Err(refusal) => return Ok(Err(refusal)),
            };
            next = told.next;
            let entries: Vec<TreeEntryWire> =
                serde_json::from_value(told.told).map_err(|error| {
                    let text = "the upstream lists files in a form that cannot be read";
                    Error::new(ErrorKind::Busy, text).because(error)
                })?;
            let files = entries.into_iter().filter(|entry| entry.kind == "file");
            tree.extend(files.map(|entry| {
                let announced = match entry.lfs {
                    Some(lfs) => Announced {
                        tag: lfs.oid,
                        size: lfs.size,
                    },
                    None => Announced {
                        tag: entry.oid,
                        size: entry.size,
                    },
                };
                (entry.path, announced)
            }));
        }
        if next.is_some() {
            let text = "the repository has more files than the mirror looks through";
            return Err(Error::new(ErrorKind::TooLarge, text));
        }

        let tree = Arc::new(tree);
        let mut last = lock(&self.last);
        last.truncate(TREES_MAX - 1);
        last.push_front((path.to_owned(), Arc::clone(&tree)));
        Ok(Ok(tree))
    }
}

/// Of a thousand files each.
const PAGES_MAX: u32 = 100;

/// Trees in memory.
const TREES_MAX: usize = 4;
