// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the flags of `skep put` say of an input whose end is no proof that it is whole.

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::cli::flags::switch::is_set;
use crate::client::EmptyInput;
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};

/// What was announced of the one file or input that is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AnnouncedInput {
    pub(crate) length: Option<u64>,
    pub(crate) digest: Option<Digest>,
    pub(crate) empty: EmptyInput,
}

/// Adds those flags.
pub(crate) fn arguments(command: Command) -> Command {
    let flag = |name: &'static str| Arg::new(name).long(name).help_heading("Input");
    let switch = |name| flag(name).action(ArgAction::SetTrue);

    command
        .arg(
            flag("size")
                .value_name("SIZE")
                .allow_negative_numbers(true)
                .help("Publish the input only if it has exactly this many bytes"),
        )
        .arg(
            flag("digest")
                .value_name("DIGEST")
                .help("Publish the input only if it has this SHA-256"),
        )
        .arg(
            switch("require-size")
                .help("Refuse standard input unless --size or --digest says when it is whole"),
        )
        .arg(switch("allow-empty").help("Take an empty standard input for an empty model"))
}

impl AnnouncedInput {
    /// What the flags say of `count` files, of which some are streams.
    ///
    /// # Errors
    /// `Usage` for what cannot be understood, what is said of several files at once, and for a stream of
    /// which nothing is said although that is required.
    pub(crate) fn of(matches: &ArgMatches, count: usize, has_stream: bool) -> Result<Self> {
        let text = |flag: &str| matches.get_one::<String>(flag);
        let usage = |text: String| Error::new(ErrorKind::Usage, text);

        let length = text("size")
            .map(|text| crate::text::bytes(text))
            .transpose()
            .map_err(|reason| usage(format!("--size: {reason}")))?;
        let digest = text("digest")
            .map(|text| digest("--digest", text))
            .transpose()?;

        let is_announced = length.is_some() || digest.is_some();
        if is_announced && count != 1 {
            let text = "--size and --digest can be used with one file only".to_owned();
            return Err(usage(text));
        }

        if has_stream && !is_announced && is_set(matches, "require-size")? {
            let text = "nothing says when standard input is whole, and --require-size wants that";
            return Err(usage(text.to_owned()).hint("add --size BYTES or --digest DIGEST"));
        }

        let empty = if is_set(matches, "allow-empty")? {
            EmptyInput::Allowed
        } else {
            EmptyInput::Refused
        };

        Ok(Self {
            length,
            digest,
            empty,
        })
    }
}

/// A digest in the forms of `skep ls -l` and of sha256sum.
///
/// # Errors
/// `Usage` for any other text.
pub(crate) fn digest(flag: &str, text: &str) -> Result<Digest> {
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    digits.parse().map_err(|_| {
        let text = format!("{flag}: a digest is 64 hexadecimal digits");
        Error::new(ErrorKind::Usage, text)
            .hint("'skep ls -l' shows them, and sha256sum prints them")
    })
}
