// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What is kept beside models goes with them when they get another name: what is said of them, their old
//! versions, and old revisions of their folders.
//!
//! Where nothing is kept under the new name, one rename moves all of it. Something can be left there of a
//! model that was removed; then old versions and revisions get the next numbers, and lines are put
//! together. Each step is durable and is done once, however often it is begun.

use std::collections::BTreeSet;
use std::io;

use crate::disk::{self, FileKind, FilePlace, Folder};
use crate::model::ModelName;
use crate::store::hidden_folder::{ABOUT, HIDDEN, HiddenFolder, REFERENCES, REVISIONS, VERSIONS};

/// Has what is kept of a model go with it.
///
/// # Errors
/// Those of the file system; the rest stays under the old name.
pub(crate) fn follow_model(
    hidden: &HiddenFolder,
    from: &ModelName,
    to: &ModelName,
) -> io::Result<()> {
    for room in [ABOUT, VERSIONS] {
        follow_entry(hidden, room, from, to)?;
    }
    Ok(())
}

/// Has what is kept of all models and folders in a folder, and of itself, go with it.
///
/// # Errors
/// As [`follow_model`].
pub(crate) fn follow_folder(
    hidden: &HiddenFolder,
    from: &ModelName,
    to: &ModelName,
) -> io::Result<()> {
    follow_entry(hidden, REVISIONS, from, to)?;
    follow_entry(hidden, REFERENCES, from, to)?;

    for room in [ABOUT, VERSIONS, REVISIONS, REFERENCES] {
        let Some(above) = hidden.existing_for(room, from)? else {
            continue;
        };
        let source = match above.enter(HIDDEN) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entered => entered?,
        };
        if FilePlace::new(&source, from.file_name()).exists() {
            let target = hidden.made_for(room, to)?.make(HIDDEN)?;
            bring(&source, from.file_name(), &target, to.file_name())?;
            let _ = above.remove_empty(HIDDEN);
            hidden.remove_empty_way(room, from);
        }
    }
    Ok(())
}

/// The entry of a name in one of the hidden folders.
fn follow_entry(
    hidden: &HiddenFolder,
    room: &str,
    from: &ModelName,
    to: &ModelName,
) -> io::Result<()> {
    let Some(source) = hidden.existing_for(room, from)? else {
        return Ok(());
    };
    if FilePlace::new(&source, from.file_name()).exists() {
        let target = hidden.made_for(room, to)?;
        bring(&source, from.file_name(), &target, to.file_name())?;
        hidden.remove_empty_way(room, from);
    }
    Ok(())
}

/// Gives an entry of one folder a name in another one. What is there already stays, and both are put
/// together.
fn bring(from: &Folder, name: &str, to: &Folder, new_name: &str) -> io::Result<()> {
    let (source, target) = (FilePlace::new(from, name), FilePlace::new(to, new_name));
    let there = match target.facts() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            source.rename_to(&target)?;
            to.sync()?;
            return from.sync();
        }
        there => there?,
    };

    match (source.facts()?.kind, there.kind) {
        (FileKind::Folder, FileKind::Folder) => {
            bring_all(&from.enter(name)?, &to.enter(new_name)?)?;
            // Whatever this room does not know stays.
            let _ = from.remove_empty(name);
            from.sync()
        }
        (FileKind::File, FileKind::File) => {
            put_together(&source, &target)?;
            source.remove()
        }
        // Something of somebody else.
        _ => Ok(()),
    }
}

/// The same for all entries of a folder.
fn bring_all(from: &Folder, to: &Folder) -> io::Result<()> {
    let numbers = |folder: &Folder| -> io::Result<Vec<(u64, String)>> {
        let mut numbers = Vec::new();
        for name in names(folder)? {
            let is_file = FilePlace::new(folder, &name).facts()?.is_file();
            let number = name
                .split_once('.')
                .and_then(|(number, _)| number.parse().ok());
            numbers.extend(number.filter(|_| is_file).map(|number| (number, name)));
        }
        numbers.sort_unstable();
        Ok(numbers)
    };

    // Whatever has a number is older than all that follows it, and what comes is newer than what is there.
    let numbered = numbers(from)?;
    let mut last = numbers(to)?.last().map_or(0, |(number, _)| *number);
    for (_, name) in &numbered {
        let (_, rest) = name.split_once('.').unwrap_or_default();
        last += 1;
        FilePlace::new(from, name).rename_to(&FilePlace::new(to, format!("{last}.{rest}")))?;
    }
    if !numbered.is_empty() {
        to.sync()?;
    }

    let moved: BTreeSet<_> = numbered.into_iter().map(|(_, name)| name).collect();
    for name in names(from)?.iter().filter(|name| !moved.contains(*name)) {
        bring(from, name, to, name)?;
    }
    Ok(())
}

/// The lines of both files; of two that begin with the same word, the one that comes.
fn put_together(source: &FilePlace, target: &FilePlace) -> io::Result<()> {
    let mut lines = source.read(LINES_BYTES_MAX)?;
    let first_word = |line: &[u8]| {
        let end = line.iter().position(|byte| *byte == b'\t');
        line[..end.unwrap_or(line.len())].to_vec()
    };
    let known: BTreeSet<_> = lines.split(|byte| *byte == b'\n').map(first_word).collect();

    let there = target.read(LINES_BYTES_MAX)?;
    for line in there.split_inclusive(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        if !known.contains(&first_word(line)) {
            lines.extend_from_slice(line);
            lines.push(b'\n');
        }
    }
    disk::write_at(target, &lines, 0o600)
}

fn names(folder: &Folder) -> io::Result<Vec<String>> {
    let names = folder
        .entries()?
        .map(|entry| Ok(entry?.name.into_string().ok()));
    names.filter_map(io::Result::transpose).collect()
}

/// What is said of one model.
const LINES_BYTES_MAX: u64 = 16 << 20;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn versions_that_come_get_the_next_numbers_and_none_is_lost() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        for (folder, files) in [("from", ["1.x", "2.x"]), ("to", ["1.x", "4.y"])] {
            fs::create_dir(path(folder)).unwrap();
            for file in files {
                fs::write(path(folder).join(file), format!("{folder} {file}")).unwrap();
            }
        }

        let open = |name: &str| Folder::open(&path(name)).unwrap();
        bring_all(&open("from"), &open("to")).unwrap();
        for (file, text) in [
            ("1.x", "to 1.x"),
            ("4.y", "to 4.y"),
            ("5.x", "from 1.x"),
            ("6.x", "from 2.x"),
        ] {
            assert_eq!(fs::read_to_string(path("to").join(file)).unwrap(), text);
        }
        assert_eq!(names(&open("from")).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn of_two_lines_about_the_same_bytes_the_one_that_comes_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::open(directory.path()).unwrap();
        let place = |name: &str, text: &str| {
            fs::write(directory.path().join(name), text).unwrap();
            FilePlace::new(&folder, name)
        };

        let source = place("source", "a\tnew\nb\tnew\n");
        let target = place("target", "b\told\nc\told\nab\told\n");
        put_together(&source, &target).unwrap();
        let text = fs::read_to_string(directory.path().join("target")).unwrap();
        assert_eq!(text, "a\tnew\nb\tnew\nc\told\nab\told\n");
    }
}
