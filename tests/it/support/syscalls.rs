// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a program did to its files, as strace saw it, in the order in which the calls ended.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::Place;

/// One call that changed something, or an answer that went out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// A file was created, or emptied.
    Create {
        path: PathBuf,
        is_emptied: bool,
    },
    Write {
        path: PathBuf,
        offset: u64,
        bytes: Vec<u8>,
    },
    Truncate {
        path: PathBuf,
        length: u64,
    },
    /// A file or directory was fsynced.
    Sync {
        path: PathBuf,
    },
    /// All of the disk was written out.
    SyncAll,
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    /// Two names were exchanged.
    Exchange {
        one: PathBuf,
        two: PathBuf,
    },
    Link {
        from: PathBuf,
        to: PathBuf,
    },
    Remove {
        path: PathBuf,
    },
    MakeDirectory {
        path: PathBuf,
    },
    /// A final answer of HTTP that says "done" (2xx), or a client's request that relies on what it wrote:
    /// an append.
    Acknowledge,
}

const CALLS: &str = "openat,open,creat,read,pread64,write,pwrite64,writev,sendto,sendmsg,lseek,ftruncate,\
     truncate,fsync,fdatasync,syncfs,rename,renameat,renameat2,link,linkat,unlink,unlinkat,rmdir,mkdir,\
     mkdirat,close,copy_file_range,sendfile,fallocate";

/// The binary under strace, whose own process the child is.
pub(crate) fn traced(place: &Place, arguments: &[&str]) -> Command {
    let mut command = strace(place);
    command.args([
        "-y",
        "-xx",
        "-s",
        "1000000",
        "-e",
        &format!("trace={CALLS}"),
        "-o",
    ]);
    command
        .arg(place.path("calls"))
        .arg(env!("CARGO_BIN_EXE_skep"))
        .args(arguments);
    command
}

/// A server under strace, of which [`paths`] tells the paths that it used.
pub(crate) fn with_paths(place: &Place, arguments: &[&str]) -> Command {
    let mut command = strace(place);
    command.args(["-y", "-s", "4096", "-e", "trace=%file", "-o"]);
    command
        .arg(place.path("calls"))
        .arg(env!("CARGO_BIN_EXE_skep"))
        .args(arguments);
    command
}

/// The paths that a program named to the kernel between the first calls with these two words, each
/// with its call, once the program has ended.
pub(crate) fn paths(place: &Place, first: &str, last: &str) -> Vec<(PathBuf, String)> {
    let text = fs::read_to_string(place.path("calls")).unwrap();
    let lines = text.lines().skip_while(|line| !line.contains(first));
    let lines = lines.take_while(|line| !line.contains(last));
    let mut found = Vec::new();
    for line in lines {
        let arguments = line.split_once('(').map_or("", |(_, rest)| rest);
        let mut folder = "";
        for argument in arguments.split(", ") {
            if let Some((_, shown)) = argument.split_once('<') {
                folder = shown.split('>').next().unwrap_or_default();
            } else if let Some(name) = argument.strip_prefix('"') {
                let name = name.split('"').next().unwrap_or_default();
                found.push((Path::new(folder).join(name), line.to_owned()));
            }
        }
    }
    found
}

/// A server over plain HTTP in which one of some calls of each thread fails.
pub(crate) fn failing(place: &Place, calls: &str, error: &str, call: u32) -> Command {
    let mut command = failing_skep(place, calls, error, call);
    command.args(["serve", "127.0.0.1", "--port", "0", "--plain"]);
    command
}

/// The binary, still without arguments, in which one of some calls of each thread fails.
pub(crate) fn failing_skep(place: &Place, calls: &str, error: &str, call: u32) -> Command {
    let mut command = strace(place);
    let inject = format!("inject={calls}:error={error}:when={call}");
    command.args([
        "-e",
        &format!("trace={calls}"),
        "-e",
        &inject,
        "-o",
        "/dev/null",
    ]);
    command.arg(env!("CARGO_BIN_EXE_skep"));
    command
}

fn strace(place: &Place) -> Command {
    let mut command = place.command("strace");
    command.args(["-D", "-f", "-q"]);
    command
}

/// Reads what strace wrote, once the program has ended.
pub(crate) fn calls(place: &Place) -> Vec<Call> {
    let text = fs::read_to_string(place.path("calls")).unwrap();
    let mut reader = Reader::default();
    for line in text.lines() {
        reader.line(line);
    }
    reader.calls
}

#[derive(Default)]
struct Reader {
    calls: Vec<Call>,
    /// By thread: a call that another one interrupted in the log.
    unfinished: HashMap<String, String>,
    /// By descriptor: where it stands, and whether it always writes at the end.
    positions: HashMap<u32, (u64, bool)>,
    lengths: HashMap<PathBuf, u64>,
}

impl Reader {
    fn line(&mut self, line: &str) {
        let (thread, rest) = line.split_once(' ').unwrap_or_default();
        let rest = rest.trim_start();
        if let Some(start) = rest.strip_suffix(" <unfinished ...>") {
            self.unfinished.insert(thread.to_owned(), start.to_owned());
        } else if let Some(resumed) = rest.strip_prefix("<... ") {
            let start = self.unfinished.remove(thread).unwrap_or_default();
            let end = resumed.split_once(" resumed>").map_or("", |(_, end)| end);
            self.call(&(start + end));
        } else {
            self.call(rest);
        }
    }

    fn call(&mut self, text: &str) {
        let Some((name, rest)) = text.split_once('(') else {
            return;
        };
        // Strings are written as hexadecimal numbers, so they hold none of these characters.
        let Some((arguments, result)) = rest.rsplit_once(" = ") else {
            return;
        };
        let arguments = arguments.trim_end().trim_end_matches(')');
        let fields: Vec<&str> = arguments.split(", ").collect();
        let digits: String = result.chars().take_while(char::is_ascii_digit).collect();
        // A failed call (-1) changed nothing.
        let Ok(result) = digits.parse::<u64>() else {
            return;
        };
        self.succeeded(name, &fields, arguments, result);
    }

    fn succeeded(&mut self, name: &str, fields: &[&str], arguments: &str, result: u64) {
        match name {
            "openat" => self.opened(&at(fields[0], fields[1]), fields[2], result),
            "close" => drop(self.positions.remove(&descriptor(fields[0]))),
            "read" => self.position(fields[0]).0 += result,
            "lseek" => self.position(fields[0]).0 = result,
            "write" | "pwrite64" | "writev" | "sendto" | "sendmsg" => {
                self.written(name, fields, arguments, result);
            }
            "fsync" | "fdatasync" => self.calls.push(Call::Sync {
                path: shown(fields[0]),
            }),
            "syncfs" => self.calls.push(Call::SyncAll),
            "ftruncate" => {
                let (path, length) = (shown(fields[0]), fields[1].parse().unwrap());
                self.lengths.insert(path.clone(), length);
                self.calls.push(Call::Truncate { path, length });
            }
            "rename" => self.renamed(quoted(fields[0]), quoted(fields[1])),
            "renameat2" if fields[4].contains("RENAME_EXCHANGE") => {
                let (one, two) = (at(fields[0], fields[1]), at(fields[2], fields[3]));
                self.calls.push(Call::Exchange { one, two });
            }
            "renameat" | "renameat2" => {
                self.renamed(at(fields[0], fields[1]), at(fields[2], fields[3]));
            }
            "link" => {
                let (from, to) = (quoted(fields[0]), quoted(fields[1]));
                self.calls.push(Call::Link { from, to });
            }
            "linkat" => {
                let (from, to) = (at(fields[0], fields[1]), at(fields[2], fields[3]));
                self.calls.push(Call::Link { from, to });
            }
            "unlink" | "rmdir" => self.calls.push(Call::Remove {
                path: quoted(fields[0]),
            }),
            "unlinkat" => self.calls.push(Call::Remove {
                path: at(fields[0], fields[1]),
            }),
            "mkdir" => self.calls.push(Call::MakeDirectory {
                path: quoted(fields[0]),
            }),
            "mkdirat" => {
                self.calls.push(Call::MakeDirectory {
                    path: at(fields[0], fields[1]),
                });
            }
            "pread64" | "sendfile" => {}
            other => panic!("a call that this reader does not know changes files: {other}"),
        }
    }

    fn position(&mut self, field: &str) -> &mut (u64, bool) {
        self.positions.entry(descriptor(field)).or_default()
    }

    fn opened(&mut self, path: &Path, flags: &str, result: u64) {
        let (is_created, is_emptied) = (flags.contains("O_CREAT"), flags.contains("O_TRUNC"));
        let position = (0, flags.contains("O_APPEND"));
        self.positions
            .insert(u32::try_from(result).unwrap(), position);
        if is_created || is_emptied {
            if is_emptied {
                self.lengths.insert(path.to_owned(), 0);
            }
            self.calls.push(Call::Create {
                path: path.to_owned(),
                is_emptied,
            });
        }
    }

    fn written(&mut self, name: &str, fields: &[&str], arguments: &str, result: u64) {
        let path = shown(fields[0]);
        let mut bytes = strings(arguments);
        if path.to_string_lossy().contains("socket:") {
            let is_done = bytes
                .windows(10)
                .any(|window| window.starts_with(b"HTTP/1.1 2"));
            // The server writes heads as well, to its own queue, but without an agent.
            let is_append =
                bytes.starts_with(b"PATCH ") && bytes.windows(5).any(|window| window == b"skep/");
            if is_done || is_append {
                self.calls.push(Call::Acknowledge);
            }
            return;
        }
        bytes.truncate(usize::try_from(result).unwrap());
        let length = self.lengths.get(&path).copied().unwrap_or(0);
        let offset = match name {
            "pwrite64" => fields[3].parse().unwrap(),
            _ => {
                let position = self.position(fields[0]);
                let offset = if position.1 { length } else { position.0 };
                position.0 = offset + result;
                offset
            }
        };
        self.lengths
            .insert(path.clone(), length.max(offset + result));
        self.calls.push(Call::Write {
            path,
            offset,
            bytes,
        });
    }

    fn renamed(&mut self, from: PathBuf, to: PathBuf) {
        if let Some(length) = self.lengths.remove(&from) {
            self.lengths.insert(to.clone(), length);
        }
        self.calls.push(Call::Rename { from, to });
    }
}

/// The number of a descriptor in `5</path>`.
fn descriptor(field: &str) -> u32 {
    field
        .split('<')
        .next()
        .and_then(|number| number.parse().ok())
        .unwrap_or(u32::MAX)
}

/// The path of a descriptor in `5</path>`.
fn shown(field: &str) -> PathBuf {
    let inner = field
        .split_once('<')
        .map_or("", |(_, rest)| rest)
        .trim_end_matches('>');
    PathBuf::from(String::from_utf8(unescape(inner)).unwrap())
}

/// A path given as a string, from a directory's descriptor.
fn at(directory: &str, field: &str) -> PathBuf {
    shown(directory).join(quoted(field))
}

fn quoted(field: &str) -> PathBuf {
    PathBuf::from(String::from_utf8(unescape(field.trim_matches('"'))).unwrap())
}

/// All strings among the arguments, joined.
fn strings(arguments: &str) -> Vec<u8> {
    arguments
        .split('"')
        .skip(1)
        .step_by(2)
        .flat_map(unescape)
        .collect()
}

/// `\x41\x42` and plain text.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        match rest.strip_prefix("\\x") {
            Some(number) => {
                bytes.push(u8::from_str_radix(&number[..2], 16).unwrap());
                rest = &number[2..];
            }
            None => {
                bytes.extend(first.to_string().into_bytes());
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    bytes
}
