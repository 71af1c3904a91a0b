// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `skep verify --key`: checks the signatures of files of this device.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches};
use serde_json::json;

use crate::cli::terminal::Output;
use crate::cli::verbs::signing::sign::signature_file;
use crate::error::{Error, ErrorKind, Result};
use crate::signature::{PublicKey, Signature};

/// The flag that names a public key.
pub(crate) fn flag(name: &'static str) -> Arg {
    let flag = Arg::new(name).long(name).value_name("KEY|KEYFILE");
    flag.help(match name {
        "key" => "Check FILE.minisig with this public key: RW..., or a file that contains it",
        _ => "Keep only what this public key has signed (NAME.minisig on the server)",
    })
}

/// The public key of a flag.
///
/// # Errors
/// `Usage` if it cannot be read.
pub(crate) fn key(matches: &ArgMatches, flag: &str) -> Result<Option<PublicKey>> {
    matches
        .get_one::<String>(flag)
        .map(|text| PublicKey::named(text))
        .transpose()
}

/// Checks files of this device, named by the argument `name`, with the key of the flag `key`.
///
/// # Errors
/// `Usage` if there is no key; failures of single files are told and counted by the output.
pub(crate) fn run(matches: &ArgMatches, output: &Output) -> Result<()> {
    let key =
        key(matches, "key")?.ok_or_else(|| Error::new(ErrorKind::Usage, "--key is needed"))?;
    let mut files = Vec::new();

    output.each(
        matches.get_many::<String>("name").into_iter().flatten(),
        |name| {
            let signature = verify(Path::new(name), &key)?;
            if !matches.get_flag(ANY_NAME) {
                check_base(name, &signature)?;
            }
            tell(output, name, &signature);
            files.push(json!({
                "path": name,
                "id": format!("{key:?}"),
                "trusted_comment": signature.trusted_comment(),
            }));
            output.line(&format!("{name}  signed by {key:?}"))
        },
    );

    output.json(&json!({"schema": 1, "files": files}))
}

fn verify(path: &Path, key: &PublicKey) -> Result<Signature> {
    let shown = path.display().to_string();

    // A missing file keeps its kind and so its exit code, which `local` would turn into `Usage`.
    let explained = |name: &str, error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Error::io(name, error),
        _ => Error::local(format!("reading {name}"), error),
    };

    let mut content = File::open(path).map_err(|error| explained(&shown, error))?;
    let place: PathBuf = signature_file(path);
    let beside = place.display().to_string();

    let file = File::open(&place).map_err(|error| match error.kind() {
        // A missing signature is a failed check, not a missing file.
        io::ErrorKind::NotFound => {
            let text = format!("{shown} is not signed: there is no {beside}");
            Error::new(ErrorKind::Integrity, text)
        }
        _ => explained(&beside, error),
    })?;

    let mut bytes = Vec::new();

    // One byte beyond the limit is enough to recognise a file that is too long.
    let read = file
        .take(Signature::BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes);

    read.map_err(|error| explained(&beside, error))?;

    // The file is named here, because the signature does not know where it was read.
    let signature = Signature::from_bytes(&bytes).map_err(|error| {
        let text = format!("{beside}: {}", error.message());
        Error::new(error.kind(), text).hint(error.hint_text().unwrap_or_default())
    })?;

    signature.verify(&shown, std::slice::from_ref(key), &mut content)?;

    Ok(signature)
}

/// The flag that lets a file have another name than its signature says.
pub(crate) const ANY_NAME: &str = "any-name";

/// That flag.
pub(crate) fn any_name() -> Arg {
    Arg::new(ANY_NAME)
        .long(ANY_NAME)
        .action(ArgAction::SetTrue)
        .help("Accept a signature that was made for a file of another name")
}

/// That a signature is for a file of this name.
///
/// # Errors
/// `Integrity` if not.
fn check_base(name: &str, signature: &Signature) -> Result<()> {
    let base = Path::new(name).file_name().and_then(|base| base.to_str());
    signature.check_name(name, base.unwrap_or_default())
}

/// Says what the signer says, and whether that is of a file of another name.
pub(crate) fn tell(output: &Output, name: &str, signature: &Signature) {
    // minisign separates with tabs, which the output would escape.
    let comment = signature.trusted_comment().replace('\t', " ");
    output.note(&format!("{name}: the signer says: {comment}"));
    let base = Path::new(name).file_name().and_then(|base| base.to_str());
    // Only where that was allowed; otherwise it was an error before.
    let is_other = |signed: &&str| Some(*signed) != base && *signed != name;
    if let Some(signed) = signature.file_name().filter(is_other) {
        output.warn(&format!("{name} was signed under another name: {signed}"));
    }
}
