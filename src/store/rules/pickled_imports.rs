// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Whether a pickle imports more than what makes tensors, for stores that refuse those: whoever loads one
//! runs what it says.

use crate::error::{Error, ErrorKind, Result};
use crate::formats::{self, ForeignImports};
use crate::model::ModelName;
use crate::store::catalog::Catalog;
use crate::store::claim::{Claim, NewBytes};
use crate::store::failure::unreadable;
use crate::store::stored::FileBytes;

impl Catalog {
    /// Whether the store looks into what gets such a name.
    pub(crate) fn minds_imports(&self, name: &ModelName) -> bool {
        self.options.refuse_unsafe_pickles && formats::is_pickle(name)
    }

    /// Whether the bytes of a claim import nothing that could do harm, if the store asks for that.
    ///
    /// # Errors
    /// `UnsupportedType` if they do, or if nobody can tell; those of the file system.
    pub(crate) fn check_imports(&self, claim: &Claim<'_>, bytes: &mut impl NewBytes) -> Result<()> {
        if !self.minds_imports(claim.name) {
            return Ok(());
        }
        let imports = bytes.content().and_then(|file| {
            let size = file.metadata()?.len();
            formats::imports_of(&mut FileBytes::new(file, size))
        });
        let imports = imports.map_err(|error| unreadable(claim.name, error))?;
        if imports.is_harmless() {
            return Ok(());
        }
        Err(refused(claim.name, &imports))
    }
}

fn refused(name: &ModelName, imports: &ForeignImports) -> Error {
    let text = match (imports.names.first(), imports.obscured) {
        (Some(first), _) => format!(
            "'{name}' is a pickle that imports {}, so that whoever loads it may run any program",
            crate::text::quotable(first)
        ),
        (None, reason) => format!(
            "nobody can tell what the pickle '{name}' imports: {}",
            reason.unwrap_or_default()
        ),
    };
    Error::new(ErrorKind::UnsupportedType, text)
        .hint("send it as safetensors, or with weights only (setting refuse-unsafe-pickles)")
}
