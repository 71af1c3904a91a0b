// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the file system says of one name or one open file, in the same form for both.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, SystemTime};

use rustix::fs::{FileType, Stat};

/// What is known of a file without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileFacts {
    pub(crate) kind: FileKind,
    /// Its length in bytes.
    pub(crate) size: u64,
    /// When its bytes last changed.
    pub(crate) modified: FileTime,
    /// When anything of it last changed.
    pub(crate) changed: FileTime,
    pub(crate) device: u64,
    pub(crate) inode: u64,
    /// How many names it has.
    pub(crate) links: u64,
    /// The number of the user whose it is.
    pub(crate) owner: u32,
    /// The number of the group whose it is.
    pub(crate) group: u32,
    /// Its permissions, without its kind.
    pub(crate) mode: u32,
}

/// What has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    File,
    Folder,
    Link,
    /// A FIFO, a socket or a device.
    Special,
}

/// A point in time as the file system keeps it: seconds from 1970, and nanoseconds after them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FileTime {
    pub(crate) seconds: i64,
    pub(crate) nanos: u32,
}

impl FileFacts {
    pub(crate) fn is_file(&self) -> bool {
        self.kind == FileKind::File
    }

    /// Whether both are the same file.
    pub(crate) fn is_same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

impl FileTime {
    /// The same for std; what std cannot hold becomes 1970.
    pub(crate) fn time(&self) -> SystemTime {
        let whole = Duration::from_secs(self.seconds.unsigned_abs());
        let second = match self.seconds {
            0.. => SystemTime::UNIX_EPOCH.checked_add(whole),
            _ => SystemTime::UNIX_EPOCH.checked_sub(whole),
        };
        second
            .and_then(|second| second.checked_add(Duration::from_nanos(self.nanos.into())))
            .unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

impl From<&Metadata> for FileFacts {
    fn from(metadata: &Metadata) -> Self {
        Self {
            kind: kind(metadata.mode()),
            size: metadata.len(),
            modified: FileTime {
                seconds: metadata.mtime(),
                nanos: whole(metadata.mtime_nsec()),
            },
            changed: FileTime {
                seconds: metadata.ctime(),
                nanos: whole(metadata.ctime_nsec()),
            },
            device: metadata.dev(),
            inode: metadata.ino(),
            links: metadata.nlink(),
            owner: metadata.uid(),
            group: metadata.gid(),
            mode: metadata.mode() & MODE_BITS,
        }
    }
}

impl From<&Stat> for FileFacts {
    fn from(stat: &Stat) -> Self {
        Self {
            kind: kind(stat.st_mode),
            size: whole(stat.st_size),
            modified: FileTime {
                seconds: whole(stat.st_mtime),
                nanos: whole(stat.st_mtime_nsec),
            },
            changed: FileTime {
                seconds: whole(stat.st_ctime),
                nanos: whole(stat.st_ctime_nsec),
            },
            device: whole(stat.st_dev),
            inode: whole(stat.st_ino),
            links: whole(stat.st_nlink),
            owner: stat.st_uid,
            group: stat.st_gid,
            mode: stat.st_mode & MODE_BITS,
        }
    }
}

fn kind(mode: u32) -> FileKind {
    match FileType::from_raw_mode(mode) {
        FileType::RegularFile => FileKind::File,
        FileType::Directory => FileKind::Folder,
        FileType::Symlink => FileKind::Link,
        _ => FileKind::Special,
    }
}

/// A number of the kernel, whose type differs from processor to processor.
fn whole<From, To: TryFrom<From> + Default>(number: From) -> To {
    To::try_from(number).unwrap_or_default()
}

const MODE_BITS: u32 = 0o7777;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_an_open_file_say_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, b"12345").unwrap();

        let by_name = FileFacts::from(&rustix::fs::lstat(&path).unwrap());
        assert_eq!(by_name, FileFacts::from(&path.metadata().unwrap()));
        assert_eq!(
            (by_name.size, by_name.links, by_name.kind),
            (5, 1, FileKind::File)
        );
    }
}
