// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a store takes in: accepted names, licences, the quota, the reserve of the disk, and whether a
//! name that is taken may be taken again.
//!
//! All of it is asked before the bytes travel, as far as it is known then, and again when a model is
//! published, so that it holds for every API.

use std::io;

use wildmatch::WildMatch;

use crate::error::{Error, ErrorKind, Result};
use crate::model::{ModelName, charge};
use crate::store::about::Metadata;
use crate::store::catalog::{Catalog, Stamp, Standing};
use crate::store::claim::Condition;
use crate::store::failure::unstored;
use crate::store::options::Replace;
use crate::store::rules::FolderBlocks;
use crate::store::store_handle::Store;
use crate::store::versions;
use crate::text::counted;

impl Store {
    /// Whether an upload would be taken, to refuse it before its bytes travel: its name, its size if
    /// that is known, its licence. What [`Store::check`] asks is not asked here.
    ///
    /// # Errors
    /// `UnsupportedType` for a name that is not accepted, `BadRequest` where a licence is needed,
    /// `NoSpace` for what fits neither the quota nor the disk; otherwise those of the file system.
    pub fn admit(&self, name: &ModelName, size: Option<u64>, metadata: &Metadata) -> Result<()> {
        let catalog = self.catalog();
        catalog.check_kind(name, metadata)?;
        catalog.check_changeable()?;
        catalog.layout.check_name(name).map_err(unstored)?;
        catalog.check_number(name)?;
        let described = (!metadata.is_empty()).then_some(name);
        catalog.check_total(name, size.unwrap_or_default(), described)?;
        catalog.check_space(size.unwrap_or_default())
    }

    /// Whether an upload that has so many bytes already may go on: the reserve of the disk is left,
    /// and it is not larger than all models may be.
    pub(crate) fn check_growth(&self, written: u64, size: Option<u64>) -> Result<()> {
        let catalog = self.catalog();
        let max = catalog.options.total_bytes_max;
        if max > 0 && written > max {
            let text = format!(
                "the upload exceeds the quota of {} for all models",
                counted(max, "byte")
            );
            return Err(Error::new(ErrorKind::NoSpace, text).hint("raise max-total-bytes"));
        }
        let left = size.map_or(0, |size| size.saturating_sub(written));
        catalog.check_space(left)
    }
}

impl Catalog {
    /// Whether old versions have given way to the next bytes on a disk that is full, so that they can be
    /// written once more.
    pub(crate) fn made_room(&self, error: &io::Error) -> bool {
        ErrorKind::from_io(error) == ErrorKind::NoSpace && versions::free(self, NEXT_BYTES) > 0
    }

    /// Says where the disk is too full already.
    pub(crate) fn begin_bounds(&self) {
        if !self.layout.is_read_only()
            && let Ok(Some(lack)) = self.lack(0)
            && !versions::could_free(self, lack.bytes)
        {
            let error = self.no_space(0, lack);
            log::warn!("uploads are refused: {error}");
        }
    }

    /// Whether the name is one of those accepted, and the licence is named if it has to be.
    pub(crate) fn check_kind(&self, name: &ModelName, metadata: &Metadata) -> Result<()> {
        let accept = &self.options.accept;

        if !accept.is_empty() && !accept.iter().any(|pattern| accepts(pattern, name)) {
            let text = format!("this server does not accept the name '{name}'");
            let hint = format!("it accepts {} (setting accept)", accept.join(", "));
            return Err(Error::new(ErrorKind::UnsupportedType, text).hint(hint));
        }

        // Quotation marks alone name none.
        let license = metadata.license.as_deref().unwrap_or_default();
        if self.options.require_license && !license.contains(char::is_alphanumeric) {
            let text = "this server accepts no model without a licence";
            return Err(Error::new(ErrorKind::BadRequest, text).hint(
                "state it with 'skep put --license LICENCE'; in HTTP: the field Skep-License",
            ));
        }

        let (max, bytes_max) = (self.options.meta_max, self.options.meta_bytes_max);
        if metadata.pairs.len() > max || metadata.pairs_bytes() > bytes_max {
            let text = format!(
                "a model may have at most {max} keys with values, of {} together",
                counted(bytes_max as u64, "byte")
            );
            return Err(Error::new(ErrorKind::BadRequest, text)
                .hint("say less with --meta, or raise max-meta and max-meta-bytes"));
        }

        Ok(())
    }

    /// Whether one more name may be taken, if this one is free; returns how many removed models may have
    /// versions then. What replaces a model is no further one.
    pub(crate) fn check_number(&self, name: &ModelName) -> Result<u64> {
        let max = self.options.models_max;
        if max == 0 {
            return Ok(u64::MAX);
        }

        // Folders and links with such names are no models, but most entries are: the kinds are asked
        // for only where the names alone are too many.
        let added = usize::from(!matches!(self.standing(name)?, Standing::Model(_)));
        let names = self.layout.names().map_err(unstored)?;
        let mut after = names.take(max).count() + added;
        if after > max && added > 0 {
            after = self.layout.models().map_err(unstored)?.len() + added;
        }
        if after <= max || added == 0 {
            return Ok(max.saturating_sub(after) as u64);
        }

        let text = format!("this server keeps at most {}", counted(max as u64, "model"));
        Err(full(text, "max-models"))
    }

    /// Whether the quota has room for a model of this size under this name, and for what is `described` of
    /// it; returns what old versions may take beside it. What it replaces makes room, and so do versions.
    pub(crate) fn check_total(
        &self,
        name: &ModelName,
        size: u64,
        described: Option<&ModelName>,
    ) -> Result<u64> {
        let max = self.options.total_bytes_max;
        if max == 0 {
            return Ok(u64::MAX);
        }

        let mut others = self.objects.pinned_bytes();
        let mut folders = FolderBlocks::beside(&self.layout);
        for (other, stamp) in self.layout.models().map_err(unstored)? {
            folders.add_model(&other);
            if other != *name {
                others = others.saturating_add(charge(stamp.size));
            }
        }

        let beside = folders.bytes();
        folders.add_model(name);
        if let Some(name) = described {
            folders.add_description(name);
        }

        let used = others.saturating_add(beside);
        let size = charge(size).saturating_add(folders.bytes() - beside);
        let after = used.saturating_add(size);
        if after <= max {
            folders.add_version(name);
            return Ok((max - after).saturating_sub(folders.version_bytes()));
        }

        let text = format!(
            "the quota of {} is full: {used} of them are used, of these {beside} by folders and \
             descriptions, and {size} more do not fit",
            counted(max, "byte")
        );
        Err(full(text, "max-total-bytes"))
    }

    /// Whether the disk has room for so many more bytes beside its reserve. Old versions give way: at once to
    /// the next of these bytes, and to the rest as they come.
    pub(crate) fn check_space(&self, size: u64) -> Result<()> {
        let Some(lack) = self.lack(size)? else {
            return Ok(());
        };
        // Whoever announces more than there can be has nothing removed.
        if !versions::could_free(self, lack.bytes) {
            return Err(self.no_space(size, lack));
        }

        match self.lack(size.min(NEXT_BYTES))? {
            Some(next) if versions::free(self, next.bytes) < next.bytes => {
                Err(self.no_space(size, lack))
            }
            _ => Ok(()),
        }
    }

    /// What the disk lacks for so many more bytes beside its reserve.
    fn lack(&self, size: u64) -> Result<Option<SpaceLack>> {
        let needed = size.saturating_add(self.options.reserve_bytes);
        let free = self.layout.folder().free_bytes().map_err(unstored)?;

        // Where the file system does not say how much is free, only the write itself can tell.
        let free = free.filter(|free| needed > *free);
        Ok(free.map(|free| SpaceLack {
            bytes: needed - free,
            free,
        }))
    }

    fn no_space(&self, size: u64, lack: SpaceLack) -> Error {
        let reserve = self.options.reserve_bytes;
        let mut text = "no space left".to_owned();
        if size > 0 {
            text += &format!(" for {}", counted(size, "byte"));
        }
        text += &format!(": {} are free", counted(lack.free, "byte"));
        if reserve > 0 {
            text += &format!(", of which {reserve} are reserved");
        }

        Error::new(ErrorKind::NoSpace, text)
            .hint("remove a model that is not needed any more, or lower reserve-bytes")
    }

    /// Whether the setting `replace` allows an upload to take a name that is taken.
    pub(crate) fn check_replace(
        &self,
        name: &ModelName,
        condition: &Condition,
        current: Option<Stamp>,
    ) -> Result<()> {
        // A caller that names a condition knows what it replaces; only an upload without one is
        // refused.
        match (self.options.replace, condition, current) {
            (Replace::Refuse, Condition::Any, Some(_)) => {
                let text = format!(
                    "the model '{name}' exists already, and this server does not replace models"
                );
                let hint = "remove it first, or say what is replaced: 'skep put --if-match DIGEST'; in \
                            HTTP: the field If-Match with its entity tag (or *)";
                Err(Error::new(ErrorKind::Conflict, text).hint(hint))
            }
            _ => Ok(()),
        }
    }
}

/// What the disk lacks, and what is free.
#[derive(Clone, Copy)]
struct SpaceLack {
    bytes: u64,
    free: u64,
}

/// What is answered where a bound of the store is reached. Old versions have given way by then.
fn full(text: String, setting: &str) -> Error {
    Error::new(ErrorKind::NoSpace, text).hint(format!(
        "remove models that are not needed any more ('skep rm'), or raise {setting}"
    ))
}

/// For how many bytes room is made at once: more than come before the next look at the disk.
const NEXT_BYTES: u64 = 16 << 20;

/// Whether a name fits a pattern, in which `*` is any text, `?` any one character, and ASCII letters
/// of both cases are the same. It takes at most the product of both lengths in steps.
/// A pattern with a separator is one of whole names, another one of the names of files.
fn accepts(pattern: &str, name: &ModelName) -> bool {
    let whole = pattern.contains('/');
    matches(
        pattern,
        if whole {
            name.as_str()
        } else {
            name.file_name()
        },
    )
}

fn matches(pattern: &str, name: &str) -> bool {
    // The matcher's own folding of cases is that of Unicode, in which a Kelvin sign is a k.
    WildMatch::new(&pattern.to_ascii_lowercase()).matches(&name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks_stand_for_text() {
        for (pattern, name) in [
            ("*", "x"),
            ("*.onnx", "a.onnx"),
            ("*.onnx", "A.ONNX"),
            ("m?d*l.*", "m\u{f6}dell.dm"),
            ("a*b*c", "aXbXbXc"),
            ("exact", "exact"),
            ("**", "x"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("*.onnx", "a.onnx.exe"),
            ("*.onnx", "onnx"),
            ("?", "ab"),
            ("a*b*c", "aXcXb"),
            ("", "x"),
            ("exact", "exac"),
            ("k", "\u{212a}"),
            ("\u{f6}", "\u{d6}"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
        assert!(!matches(&"*a".repeat(60), &"a".repeat(59)));
        // Steps that doubled with each star would not end before the suite does.
        assert!(!matches(&"*a".repeat(2000), &"a".repeat(1999)));
    }
}
