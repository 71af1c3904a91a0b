// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The pipes of a child: its input is fed, its outputs are kept within bounds and cut into lines.
//! Nothing here waits.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;

use rustix::pipe::{PipeFlags, pipe_with};

/// A line of an output.
#[derive(Clone, Copy, Debug)]
pub struct OutputLine<'a> {
    /// Where it was written.
    pub output: OutputName,
    /// The line without its end, at most [`Order::line_bytes_max`](super::Order::line_bytes_max) of it.
    pub bytes: &'a [u8],
    /// Whether it was longer.
    pub is_cut: bool,
}

/// The outputs of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OutputName {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What is still to be written into a standard input.
pub(super) struct Feed {
    pub(super) pipe: Option<File>,
    bytes: Vec<u8>,
    sent: usize,
}

/// What is kept of an output.
pub(super) struct KeptOutput {
    pub(super) pipe: Option<File>,
    pub(super) kept: Vec<u8>,
    /// Bytes that came and were not kept.
    pub(super) lost: u64,
    most: usize,
    lines: LineCutter,
}

/// The line that is being written.
struct LineCutter {
    output: OutputName,
    line: Vec<u8>,
    most: usize,
    is_cut: bool,
}

impl Feed {
    /// Something to feed, and the input of the program.
    pub(super) fn new(bytes: &[u8]) -> io::Result<(Self, OwnedFd)> {
        let (theirs, ours) = pipe_with(PipeFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&ours, true)?;

        let mut feed = Self {
            pipe: Some(ours.into()),
            bytes: bytes.to_vec(),
            sent: 0,
        };
        feed.give();
        Ok((feed, theirs))
    }

    /// Nothing to feed: the input is somebody else's.
    pub(super) fn nothing() -> Self {
        Self {
            pipe: None,
            bytes: Vec::new(),
            sent: 0,
        }
    }

    /// Writes what fits now; a program that reads no further gets no more.
    pub(super) fn give(&mut self) {
        let Some(pipe) = &mut self.pipe else { return };
        while self.sent < self.bytes.len() {
            match pipe.write(&self.bytes[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => break,
            }
        }
        self.pipe = None;
    }
}

impl KeptOutput {
    /// An output of which `most` bytes are kept, and the program's end of it.
    pub(super) fn new(
        output: OutputName,
        most: usize,
        line_bytes_max: usize,
    ) -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&ours, true)?;

        let lines = LineCutter {
            output,
            line: Vec::new(),
            most: line_bytes_max,
            is_cut: false,
        };
        let kept = Self {
            pipe: Some(ours.into()),
            kept: Vec::new(),
            lost: 0,
            most,
            lines,
        };
        Ok((kept, theirs))
    }

    /// Reads what is there, so that the program never waits for us, up to a bound at a time.
    pub(super) fn take_in(&mut self, tell: &mut dyn FnMut(OutputLine<'_>)) -> io::Result<()> {
        let Some(pipe) = &mut self.pipe else {
            return Ok(());
        };

        let mut buffer = [0; 16 << 10];
        for _ in 0..READS_MAX {
            match pipe.read(&mut buffer) {
                Ok(0) => {
                    self.finish(tell);
                    return Ok(());
                }
                Ok(count) => {
                    let room = self.most - self.kept.len();
                    let kept = count.min(room);
                    self.kept.extend_from_slice(&buffer[..kept]);
                    self.lost += (count - kept) as u64;
                    self.lines.take_in(&buffer[..count], tell);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads no more; a last line without an end is one.
    pub(super) fn finish(&mut self, tell: &mut dyn FnMut(OutputLine<'_>)) {
        self.pipe = None;
        if !self.lines.line.is_empty() || self.lines.is_cut {
            self.lines.end_line(tell);
        }
    }
}

impl LineCutter {
    fn take_in(&mut self, bytes: &[u8], tell: &mut dyn FnMut(OutputLine<'_>)) {
        let mut parts = bytes.split(|byte| *byte == b'\n').peekable();
        while let Some(part) = parts.next() {
            let fitting = part.len().min(self.most - self.line.len());
            self.line.extend_from_slice(&part[..fitting]);
            self.is_cut |= fitting < part.len();

            // Each part but the last one has an end.
            if parts.peek().is_some() {
                self.end_line(tell);
            }
        }
    }

    fn end_line(&mut self, tell: &mut dyn FnMut(OutputLine<'_>)) {
        tell(OutputLine {
            output: self.output,
            bytes: &self.line,
            is_cut: self.is_cut,
        });
        self.line.clear();
        self.is_cut = false;
    }
}

/// Reads between two looks at the clock.
const READS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_or_cut_however_they_come() {
        let text = b"one\n\ntwelve bytes\nfour\nlast";
        for size in 1..text.len() {
            let mut cutter = LineCutter {
                output: OutputName::Stdout,
                line: Vec::new(),
                most: 4,
                is_cut: false,
            };
            let mut lines = Vec::new();
            let mut tell = |line: OutputLine<'_>| {
                let text = String::from_utf8_lossy(line.bytes).into_owned();
                lines.push((text, line.is_cut));
            };
            for piece in text.chunks(size) {
                cutter.take_in(piece, &mut tell);
            }
            cutter.end_line(&mut tell);

            let expected = [
                ("one", false),
                ("", false),
                ("twel", true),
                ("four", false),
                ("last", false),
            ];
            assert_eq!(lines, expected.map(|(text, cut)| (text.to_owned(), cut)));
        }
    }
}
