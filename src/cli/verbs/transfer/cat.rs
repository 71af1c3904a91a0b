// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `skep cat`: writes a model to standard output.

use std::io::Read as _;

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::cli::flags::{Selector, args};
use crate::cli::terminal::{Output, Page, page};
use crate::cli::verbs::models::old_state;
use crate::cli::verbs::transfer::get;
use crate::error::{Error, ErrorKind, Result};

pub(crate) fn arguments(command: Command) -> Command {
    let name = Arg::new("name")
        .value_name("NAME")
        .required(true)
        .help("The model, or an old version of it: NAME@NUMBER, NAME@DIGEST");
    let text = Arg::new("text").long("text").action(ArgAction::SetTrue);
    let text = text.help("Drop carriage returns and blanks at the ends of lines");
    args::limit_rate(args::server(
        command.before_help(EXAMPLES).arg(name).arg(text),
    ))
}

pub(crate) fn run(matches: &ArgMatches, output: &Output) -> Result<()> {
    let name = matches
        .get_one::<String>("name")
        .map(String::as_str)
        .unwrap_or_default();

    let name = get::parse_name(name)?;
    output.for_bytes()?;
    let mut client = args::client(matches, output)?;
    let meant = old_state::resolve(matches, vec![Selector::Name(name)], &mut client)?;
    let Some(name) = meant.first().and_then(Selector::name).cloned() else {
        let text = "a folder has no bytes that could be printed";
        return Err(Error::new(ErrorKind::Usage, text).hint("fetch it: skep get FOLDER@REVISION"));
    };
    let mut download = client.get(&name)?;

    if matches.get_flag("text") {
        // Tidying needs the whole text in memory; a page bounds that.
        let mut page = Page::default();
        download.copy(&mut page, &mut |_| {})?;
        page.show(name.as_str(), output)?;
        get::note_unverified(&download, output);
        return Ok(());
    }

    // Before the first byte is printed: afterwards, the terminal may be confused already.
    let mut beginning = Vec::new();
    (&mut download)
        .take(BEGINNING_BYTES)
        .read_to_end(&mut beginning)?;

    page::check(&beginning, name.as_str(), output)?;
    output.write(&beginning)?;
    output.write_with(|stdout| download.copy(stdout, &mut |_| {}))?;
    get::note_unverified(&download, output);

    Ok(())
}

/// What is looked at to tell text from binary.
const BEGINNING_BYTES: u64 = 8192;

const EXAMPLES: &str = "\
Examples:
  skep cat notes.txt
  skep cat notes.txt@3                        an old version that 'skep show' lists
  skep cat train.py --text | python3 -";
