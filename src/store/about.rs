// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Where a model comes from and under which licence, as its uploader said.

use std::time::SystemTime;

use crate::error::{Error, ErrorKind, Result};
use crate::text::is_harmful;

/// What an uploader says of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metadata {
    /// The licence, for example `Apache-2.0`.
    pub license: Option<String>,
    /// Where it comes from, for example a URL.
    pub source: Option<String>,
    /// Who sent it.
    pub uploader: Option<String>,
}

/// What is known of where a model comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// What its uploader said.
    pub metadata: Metadata,
    /// When it was uploaded.
    pub uploaded: SystemTime,
}

impl Metadata {
    /// Checks what was said; blank texts count as nothing.
    ///
    /// # Errors
    /// `BadRequest` for texts of more than 1000 bytes, or with control or invisible characters.
    pub fn new(
        license: Option<&str>,
        source: Option<&str>,
        uploader: Option<&str>,
    ) -> Result<Self> {
        Ok(Self {
            license: text("licence", license)?,
            source: text("source", source)?,
            uploader: text("uploader", uploader)?,
        })
    }

    /// The bytes of all that is said.
    pub(crate) fn bytes(&self) -> usize {
        let said = [&self.license, &self.source, &self.uploader];
        said.into_iter().flatten().map(String::len).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

pub(crate) fn text(what: &str, given: Option<&str>) -> Result<Option<String>> {
    let Some(given) = given.map(str::trim).filter(|given| !given.is_empty()) else {
        return Ok(None);
    };

    let reason = if given.len() > TEXT_BYTES_MAX {
        "is longer than 1000 bytes"
    } else if given.contains(char::is_control) {
        "has a tab or another control character in it"
    } else if given.contains(is_harmful) {
        "has an invisible character in it"
    } else {
        return Ok(Some(given.to_owned()));
    };

    let text = format!("the {what} {reason}");
    Err(Error::new(ErrorKind::BadRequest, text).hint("give a short name or a URL"))
}

pub(crate) const TEXT_BYTES_MAX: usize = 1000;
