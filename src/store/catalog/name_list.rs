// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The sorted names of all models, once in memory however many listings read it.

use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use crate::model::ModelName;
use crate::store::catalog::layout::Layout;
use crate::threads::lock;

/// What listings share. It is in memory only while somebody reads a list.
#[derive(Default)]
pub(crate) struct NameList(Mutex<NameListState>);

#[derive(Default)]
struct NameListState {
    listings: usize,
    /// Names and their ends, in one piece each: a small allocation for each name would cost more than
    /// the name.
    names: Arc<SortedNames>,
}

#[derive(Default)]
struct SortedNames {
    text: String,
    /// Where in the text the names are, in their order.
    places: Vec<Range<u32>>,
}

impl NameList {
    /// Reads the directory again for a listing that begins, so that it has every name that was there
    /// before it. One listing at a time does so; those that are under way go on with the newer list.
    pub(crate) fn begin(&self, layout: &Layout) -> io::Result<()> {
        let mut state = lock(&self.0);

        // The old list goes first where nobody reads it, and so two of them are never kept.
        if state.listings == 0 {
            state.names = Arc::default();
        }
        state.names = Arc::new(SortedNames::read(layout)?);
        state.listings += 1;
        Ok(())
    }

    /// A listing is over; the last one takes the list with it.
    pub(crate) fn end(&self) {
        let mut state = lock(&self.0);
        state.listings = state.listings.saturating_sub(1);
        if state.listings == 0 {
            state.names = Arc::default();
        }
    }

    /// At most `most` names that come after another one, or the first ones.
    pub(crate) fn after(&self, last: Option<&ModelName>, most: usize) -> Vec<ModelName> {
        let names = Arc::clone(&lock(&self.0).names);
        names.after(last.map(ModelName::as_str), most)
    }
}

impl SortedNames {
    fn read(layout: &Layout) -> io::Result<Self> {
        let mut names = Self::default();
        for name in layout.names()? {
            let start = names.text.len();
            names.text.push_str(name?.as_str());

            // A directory with 4 GiB of names is none that a device of this size can list.
            let offset = |place| u32::try_from(place).map_err(|_| io::ErrorKind::OutOfMemory);
            names.places.push(offset(start)?..offset(names.text.len())?);
        }

        let text = &names.text;
        names
            .places
            .sort_unstable_by(|one, other| at(text, one).cmp(at(text, other)));
        names.text.shrink_to_fit();
        names.places.shrink_to_fit();
        Ok(names)
    }

    fn after(&self, last: Option<&str>, most: usize) -> Vec<ModelName> {
        let start = last.map_or(0, |last| {
            self.places
                .partition_point(|place| at(&self.text, place) <= last)
        });
        let next = self.places[start..].iter().take(most);
        next.filter_map(|place| at(&self.text, place).parse().ok())
            .collect()
    }
}

fn at<'a>(text: &'a str, place: &Range<u32>) -> &'a str {
    &text[place.start as usize..place.end as usize]
}
