// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `skep status`: tells how a server is, and what one may do there.

use clap::{ArgMatches, Command};

use crate::cli::flags::args;
use crate::cli::terminal::{Output, size};
use crate::error::Result;
use crate::text::{counted, escaped};

pub(crate) fn arguments(command: Command) -> Command {
    args::server(command.before_help(EXAMPLES))
}

pub(crate) fn run(matches: &ArgMatches, output: &Output) -> Result<()> {
    let status = args::client(matches, output)?.status()?;

    let left = |left: Option<u64>| {
        left.map_or("any number of bytes".to_owned(), |left| {
            format!("{} left today", size(left))
        })
    };
    let models = counted(status.models, "model");
    let free = status.free.map_or("-".to_owned(), size);
    let rows = [
        ("version", escaped(&status.version).into_owned()),
        ("name", escaped(&status.name).into_owned()),
        ("role", escaped(&status.role).into_owned()),
        ("models", format!("{models}, {}", size(status.size))),
        ("free", free),
        ("uploads", left(status.upload_left)),
        ("downloads", left(status.download_left)),
    ];
    for (key, value) in rows {
        output.line(&format!("{key:<10}{value}"))?;
    }

    output.json(&status)
}

const EXAMPLES: &str = "\
Examples:
  skep status
  skep status --server 192.168.1.10 --json | jq .free";
