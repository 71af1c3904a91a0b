// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The steps of a commit, and how they are written down.

use std::fmt::Write as _;
use std::io;

use crate::digest::Digest;
use crate::model::ModelName;

/// What is done to one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommitStep {
    pub(crate) name: ModelName,
    pub(crate) what: StepKind,
}

/// What is done to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StepKind {
    /// It gets the file of the set that has this number.
    Publish(u64),
    /// The model that has this size goes; its digest, where it is known.
    Remove(u64, Option<Digest>),
    /// The same, and it does not become a version.
    Delete(u64),
    /// It is the folder of the set, in which all comes at once that is published: it is assembled where nobody
    /// looks.
    Appear,
    /// It is the folder that changes, and all of it is assembled in another one, which has this number of a file
    /// (inode): the two get the names of each other.
    Exchange(u64),
    /// It is called so from now on, with what is kept of it.
    Move(ModelName),
    /// It is the name of a folder, all of which is called so from now on.
    MoveFolder(ModelName),
}

impl CommitStep {
    /// What it is called from now on, if that is another name.
    pub(crate) fn new_name(&self) -> Option<&ModelName> {
        match &self.what {
            StepKind::Move(to) | StepKind::MoveFolder(to) => Some(to),
            _ => None,
        }
    }
}

/// The steps as they are written down.
pub(super) fn record_text(steps: &[CommitStep]) -> String {
    let mut text = format!("{HEADER}\n");

    for CommitStep { name, what } in steps {
        // Writing to a String cannot fail.
        let _ = match what {
            StepKind::Publish(number) => writeln!(text, "publish {number} {name}"),
            StepKind::Remove(size, digest) => {
                let digest = digest.map_or_else(|| UNKNOWN.to_owned(), |digest| digest.to_string());
                writeln!(text, "remove {size} {digest} {name}")
            }
            StepKind::Delete(size) => writeln!(text, "delete {size} {name}"),
            StepKind::Appear => writeln!(text, "appear {name}"),
            StepKind::Exchange(inode) => writeln!(text, "exchange {inode} {name}"),
            // No name has a tab in it.
            StepKind::Move(to) => writeln!(text, "move {name}\t{to}"),
            StepKind::MoveFolder(to) => writeln!(text, "move-folder {name}\t{to}"),
        };
    }
    text
}

/// Reads what [`record_text`] wrote.
///
/// # Errors
/// `InvalidData` if any of it cannot be read: half of a commit is none, and no record of ours is torn.
pub(super) fn read_record(
    lines: &mut dyn Iterator<Item = io::Result<String>>,
    most: usize,
) -> io::Result<Vec<CommitStep>> {
    let mut steps = Vec::new();
    if lines.next().transpose()?.as_deref() != Some(HEADER) {
        return Err(unreadable());
    }
    for line in lines {
        // A folder may have more models than a set has names, all of which go.
        if steps.len() > most.saturating_add(STEPS_MORE) {
            return Err(unreadable());
        }
        steps.push(read_step(&line?).ok_or_else(unreadable)?);
    }
    Ok(steps)
}

/// The error of what is no record of ours.
pub(super) fn unreadable() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "its record cannot be read")
}

fn read_step(line: &str) -> Option<CommitStep> {
    let (word, rest) = line.split_once(' ')?;
    let (what, name) = match word {
        "publish" => {
            let (number, name) = rest.split_once(' ')?;
            (StepKind::Publish(number.parse().ok()?), name)
        }
        "remove" => {
            let mut words = rest.splitn(3, ' ');
            let size = words.next()?.parse().ok()?;
            let digest = match words.next()? {
                UNKNOWN => None,
                digest => Some(digest.parse().ok()?),
            };
            (StepKind::Remove(size, digest), words.next()?)
        }
        "delete" => {
            let (size, name) = rest.split_once(' ')?;
            (StepKind::Delete(size.parse().ok()?), name)
        }
        "appear" => (StepKind::Appear, rest),
        "exchange" => {
            let (inode, name) = rest.split_once(' ')?;
            (StepKind::Exchange(inode.parse().ok()?), name)
        }
        "move" => {
            let (name, to) = rest.split_once('\t')?;
            (StepKind::Move(to.parse().ok()?), name)
        }
        "move-folder" => {
            let (name, to) = rest.split_once('\t')?;
            (StepKind::MoveFolder(to.parse().ok()?), name)
        }
        _ => return None,
    };
    Some(CommitStep {
        name: name.parse().ok()?,
        what,
    })
}

const HEADER: &str = "skep-commit 1";

/// In the place of a digest.
const UNKNOWN: &str = "-";

/// Models that a set can remove beside the names that it has.
const STEPS_MORE: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::changes::change_journal::whole_lines;

    #[test]
    fn steps_are_read_as_they_were_written_or_not_at_all() {
        let step = |name: &str, what| CommitStep {
            name: name.parse().unwrap(),
            what,
        };
        let steps = vec![
            step("a b/c", StepKind::Publish(7)),
            step("d e", StepKind::Remove(0, None)),
            step("f", StepKind::Remove(9, Some(Digest::of(b"x")))),
            step("f g", StepKind::Delete(9)),
            step("g h", StepKind::Move("i j/k".parse().unwrap())),
            step("n o", StepKind::Appear),
            step("e x", StepKind::Exchange(7)),
            step("l", StepKind::MoveFolder("m n".parse().unwrap())),
        ];
        let read = |text: &str| {
            let text = text.to_owned().into_bytes();
            read_record(&mut whole_lines(&text[..]), 10).ok()
        };
        let text = record_text(&steps);
        assert_eq!(read(&text), Some(steps));
        assert_eq!(read("skep-commit 1\n"), Some(Vec::new()));
        for bad in [
            "",
            "skep-commit 2\n",
            "skep-commit 1\npublish x a\n",
            "skep-commit 1\nz 1 a\n",
            "skep-commit 1\npublish 1 ../a\n",
            "skep-commit 1\nexchange a\n",
            "skep-commit 1\nmove a b\n",
            "skep-commit 1\nmove a\t../b\n",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
