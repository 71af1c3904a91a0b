// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A disk that can lose its power after any call: what was fsynced is kept, the rest may be lost.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::syscalls::Call;

/// What a name stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Entry {
    /// With its number, which is higher than those of older ones.
    Directory(u64),
    File(usize),
}

#[derive(Clone, Default)]
struct Content {
    written: Vec<u8>,
    synced: Vec<u8>,
}

/// Files and names as programs see them, and as they would be after a power cut.
pub(crate) struct Disk {
    root: PathBuf,
    contents: Vec<Content>,
    names: BTreeMap<PathBuf, Entry>,
    synced_names: BTreeMap<PathBuf, Entry>,
    directories: u64,
}

/// What a power cut leaves of that which was not fsynced.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loss {
    names: Kept,
    bytes: Kept,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    All,
    /// The first half, and zeros in place of the rest; of names, all.
    Torn,
    Nothing,
}

/// All that may happen; without any loss it is a `kill -9`.
pub(crate) const LOSSES: [Loss; 6] = [
    Loss {
        names: Kept::All,
        bytes: Kept::All,
    },
    Loss {
        names: Kept::All,
        bytes: Kept::Torn,
    },
    Loss {
        names: Kept::All,
        bytes: Kept::Nothing,
    },
    Loss {
        names: Kept::Nothing,
        bytes: Kept::All,
    },
    Loss {
        names: Kept::Nothing,
        bytes: Kept::Torn,
    },
    Loss {
        names: Kept::Nothing,
        bytes: Kept::Nothing,
    },
];

impl Disk {
    /// An empty disk, of which what lies below `root` counts.
    pub(crate) fn new(root: &Path) -> Self {
        let (contents, names, synced_names) = Default::default();
        Self {
            root: root.to_owned(),
            contents,
            names,
            synced_names,
            directories: 0,
        }
    }

    /// A file that was there, and durable, before anything happened.
    pub(crate) fn with(mut self, path: &Path, bytes: &[u8]) -> Self {
        let path = path.to_owned();
        let parent = path.parent().unwrap().to_owned();
        let calls = [
            Call::Create {
                path: path.clone(),
                is_emptied: false,
            },
            Call::Write {
                path: path.clone(),
                offset: 0,
                bytes: bytes.to_vec(),
            },
            Call::Sync { path },
            Call::Sync { path: parent },
        ];
        for call in &calls {
            self.apply(call);
        }
        self
    }

    /// Does what a program did. Returns whether it changed anything here.
    pub(crate) fn apply(&mut self, call: &Call) -> bool {
        match call {
            Call::Create { path, is_emptied } => return self.create(path, *is_emptied),
            Call::Write {
                path,
                offset,
                bytes,
            } => {
                let Some(content) = self.content(path) else {
                    return false;
                };
                let start = usize::try_from(*offset).unwrap();
                let end = start + bytes.len();
                content.written.resize(content.written.len().max(end), 0);
                content.written[start..end].copy_from_slice(bytes);
            }
            Call::Truncate { path, length } => {
                let Some(content) = self.content(path) else {
                    return false;
                };
                content.written.resize(usize::try_from(*length).unwrap(), 0);
            }
            Call::Sync { path } => return self.sync(path),
            Call::SyncAll => {
                self.synced_names = self.names.clone();
                for content in &mut self.contents {
                    content.synced = content.written.clone();
                }
            }
            Call::Rename { from, to } => {
                let moved = self.take(from);
                let is_there = !moved.is_empty();
                self.give(to, moved);
                return is_there;
            }
            Call::Exchange { one, two } => {
                let (of_one, of_two) = (self.take(one), self.take(two));
                let is_there = !of_one.is_empty();
                self.give(two, of_one);
                self.give(one, of_two);
                return is_there;
            }
            Call::Link { from, to } => {
                let Some(entry) = self.names.get(from).copied() else {
                    return false;
                };
                self.names.insert(to.clone(), entry);
            }
            Call::Remove { path } => return self.names.remove(path).is_some(),
            Call::MakeDirectory { path } => {
                if !path.starts_with(&self.root) || *path == self.root {
                    return false;
                }
                self.directories += 1;
                let entry = Entry::Directory(self.directories);
                self.names.insert(path.clone(), entry);
            }
            Call::Acknowledge => return false,
        }
        true
    }

    /// Takes a name away with all that is below it.
    fn take(&mut self, path: &Path) -> Vec<(PathBuf, Entry)> {
        let below = self.names.keys().filter(|name| name.starts_with(path));
        let names: Vec<PathBuf> = below.cloned().collect();
        let names = names.into_iter();
        names
            .map(|name| {
                let entry = self.names.remove(&name).unwrap();
                (name.strip_prefix(path).unwrap().to_owned(), entry)
            })
            .collect()
    }

    /// Gives what was taken another name.
    fn give(&mut self, path: &Path, taken: Vec<(PathBuf, Entry)>) {
        for (below, entry) in taken {
            let name = if below == Path::new("") {
                path.to_owned()
            } else {
                path.join(below)
            };
            self.names.insert(name, entry);
        }
    }

    fn create(&mut self, path: &Path, is_emptied: bool) -> bool {
        if !path.starts_with(&self.root) {
            return false;
        }
        if let Some(content) = self.content(path) {
            if is_emptied {
                content.written.clear();
            }
            return is_emptied;
        }
        self.contents.push(Content::default());
        self.names
            .insert(path.to_owned(), Entry::File(self.contents.len() - 1));
        true
    }

    /// A file's content is kept from here on, or the names in a directory are.
    fn sync(&mut self, path: &Path) -> bool {
        if let Some(content) = self.content(path) {
            content.synced = content.written.clone();
            return true;
        }
        let is_here = |other: &Path| other.parent() == Some(path);
        self.synced_names.retain(|name, _| !is_here(name));
        let now = self.names.iter().filter(|(name, _)| is_here(name));
        self.synced_names
            .extend(now.map(|(name, entry)| (name.clone(), *entry)));
        path.starts_with(&self.root)
    }

    fn content(&mut self, path: &Path) -> Option<&mut Content> {
        match self.names.get(path) {
            Some(Entry::File(number)) => self.contents.get_mut(*number),
            _ => None,
        }
    }

    /// What is left after a power cut at this moment.
    pub(crate) fn after(&self, loss: Loss) -> Image {
        let names = match loss.names {
            Kept::Nothing => &self.synced_names,
            _ => &self.names,
        };
        let mut image = Image::default();
        for (path, entry) in names {
            let below = path.strip_prefix(&self.root).unwrap().to_owned();
            // A name whose directory was lost is lost with it.
            let parent = below.parent().unwrap();
            let is_there = matches!(image.0.get(parent), Some(Left::Directory(_)));
            if parent != Path::new("") && !is_there {
                continue;
            }
            let left = match entry {
                Entry::Directory(number) => Left::Directory(*number),
                Entry::File(number) => Left::File(self.contents[*number].after(loss.bytes)),
            };
            image.0.insert(below, left);
        }
        image
    }
}

/// Files with their bytes, and directories with their numbers.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Image(BTreeMap<PathBuf, Left>);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Left {
    Directory(u64),
    File(Vec<u8>),
}

impl Image {
    /// Writes everything into an empty directory.
    pub(crate) fn unpack(&self, target: &Path) {
        for (below, left) in &self.0 {
            match left {
                Left::Directory(_) => fs::create_dir(target.join(below)).unwrap(),
                Left::File(bytes) => fs::write(target.join(below), bytes).unwrap(),
            }
        }
        for (below, left) in &self.0 {
            if let Left::File(bytes) = left
                && below.ends_with("commit")
            {
                let text = self.renumbered(target, below, &String::from_utf8_lossy(bytes));
                fs::write(target.join(below), text).unwrap();
            }
        }
    }

    /// The record of a commit with the number that the folder has here which it exchanges: on a disk, numbers
    /// survive a power cut. Of the two, the new one is the folder that was made later.
    fn renumbered(&self, target: &Path, record: &Path, text: &str) -> String {
        let mut lines = String::new();
        for line in text.split_inclusive('\n') {
            let exchange = line.strip_prefix("exchange ");
            let name = exchange.and_then(|rest| rest.trim_end().split_once(' '));
            let Some((_, name)) = name else {
                lines += line;
                continue;
            };
            let assembled = record.with_file_name("tree").join(name);
            let number = |path: &Path| match self.0.get(path) {
                Some(Left::Directory(number)) => *number,
                _ => 0,
            };
            let places = [assembled, PathBuf::from(name)];
            let new = places.iter().max_by_key(|path| number(path)).unwrap();
            let inode = fs::metadata(target.join(new)).map_or(0, |facts| facts.ino());
            lines += &format!("exchange {inode} {name}\n");
        }
        lines
    }
}

impl Content {
    fn after(&self, kept: Kept) -> Vec<u8> {
        match kept {
            Kept::All => self.written.clone(),
            Kept::Nothing => self.synced.clone(),
            Kept::Torn if self.written == self.synced => self.synced.clone(),
            Kept::Torn => {
                let mut torn = self.written.clone();
                let middle = usize::midpoint(self.synced.len().min(torn.len()), torn.len());
                torn[middle..].fill(0);
                torn
            }
        }
    }
}

/// Cuts the power after each call, and has each thing that may be left looked at once, with the
/// number of answers that had gone out.
pub(crate) fn replay(mut disk: Disk, calls: &[Call], check: impl Fn(&Image, usize, &str)) -> usize {
    let mut acknowledged = 0;
    let (mut cuts, mut seen) = (0, BTreeSet::new());
    for (number, call) in calls.iter().enumerate() {
        acknowledged += usize::from(*call == Call::Acknowledge);
        if !disk.apply(call) && *call != Call::Acknowledge {
            continue;
        }
        for loss in LOSSES {
            let image = disk.after(loss);
            cuts += 1;
            if seen.insert((image.clone(), acknowledged)) {
                let call = described(call);
                let case = format!("call {number} ({call}), {loss:?}, {acknowledged} answers");
                check(&image, acknowledged, &case);
            }
        }
    }
    println!(
        "{} calls, {cuts} power cuts, {} different images",
        calls.len(),
        seen.len()
    );
    seen.len()
}

fn described(call: &Call) -> String {
    format!("{call:?}").chars().take(200).collect()
}
