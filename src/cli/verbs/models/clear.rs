// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `skep gc`: has a server free what it keeps beside models.

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::json;

use crate::cli::flags::args;
use crate::cli::terminal::{Output, size};
use crate::error::{Error, ErrorKind, Result};
use crate::text::{counted, duration};
use crate::wire::ClearedKindWire;

pub(crate) fn arguments(command: Command) -> Command {
    args::server(
        command
            .before_help(EXAMPLES)
            .arg(
                Arg::new("dry-run")
                    .short('n')
                    .long("dry-run")
                    .action(ArgAction::SetTrue)
                    .help("Only say what would be freed"),
            )
            .arg(
                Arg::new("keep")
                    .long("keep")
                    .value_name("N")
                    .default_value("0")
                    .value_parser(clap::value_parser!(u32))
                    .help(
                        "How many old versions of each model, and revisions of each folder, stay",
                    ),
            )
            .arg(
                Arg::new("idle")
                    .long("idle")
                    .value_name("TIME")
                    .default_value("1h")
                    .help(
                        "For how long nobody has gone on with an upload or a change set that goes",
                    ),
            ),
    )
}

pub(crate) fn run(matches: &ArgMatches, output: &Output) -> Result<()> {
    let is_dry = matches.get_flag("dry-run");
    let keep = matches.get_one::<u32>("keep").copied().unwrap_or_default();
    let idle = matches
        .get_one::<String>("idle")
        .map_or("1h", String::as_str);
    let idle = duration(idle).map_err(|reason| {
        let text = format!("--idle {idle} cannot be used: {reason}");
        Error::new(ErrorKind::Usage, text)
    })?;

    let dry = if is_dry { "&dry-run" } else { "" };
    let query = format!("keep={keep}&idle={}{dry}", idle.as_secs());
    let mut client = args::client(matches, output)?;
    let told = client.clear(&query)?;

    let kinds: [(&str, &str, ClearedKindWire); 6] = [
        ("versions", "old versions", told.versions),
        ("revisions", "old revisions", told.revisions),
        ("uploads", "unfinished uploads", told.uploads),
        ("changes", "change sets", told.changes),
        ("descriptions", "descriptions", told.descriptions),
        ("digests", "digests", told.digests),
    ];
    output.json_list("freed");
    for (key, shown, kind) in kinds {
        let ClearedKindWire { files, bytes } = kind;
        output.json_item(&json!({
            "kind": key, "files": files, "bytes": bytes, "dry_run": told.dry_run,
        }))?;
        if files > 0 || bytes > 0 {
            let files = counted(files, "file");
            output.done(&format!("{shown}: {} in {files}", size(bytes)))?;
        }
    }
    let what = if told.dry_run {
        "would be freed"
    } else {
        "freed"
    };
    output.done(&format!("{} {what}", size(told.bytes)))
}

const EXAMPLES: &str = "\
Examples:
  skep gc -n                         what would be freed
  skep gc                            old versions, abandoned uploads and what is remembered of models that are gone
  skep gc --keep 1                   the last version of each model stays";
