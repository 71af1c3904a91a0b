// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The models of a server, fetched page by page.

use ureq::http::Method;

use crate::client::Client;
use crate::client::api::answers::not_skep;
use crate::client::api::json_answer::{ListBounds, listed};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Depth, ListRequest, Model, ModelName, NameFilter, NamePattern, Revision};
use crate::text::escaped;
use crate::wire::{ListWire, list_path};

impl Client {
    /// All models of the server.
    ///
    /// # Errors
    /// `NotImplemented` for a name or another value that cannot be used, `TooLarge` for more than 131,072
    /// models, and those of the connection and of the server.
    pub fn list(&mut self) -> Result<Vec<Model>> {
        self.models(NameFilter::default())
    }

    /// Those whose names a pattern stands for: `*` for any characters of a segment, `?` for one of them, `**`
    /// for any characters, and `**/` for any folders, also none.
    ///
    /// # Errors
    /// `BadRequest` for what is no pattern, and as [`Client::list`].
    pub fn list_matching(&mut self, pattern: &str) -> Result<Vec<Model>> {
        let pattern: NamePattern = pattern.parse()?;
        self.models(NameFilter {
            pattern: Some(pattern),
            ..NameFilter::default()
        })
    }

    /// Those in a folder, at any depth.
    ///
    /// # Errors
    /// As [`Client::list`].
    pub fn list_below(&mut self, folder: &ModelName) -> Result<Vec<Model>> {
        self.models(NameFilter {
            prefix: format!("{folder}/"),
            ..NameFilter::default()
        })
    }

    fn models(&mut self, filter: NameFilter) -> Result<Vec<Model>> {
        let models = self.list_all(filter)?.models.into_iter();
        models.map(Model::try_from).collect()
    }

    /// All pages of a list as they came, as one.
    pub(crate) fn list_all(&mut self, filter: NameFilter) -> Result<ListWire> {
        let mut bounds = ListBounds::default();
        let mut request = ListRequest {
            filter,
            limit: Some(PAGE_MODELS),
            revision: self.revision,
            ..ListRequest::default()
        };
        let mut all = self.page(&request, &mut bounds)?;

        while let Some(next) = all.next.take() {
            // A page that does not lead on would be fetched again and again.
            if next <= request.after {
                return Err(not_skep());
            }
            request.after = next;

            let page = self.page(&request, &mut bounds)?;
            all.models.extend(page.models);
            all.kept.extend(page.kept);
            if let Some(folders) = page.folders {
                all.folders.get_or_insert_default().extend(folders);
            }
            all.next = page.next;
        }

        if let Some(revision) = self.revision {
            check_revision(&request.filter, &all, revision)?;
        }
        Ok(all)
    }

    /// The beginning of a list: so many models at most.
    pub(crate) fn list_first(&mut self, filter: NameFilter, limit: usize) -> Result<ListWire> {
        let request = ListRequest {
            filter,
            limit: Some(limit),
            ..ListRequest::default()
        };
        self.page(&request, &mut ListBounds::default())
    }

    /// The model that has exactly this name, if there is one.
    ///
    /// # Errors
    /// As [`Client::list`].
    pub(crate) fn find(&mut self, name: &ModelName) -> Result<Option<Model>> {
        // No name that begins so comes before it.
        let filter = NameFilter {
            prefix: name.as_str().to_owned(),
            ..NameFilter::default()
        };
        let first = self.list_first(filter, 1)?.models.into_iter().next();
        let model = first.map(Model::try_from).transpose()?;
        Ok(model.filter(|model| model.name == *name))
    }

    /// Whether there is a folder that is called exactly so: with models in it, or with old versions of some.
    pub(crate) fn has_folder(&mut self, folder: &ModelName) -> Result<bool> {
        let filter = NameFilter {
            prefix: format!("{folder}/"),
            ..NameFilter::default()
        };
        let first = self.list_first(filter, 1)?;
        Ok(!first.models.is_empty() || !first.kept.is_empty())
    }

    fn page(&mut self, request: &ListRequest, bounds: &mut ListBounds) -> Result<ListWire> {
        let mut attempts = PAGE_ATTEMPTS;
        let page = loop {
            // What was not read to its end does not count.
            let mut left = bounds.clone();
            let mut response = self.ask(Method::GET, &list_path(request))?;
            attempts -= 1;

            match listed(&mut response, &mut left) {
                // The server ends a list of which it would have to tell one half of a commit.
                Err(error) if error.kind() == ErrorKind::Interrupted && attempts > 0 => {
                    log::debug!("the list is asked for again: {}", error.message());
                }
                page => {
                    *bounds = left;
                    break page?;
                }
            }
        };

        // What nobody asked for must not be removed or overwritten on the word of a server, or of a proxy that
        // loses the query.
        let filter = &request.filter;
        let is_asked_for = |name: &str| name.starts_with(&filter.prefix) && filter.is_matched(name);
        if let Some(other) = page.models.iter().find(|model| !is_asked_for(&model.name)) {
            let text = format!(
                "the server lists '{}', which was not asked for",
                escaped(&other.name)
            );
            return Err(Error::new(ErrorKind::NotImplemented, text)
                .hint("ask the server itself, and not a proxy that changes requests"));
        }
        Ok(page)
    }
}

/// Makes sure that a list of all of a folder is that of its revision: a server could say anything.
fn check_revision(filter: &NameFilter, list: &ListWire, revision: Revision) -> Result<()> {
    let is_whole = filter.pattern.is_none() && filter.depth == Depth::All;
    let Some(folder) = filter.prefix.strip_suffix('/').filter(|_| is_whole) else {
        return Ok(());
    };

    let models = list.models.iter().cloned().map(Model::try_from);
    let mut models = models.collect::<Result<Vec<_>>>()?;
    models.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    let members = models.iter().map(|model| {
        let path = model.name.as_str().strip_prefix(&filter.prefix)?;
        Some((path, model.digest?))
    });
    let members: Option<Vec<_>> = members.collect();
    if members.is_some_and(|members| Revision::of(members.into_iter()) == revision) {
        return Ok(());
    }

    let text = format!(
        "what the server lists of '{}/' is not its revision {revision}",
        escaped(folder)
    );
    Err(Error::new(ErrorKind::Integrity, text).hint("nothing was fetched"))
}

/// So many that a list of 100,000 models is some ten requests.
const PAGE_MODELS: usize = 8192;

/// How often a page is asked for that breaks off.
const PAGE_ATTEMPTS: u32 = 4;
