// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `skep post`: sends files to a server of the dearning API.

use std::path::Path;

use clap::{ArgMatches, Command};
use serde_json::json;

use crate::cli::flags::{Source, args, source};
use crate::cli::terminal::{Output, Progress, size};
use crate::error::{Error, ErrorKind, Result};

pub(crate) fn arguments(command: Command) -> Command {
    source::arguments(args::server(command)).before_help(EXAMPLES)
}

pub(crate) fn run(matches: &ArgMatches, output: &Output) -> Result<()> {
    let (files, name) = source::files(matches)?;
    source::distinct(&files, name.as_ref(), false)?;
    let mut client = args::client(matches, output)?;
    output.json_list("imported");

    output.each(files, |file| {
        // The JSON body has the content in it, and is announced with its length.
        let unknown = |what: &str| {
            Error::new(
                ErrorKind::Usage,
                format!("the length of {what} is not known"),
            )
            .hint("the dearning API needs it: save it as a file first, then 'skep post FILE'")
        };
        if file == Path::new("-") {
            return Err(unknown("standard input"));
        }
        let source = Source::open(&file, name.as_ref(), "skep post")?;
        let length = source
            .length
            .ok_or_else(|| unknown(&file.display().to_string()))?;
        let mut progress = Progress::start(output, source.name.as_str(), source.length);
        let mut stream = source.reader.stream();
        let posted = client.post(&source.name, &mut *stream, length, &mut |count| {
            progress.advance(count);
        });

        // The bar has to go before a line is printed where it stands.
        drop(progress);
        posted?;
        output.json_item(&json!({"name": source.name.as_str(), "size": length}))?;
        output.done(&format!("{}  {}  imported", source.name, size(length)))
    });

    Ok(())
}

const EXAMPLES: &str = "\
Examples:
  skep post model.dm --server https://192.168.1.10:8443
  skep post *.py --server http://127.0.0.1:8080";
