// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `skep keygen`: makes a key that signs models.

use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Command};
use serde_json::json;

use crate::cli::terminal::Output;
use crate::error::{Error, ErrorKind, Result};
use crate::signature::SecretKey;
use crate::{disk, home};

pub(crate) fn arguments(command: Command) -> Command {
    let output = Arg::new("output")
        .short('o')
        .long("output")
        .value_name("FILE");
    let output = output.value_parser(clap::value_parser!(PathBuf));
    command.before_help(EXAMPLES).arg(output.help(
        "Where to keep the secret key [default: sign.key in the home]; the public one \
                     goes beside it as .pub",
    ))
}

pub(crate) fn run(matches: &ArgMatches, output: &Output) -> Result<()> {
    let secret = match matches.get_one::<PathBuf>("output") {
        Some(path) => path.clone(),
        None => default_file()?,
    };

    let public = secret.with_extension("pub");

    // With `-o team.pub`, both keys would go into one file.
    if secret == public {
        let text = format!("{} is where the public key would go", secret.display());
        return Err(
            Error::new(ErrorKind::Usage, text).hint("choose another name, for example sign.key")
        );
    }

    // Links count as well, even if they lead nowhere: writing would replace them.
    for path in [&secret, &public] {
        if path.symlink_metadata().is_ok() {
            let text = format!("{} exists already and is not replaced", path.display());
            return Err(Error::new(ErrorKind::Conflict, text).hint("choose another name with -o"));
        }
    }

    let key = SecretKey::generate()?;

    // Only the home is made. If a directory that the user named is missing, that may be a slip.
    if let Some(directory) = secret.parent().filter(|_| !matches.contains_id("output")) {
        disk::create_directory(directory).map_err(|error| unwritten(directory, error))?;
    }

    // Others cannot read the secret key at any moment, not even while it is written.
    save(&secret, &key.file_text(), 0o600)?;
    save(&public, &key.public_key().file_text(), 0o644)?;
    output.line(&key.public_key().to_string())?;
    let (shown_secret, shown_public) = (secret.display(), public.display());
    output.note(&format!(
        "saved the secret key in {shown_secret}: whoever has it can sign"
    ));

    output.note(&format!(
        "wrote the public key to {shown_public}: give it to everybody"
    ));

    output.json(&json!({
        "schema": 1,
        "public_key": key.public_key().to_string(),
        "id": format!("{:?}", key.public_key()),
        "secret_file": shown_secret.to_string(),
        "public_file": shown_public.to_string(),
    }))
}

/// Where the secret key is if nobody says otherwise.
pub(crate) fn default_file() -> Result<PathBuf> {
    Ok(home::SIGNING_KEY.path(&home::directory()?))
}

fn save(path: &Path, text: &str, mode: u32) -> Result<()> {
    let path = if path.is_absolute() {
        path.to_owned()
    } else {
        Path::new(".").join(path)
    };
    disk::write(&path, text.as_bytes(), mode).map_err(|error| unwritten(&path, error))
}

fn unwritten(path: &Path, error: std::io::Error) -> Error {
    Error::local(format!("writing {}", path.display()), error)
}

const EXAMPLES: &str = "\
Examples:
  skep keygen
  skep keygen -o team.key                make team.key and team.pub";
