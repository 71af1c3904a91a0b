// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `skep mirror`: has a server fetch repositories of its upstream before anybody needs them.

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::json;

use crate::cli::flags::args;
use crate::cli::terminal::{Output, Progress, size};
use crate::client::{Client, HubKind, HubRepository, TransferEvent, TransferOptions};
use crate::error::Result;
use crate::text::{count_or_none, counted};

pub(crate) fn arguments(command: Command) -> Command {
    let repositories = Arg::new("repository")
        .value_name("NS/REPO[@REV]")
        .num_args(1..)
        .required(true)
        .help("Repositories, each in a branch, a tag or a commit [default: @main]");
    let kind = |name: &'static str, help: &'static str| {
        let flag = Arg::new(name).long(name).action(ArgAction::SetTrue);
        flag.help(help)
    };
    let retries = Arg::new("retries")
        .long("retries")
        .value_name("N")
        .allow_negative_numbers(true)
        .help("How often to try again without any progress; none: not at all [default: 5]");
    args::server(
        command
            .before_help(EXAMPLES)
            .arg(repositories)
            .arg(kind("datasets", "They are data sets").conflicts_with("spaces"))
            .arg(kind("spaces", "They are spaces"))
            .arg(retries.help_heading("Transfer")),
    )
}

pub(crate) fn run(matches: &ArgMatches, output: &Output) -> Result<()> {
    let named = matches.get_many::<String>("repository");
    let named = named.into_iter().flatten().map(|text| text.parse());
    let repositories: Vec<HubRepository> = named.collect::<Result<_>>()?;
    let kind = if matches.get_flag("datasets") {
        HubKind::Datasets
    } else if matches.get_flag("spaces") {
        HubKind::Spaces
    } else {
        HubKind::Models
    };
    let retries = args::read(matches, "retries", count_or_none)?;
    let retries = retries.unwrap_or(TransferOptions::default().retries);
    let mut client = args::client(matches, output)?;

    output.json_list("repositories");
    output.each(repositories, |repository| {
        mirror(&mut client, kind, &repository, retries, output)
    });
    Ok(())
}

fn mirror(
    client: &mut Client,
    kind: HubKind,
    repository: &HubRepository,
    retries: u32,
    output: &Output,
) -> Result<()> {
    let commit = client.hub_commit(kind, repository)?;
    let files = client.hub_files(kind, repository, &commit)?;
    let sizes = files.iter().map(|file| file.size);
    let bytes = sizes.fold(0, u64::saturating_add);

    let name = repository.name.as_str();
    let mut progress = Progress::start(output, name, Some(bytes));
    let mut before = 0;
    for file in &files {
        let told =
            client.fetch_ahead(
                kind,
                repository,
                (&commit, file),
                retries,
                &mut |event| match event {
                    TransferEvent::Progress(done) => progress.go_to(before + done),
                    other => progress.tell(&other),
                },
            );
        told.inspect_err(|_| progress.say(&format!("{name}: {} did not come", file.path)))?;
        before += file.size;
    }

    // The bar has to go before a line is printed where it stands.
    drop(progress);
    let count = counted(files.len() as u64, "file");
    output.line(&format!("{name}  {commit}  {count}  {}", size(bytes)))?;
    output.json_item(&json!({
        "name": name,
        "revision": repository.revision,
        "commit": commit,
        "models": files.len(),
        "size": bytes,
    }))
}

const EXAMPLES: &str = "\
Examples:
  skep mirror google-bert/bert-base-uncased
  skep mirror me/bert@v1.0 me/bert@refs/pr/1
  skep mirror --datasets squad --server pi";
