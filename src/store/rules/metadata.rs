// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Where a model comes from and under which licence, as its uploader said.
//!
//! `.skep/about/NAME` has one line for each content that was described: digest, time of the upload in
//! seconds, licence, source and uploader, the signature of the content in base64, the time of its file, and
//! keys with their values, as far as they are known, with tabs in between. It is written before the content is published, and a line counts only for the
//! bytes with its digest: whatever a power cut leaves under the name is described by its own line or by
//! none. Uploads that say nothing write nothing.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io;
use std::time::{Duration, UNIX_EPOCH};

use crate::clock;
use crate::digest::Digest;
use crate::disk::{self, FilePlace};
use crate::model::ModelName;
use crate::signature::Signature;
use crate::store::about::{About, Metadata};
use crate::store::catalog::Catalog;
use crate::store::claim::{BytesOrigin, Claim};
use crate::store::clearing::{ClearMode, ClearedKind};
use crate::store::hidden_folder::{ABOUT, KeptWays};

/// What is kept of one content.
#[derive(Clone, Debug, PartialEq)]
struct Description {
    digest: Digest,
    about: About,
    signature: Option<Signature>,
}

/// What is known of the content of a model with this digest.
pub(crate) fn find(catalog: &Catalog, name: &ModelName, digest: Option<Digest>) -> Option<About> {
    description(catalog, name, digest?).map(|found| found.about)
}

/// The signature of the content of a model with this digest, as far as it is known.
pub(crate) fn signature_of(
    catalog: &Catalog,
    name: &ModelName,
    digest: Option<Digest>,
) -> Option<Signature> {
    description(catalog, name, digest?)?.signature
}

fn description(catalog: &Catalog, name: &ModelName, digest: Digest) -> Option<Description> {
    let lines = lines(catalog, name).unwrap_or_else(|error| {
        log::warn!("the description of '{name}' cannot be read: {error}");
        Vec::new()
    });

    lines.into_iter().find(|line| line.digest == digest)
}

/// Keeps what is said of a content that is about to be published, and its signature. Lines of contents
/// that are neither standing nor kept as versions go.
pub(crate) fn keep(
    catalog: &Catalog,
    claim: &Claim<'_>,
    signature: Option<&Signature>,
    needed: &BTreeSet<[u8; 32]>,
) -> io::Result<()> {
    if says_nothing(claim, signature) {
        return Ok(());
    }
    let lines = lines_with(lines(catalog, claim.name)?, claim, signature, needed);
    write(catalog, claim.name, &lines)
}

/// Keeps what is said of many contents that are about to be published, one after the other; where nothing was said of
/// a model before, a power cut may take it away again.
pub(crate) struct UnsyncedWords<'a> {
    catalog: &'a Catalog,
    /// Once there is something to keep.
    ways: Option<KeptWays>,
}

impl<'a> UnsyncedWords<'a> {
    pub(crate) fn new(catalog: &'a Catalog) -> Self {
        Self {
            catalog,
            ways: None,
        }
    }

    /// As [`keep`].
    pub(crate) fn keep(
        &mut self,
        claim: &Claim<'_>,
        signature: Option<&Signature>,
        needed: impl FnOnce() -> BTreeSet<[u8; 32]>,
    ) -> io::Result<()> {
        if says_nothing(claim, signature) {
            return Ok(());
        }

        let ways = match &mut self.ways {
            Some(ways) => ways,
            None => {
                let made = self.catalog.layout.hidden().made_ways_unsynced(ABOUT)?;
                self.ways.insert(made)
            }
        };
        let place = FilePlace::new(&ways.to(claim.name)?, claim.name.file_name());
        let write_file = if place.exists() {
            // What replaces lines that were durable is durable.
            disk::write_at
        } else {
            disk::write_unsynced
        };

        let lines = lines_with(lines_at(&place)?, claim, signature, &needed());
        write_file(&place, text_of(&lines).as_bytes(), 0o600)
    }
}

fn says_nothing(claim: &Claim<'_>, signature: Option<&Signature>) -> bool {
    // What was kept of a version still holds.
    claim.origin == BytesOrigin::Version || (claim.metadata.is_empty() && signature.is_none())
}

/// Adds what is said of a content to what was said of others under its name.
fn lines_with(
    mut lines: Vec<Description>,
    claim: &Claim<'_>,
    signature: Option<&Signature>,
    needed: &BTreeSet<[u8; 32]>,
) -> Vec<Description> {
    let before = lines.iter().find(|line| line.digest == claim.digest);

    // What is said anew supersedes what was said of the same bytes before, each for itself.
    let about = match before {
        Some(before) if claim.metadata.is_only_of_time() => {
            let mut about = before.about.clone();
            about.metadata.modified = claim.metadata.modified.or(about.metadata.modified);
            about
        }
        _ => About {
            metadata: claim.metadata.clone(),
            uploaded: clock::now(),
        },
    };
    let of_before = before.and_then(|before| before.signature.clone());
    let description = Description {
        digest: claim.digest,
        about,
        signature: signature.cloned().or(of_before),
    };

    // The newest line comes first.
    lines.retain(|line| line.digest != claim.digest && needed.contains(line.digest.as_bytes()));
    lines.insert(0, description);
    lines
}

/// Keeps the signature of a content that is a model already.
pub(crate) fn keep_signature(
    catalog: &Catalog,
    name: &ModelName,
    digest: Digest,
    signature: &Signature,
) -> io::Result<()> {
    let mut lines = lines(catalog, name)?;

    match lines.iter_mut().find(|line| line.digest == digest) {
        Some(line) => line.signature = Some(signature.clone()),
        None => lines.insert(
            0,
            Description {
                digest,
                about: About {
                    metadata: Metadata::default(),
                    uploaded: clock::now(),
                },
                signature: Some(signature.clone()),
            },
        ),
    }

    write(catalog, name, &lines)
}

fn write(catalog: &Catalog, name: &ModelName, lines: &[Description]) -> io::Result<()> {
    let folder = catalog.layout.hidden().made_for(ABOUT, name)?;
    let place = FilePlace::new(&folder, name.file_name());
    disk::write_at(&place, text_of(lines).as_bytes(), 0o600)
}

fn text_of(lines: &[Description]) -> String {
    let mut text = String::new();

    // Fields are separated by tabs. The check of the texts refuses control characters, so no value
    // can contain one.
    for line in lines {
        let About { metadata, uploaded } = &line.about;
        let seconds = uploaded
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();

        let said = |text: &Option<String>| text.clone().unwrap_or_default();
        let (license, source) = (said(&metadata.license), said(&metadata.source));
        let uploader = said(&metadata.uploader);
        let digest = line.digest;

        // Writing to a String cannot fail.
        let _ = write!(text, "{digest}\t{seconds}\t{license}\t{source}\t{uploader}");
        text.push_str(&metadata.line_end(line.signature.as_ref()));
        text.push('\n');
    }
    text
}

/// Removes what is said of a model that is gone; it applies to no other bytes.
pub(crate) fn forget(catalog: &Catalog, name: &ModelName) {
    let removed = catalog
        .layout
        .about(name)
        .and_then(|place| place.map_or(Ok(()), |place| place.remove()));

    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            log::warn!("the description of '{name}' cannot be removed: {error}");
        }
        _ => catalog.layout.hidden().remove_empty_way(ABOUT, name),
    }
}

/// Goes through what is said of bytes that nothing needs; the names are locked.
///
/// # Errors
/// Those of the file system.
pub(crate) fn clear(
    catalog: &Catalog,
    name: &ModelName,
    mode: ClearMode,
    needed: &BTreeSet<[u8; 32]>,
    cleared: &mut ClearedKind,
) -> io::Result<()> {
    let Some(place) = catalog.layout.about(name)? else {
        return Ok(());
    };
    let size = match place.facts() {
        Ok(facts) if facts.is_file() => facts.size,
        _ => return Ok(()),
    };

    let all = lines(catalog, name)?;
    let left = all
        .iter()
        .filter(|line| needed.contains(line.digest.as_bytes()));
    let left: Vec<_> = left.cloned().collect();
    if left.is_empty() {
        cleared.add(size);
        if mode == ClearMode::Remove {
            forget(catalog, name);
        }
    } else if left.len() < all.len() {
        cleared.bytes += size.saturating_sub(text_of(&left).len() as u64);
        if mode == ClearMode::Remove {
            write(catalog, name, &left)?;
        }
    }
    Ok(())
}

fn lines(catalog: &Catalog, name: &ModelName) -> io::Result<Vec<Description>> {
    let Some(place) = catalog.layout.about(name)? else {
        return Ok(Vec::new());
    };
    lines_at(&place)
}

fn lines_at(place: &FilePlace) -> io::Result<Vec<Description>> {
    let bytes = match place.read(ABOUT_BYTES_MAX) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        read => read?,
    };

    let text = String::from_utf8_lossy(&bytes);
    Ok(text.lines().filter_map(parse_line).collect())
}

/// A line for each of thousands of versions.
const ABOUT_BYTES_MAX: u64 = 16 << 20;

fn parse_line(line: &str) -> Option<Description> {
    let mut words = line.split('\t');
    let digest = words.next()?.parse().ok()?;
    let uploaded = UNIX_EPOCH.checked_add(Duration::from_secs(words.next()?.parse().ok()?))?;
    let metadata = Metadata::new(words.next(), words.next(), words.next()).ok()?;
    // A signature that is damaged costs itself only.
    let signature = words
        .next()
        .and_then(|word| Signature::from_field(word).ok());
    let metadata = metadata.with_words(words).ok()?;

    Some(Description {
        digest,
        about: About { metadata, uploaded },
        signature,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_texts_are_kept() {
        let metadata = Metadata::new(Some(" MIT "), Some(""), None).unwrap();
        assert_eq!(
            (metadata.license.as_deref(), metadata.source),
            (Some("MIT"), None)
        );

        let tab = Metadata::new(Some("a\tb"), None, None).unwrap_err();
        assert_eq!(
            tab.message(),
            "the licence has a tab or another control character in it"
        );
        let long = Metadata::new(None, Some(&"x".repeat(1001)), None).unwrap_err();
        assert_eq!(long.message(), "the source is longer than 1000 bytes");
    }

    #[test]
    fn times_and_pairs_are_kept_in_a_line() {
        let digest = Digest::of(b"x");
        let read = |line: &str| parse_line(line).map(|read| read.about.metadata);
        let plain = Metadata::new(Some("MIT"), None, None).unwrap();
        let full = plain.clone().of_time(-7).unwrap();
        let full = full.with("lang", "a=b, \u{e9}").unwrap();
        let full = full.with("x.y-z_0", "1").unwrap();

        for metadata in [plain, full.clone(), Metadata::default().of_time(0).unwrap()] {
            let license = metadata.license.as_deref().unwrap_or_default();
            let line = format!("{digest}\t7\t{license}\t\t{}", metadata.line_end(None));
            assert_eq!(read(&line), Some(metadata), "{line}");
        }
        assert_eq!(full.pairs_bytes(), 19);

        for (key, value) in [
            ("", "x"),
            ("A", "x"),
            ("a b", "x"),
            ("a", " "),
            ("a", "x\ty"),
            ("lang", "y"),
        ] {
            assert!(full.clone().with(key, value).is_err(), "{key}={value}");
        }
        assert!(full.clone().with(&"k".repeat(65), "x").is_err());
        for seconds in [i64::MIN, -62_167_219_201, 253_402_300_800, i64::MAX] {
            assert!(full.clone().of_time(seconds).is_err(), "{seconds}");
        }
    }

    #[test]
    fn a_line_that_cannot_be_read_says_nothing() {
        let digest = Digest::of(b"x");
        let read = parse_line(&format!("{digest}\t7\tMIT\t\tme")).unwrap();
        assert_eq!(
            (read.digest, read.about.uploaded),
            (digest, UNIX_EPOCH + Duration::from_secs(7))
        );
        assert_eq!(read.about.metadata.uploader.as_deref(), Some("me"));
        let damaged = parse_line(&format!("{digest}\t7\tMIT\t\tme\tbeef"));
        assert_eq!(damaged, Some(read));
        for bad in ["", "x\t7\t\t\t", &format!("{digest}\tx\t\t\t")] {
            assert_eq!(parse_line(bad), None, "{bad}");
        }
    }
}
