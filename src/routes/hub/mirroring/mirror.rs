// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the mirror is made of.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use wildmatch::WildMatch;

use crate::client::{Upstream, UpstreamOptions};
use crate::error::{Error, Result};
use crate::routes::hub::mirroring::fetches::Fetches;
use crate::routes::hub::mirroring::mirror_files::MirrorFiles;
use crate::routes::hub::mirroring::mirror_options::{MirrorOptions, PUBLIC_AUTHORITIES};
use crate::routes::hub::mirroring::upstream_answers::UpstreamAnswers;
use crate::routes::hub::mirroring::upstream_trees::UpstreamTrees;
use crate::stop::Stop;
use crate::store::Store;

/// Another hub, and what was fetched of it.
pub(crate) struct Mirror {
    pub(super) fetches: Arc<Fetches>,
    pub(super) answers: UpstreamAnswers,
    pub(super) trees: UpstreamTrees,
    pub(super) files: Arc<MirrorFiles>,
    pub(super) repositories: Vec<WildMatch>,
    pub(super) followers: Arc<AtomicUsize>,
}

impl Mirror {
    /// The mirror that the settings ask for; `None` for none.
    ///
    /// # Errors
    /// `Usage` for settings that cannot be used; those of the file system.
    pub(crate) fn open(
        options: &MirrorOptions,
        store: &Store,
        stop: &Stop,
    ) -> Result<Option<Self>> {
        if options.upstream.is_empty() {
            return Ok(None);
        }

        let token = options.token_file.as_ref().map(|file| {
            let text = std::fs::read_to_string(file);
            let text = text.map_err(|error| {
                Error::local(format!("reading the token in {}", file.display()), error)
            })?;
            Ok::<_, Error>(text.trim().to_owned())
        });
        let upstream = Upstream::open(
            UpstreamOptions {
                address: options.upstream.clone(),
                token: token.transpose()?,
                authorities: match &options.authority {
                    Some(file) => vec![file.clone()],
                    None => PUBLIC_AUTHORITIES.iter().map(PathBuf::from).collect(),
                },
            },
            stop.clone(),
        )?;
        log::info!(
            "repositories that are not here come from {}",
            upstream.shown()
        );

        let fetches = Fetches::new(upstream, store.clone(), stop.clone(), options.fetches_max);
        let fetches = Arc::new(fetches);
        let patterns = options.repositories.iter();
        Ok(Some(Self {
            answers: UpstreamAnswers::new(Arc::clone(&fetches), options.fresh),
            fetches,
            trees: UpstreamTrees::default(),
            files: Arc::new(MirrorFiles::open(store, options)?),
            repositories: patterns.map(|pattern| WildMatch::new(pattern)).collect(),
            followers: Arc::default(),
        }))
    }
}
