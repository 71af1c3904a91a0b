// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `skep load`: fetches files from a server of the dearning API.

use clap::{Arg, ArgMatches, Command};
use serde_json::json;

use crate::cli::flags::{Destination, args, destination};
use crate::cli::terminal::{Output, Page, Progress};
use crate::error::{Error, ErrorKind, Result};
use crate::model::ModelName;

pub(crate) fn arguments(command: Command) -> Command {
    let names = Arg::new("name")
        .value_name("NAME")
        .num_args(1..)
        .required(true);

    let mode = Arg::new("mode")
        .long("mode")
        .value_name("MODE")
        .value_parser(["file", "code"]);

    let mode = mode.default_value("file");

    let command = command
        .before_help(EXAMPLES)
        .arg(names.help("Files to fetch"))
        .arg(mode.help("Save it as a file, or print it as tidied text"));

    destination::arguments(args::server(command))
}

pub(crate) fn run(matches: &ArgMatches, output: &Output) -> Result<()> {
    let names = matches.get_many::<String>("name").into_iter().flatten();
    let names: Vec<ModelName> = names
        .map(|name| ModelName::from_base(name))
        .collect::<Result<_>>()?;

    if matches
        .get_one::<String>("mode")
        .is_some_and(|mode| mode == "code")
    {
        return code(matches, names, output);
    }

    let destination = Destination::of(matches, &names)?;
    if destination == Destination::Stdout {
        output.for_bytes()?;
    }
    let mut client = args::client(matches, output)?;
    output.json_list("files");

    output.each(names, |name| {
        let mut progress = Progress::start(output, name.as_str(), None);
        let mut advance = |count| progress.advance(count);
        let Some(path) = destination.path(&name) else {
            let write = |stdout: &mut dyn std::io::Write| client.load(&name, stdout, &mut advance);
            return output.write_with(write).map(drop);
        };
        destination.prepare(output)?;
        let size = client.load_file(&name, &path, &mut advance)?;

        // The bar has to go before a line is printed where it stands.
        drop(progress);
        let path = path.display().to_string();
        output.json_item(&json!({"name": name.as_str(), "path": path, "size": size}))?;
        output.done(&path)
    });

    Ok(())
}

fn code(matches: &ArgMatches, names: Vec<ModelName>, output: &Output) -> Result<()> {
    if matches.contains_id("output") {
        let reason = "--mode code prints to standard output, so -o cannot be used with it";
        return Err(Error::new(ErrorKind::Usage, reason));
    }

    output.for_bytes()?;
    let mut client = args::client(matches, output)?;

    output.each(names, |name| {
        // Tidying needs the whole text in memory; a page bounds that.
        let mut page = Page::default();
        client.load(&name, &mut page, &mut |_| {})?;
        page.show(name.as_str(), output)
    });

    Ok(())
}

const EXAMPLES: &str = "\
Examples:
  skep load model.dm --server https://192.168.1.10:8443
  skep load train.py --mode code | python3 -";
