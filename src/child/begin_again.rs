// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Begins the running program anew, with other arguments: what stands in the list of processes goes.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use crate::child::launcher::THIS_BINARY;

/// Replaces this process by the same binary with these arguments, the name of the program first, and
/// `input` as its standard input. The number of the process, its terminal and what it has open stay.
///
/// Returns only if that failed; then nothing has changed.
pub(crate) fn begin_again(arguments: &[OsString], input: &[u8]) -> io::Error {
    let begin = || -> io::Result<io::Error> {
        // All of it has to fit into the pipe, because nobody reads it before the program began anew.
        if input.len() > PIPE_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let (reader, mut writer) = io::pipe()?;
        writer.write_all(input)?;
        drop(writer);

        let mut command = Command::new(THIS_BINARY);
        if let Some(name) = arguments.first() {
            command.arg0(name);
        }
        command.args(arguments.iter().skip(1)).stdin(reader);
        Ok(command.exec())
    };

    begin().unwrap_or_else(|error| error)
}

/// The least that pipes hold on Linux: a page.
const PIPE_BYTES: usize = 4096;
