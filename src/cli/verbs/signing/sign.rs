// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `skep sign`: signs files of this device; and what `skep put --sign` needs of that.

use std::fs::File;
use std::io::{self, Read, Seek as _};
use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Command};
use serde_json::json;

use crate::cli::flags::{Source, SourceReader};
use crate::cli::terminal::Output;
use crate::cli::verbs::signing::keygen;
use crate::client::{Client, Stored};
use crate::digest::{Digest, Hasher};
use crate::error::{Error, ErrorKind, Result};
use crate::model::ModelName;
use crate::signature::{Prehash, SecretKey, Signature};
use crate::{clock, disk};

pub(crate) fn arguments(command: Command) -> Command {
    let files = Arg::new("file")
        .value_name("FILE")
        .num_args(1..)
        .required(true);
    let files = files.value_parser(clap::value_parser!(PathBuf));
    command
        .before_help(EXAMPLES)
        .arg(flag("key"))
        .arg(files.help("Files to sign"))
}

/// The flag that names a secret key.
pub(crate) fn flag(name: &'static str) -> Arg {
    let flag = Arg::new(name).long(name).value_name("KEYFILE");
    let flag = flag.value_parser(clap::value_parser!(PathBuf));
    flag.help(match name {
        "key" => "The secret key [default: sign.key in the home]",
        _ => "Sign with this secret key, and send the signature as NAME.minisig, too",
    })
}

/// The secret key of a flag.
///
/// # Errors
/// `Usage` if it cannot be read or used.
pub(crate) fn key(matches: &ArgMatches, flag: &str) -> Result<Option<SecretKey>> {
    matches
        .get_one::<PathBuf>(flag)
        .map(|path| SecretKey::read(path))
        .transpose()
}

pub(crate) fn run(matches: &ArgMatches, output: &Output) -> Result<()> {
    let key = match key(matches, "key")? {
        Some(key) => key,
        None => SecretKey::read(&keygen::default_file()?).map_err(|error| {
            error.hint("'skep keygen' makes it; or name another one with --key")
        })?,
    };

    let mut files = Vec::new();

    output.each(
        matches.get_many::<PathBuf>("file").into_iter().flatten(),
        |path| {
            // As `skep sign models/*` names them the second time.
            if path
                .as_os_str()
                .as_encoded_bytes()
                .ends_with(SUFFIX.as_bytes())
            {
                output.note(&format!(
                    "{} is a signature itself, and is not signed",
                    path.display()
                ));
                return Ok(());
            }
            let signed = file(&key, path, None)?;
            let target = signature_file(path);
            let shown = target.display().to_string();

            // The temporary file is made beside the target, and a bare name has an empty parent.
            let place = if target.is_absolute() {
                target
            } else {
                Path::new(".").join(target)
            };
            disk::write(&place, signed.signature.to_string().as_bytes(), 0o644)
                .map_err(|error| Error::local(format!("writing {shown}"), error))?;
            files.push(json!({"path": path.display().to_string(), "signature": shown}));
            output.line(&shown)
        },
    );

    output.json(&json!({"schema": 1, "files": files}))
}

/// Where the signature of a file is: beside it, as `FILE.minisig`.
pub(crate) fn signature_file(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(SUFFIX);
    name.into()
}

/// A file that was signed.
pub(crate) struct SignedFile {
    pub(crate) signature: Signature,
    /// What was signed.
    prehash: [u8; 64],
    /// Of the bytes that were signed.
    digest: Digest,
}

/// Signs a file under its own or another name.
///
/// # Errors
/// `Usage` for what cannot be read twice; those of the file system.
pub(crate) fn file(key: &SecretKey, path: &Path, name: Option<&ModelName>) -> Result<SignedFile> {
    let source = Source::open(path, name, "skep sign")?;
    let SourceReader::File(mut content) = source.reader else {
        let text = format!(
            "{} can be read only once, so it cannot be signed",
            path.display()
        );
        return Err(Error::new(ErrorKind::Usage, text).hint("save it as a file first"));
    };

    signed(key, &mut content, &source.name)
        .map_err(|error| Error::local(format!("reading {}", path.display()), error))
}

/// Signs a file that is open, from its start on, under a name.
///
/// # Errors
/// Those of the file system.
pub(crate) fn opened(key: &SecretKey, mut file: &File, name: &ModelName) -> Result<Signature> {
    let signed = file.rewind().and_then(|()| signed(key, &mut file, name));
    let signed = signed.map_err(|error| Error::local(format!("reading {name}"), error))?;
    Ok(signed.signature)
}

fn signed(key: &SecretKey, content: &mut dyn Read, name: &ModelName) -> io::Result<SignedFile> {
    // Two digests in one pass: the signature covers the first, and `put` compares the second with
    // what was sent.
    let (mut prehash, mut hasher) = (Prehash::default(), Hasher::new());
    let mut buffer = vec![0; 64 << 10];

    loop {
        match content.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                prehash.update(&buffer[..count]);
                hasher.update(&buffer[..count]);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }

    let prehash = prehash.finish();
    let seconds = clock::seconds();

    // The words that minisign uses.
    let comment = format!("timestamp:{seconds}\tfile:{name}\thashed");
    let signature = key.sign(&prehash, &comment);

    Ok(SignedFile {
        signature,
        prehash,
        digest: hasher.finish(),
    })
}

impl SignedFile {
    /// Whether the server has a signature of these bytes by this key beside a model that was just sent with
    /// this digest. Another time or name in its comment makes it no other one.
    ///
    /// # Errors
    /// `Integrity` if other bytes were sent than were signed; otherwise those of the connection and of the
    /// server.
    pub(crate) fn is_there(
        &self,
        client: &mut Client,
        model: &ModelName,
        key: &SecretKey,
        sent: &Digest,
    ) -> Result<bool> {
        // The file was read twice, to sign it and to send it, and may have changed in between.
        if *sent != self.digest {
            let text =
                format!("'{model}' was changed after it was signed, so its signature is wrong");
            return Err(Error::new(ErrorKind::Integrity, text).hint("send it again"));
        }

        match client.signature(model) {
            Ok(there) => Ok(there.is_of(&self.prehash, key.public_key())),
            // There is none, or what has its name is none.
            Err(error) if error.kind() == ErrorKind::Integrity => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Sends the signature of a model as a model of its own.
    ///
    /// # Errors
    /// As [`Client::put`].
    pub(crate) fn put(&self, client: &mut Client, model: &ModelName) -> Result<Stored> {
        let text = self.signature.to_string();
        let length = Some(text.len() as u64);

        client.put(
            &Signature::name_for(model)?,
            &mut text.as_bytes(),
            length,
            &mut |_| {},
        )
    }
}

const SUFFIX: &str = ".minisig";

const EXAMPLES: &str = "\
Examples:
  skep sign model.onnx                        make model.onnx.minisig
  skep sign --key team.key *.onnx";
