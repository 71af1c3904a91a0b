// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What is said of lines of the file that are no settings, or whose values cannot be read.

use std::path::PathBuf;

use toml::de::DeTable;

use crate::config::configuration::Config;
use crate::config::settings::{Section, Setting, setting, settings};
use crate::error::{Error, ErrorKind};
use crate::text::nearest;

/// The error of a value that is a table or a date.
pub(crate) fn no_value(key: &str, place: &str) -> Error {
    let text = format!("{place}: {key} must be a string, a number, a list, true or false");
    Error::new(ErrorKind::Usage, text)
}

/// The error of a line that means no setting, with the one that is nearest to it.
pub(crate) fn unknown_setting(name: &str, place: &str, section: Option<&'static Section>) -> Error {
    let other = settings().find(|(_, setting)| setting.key == name);

    let within = section.map_or_else(String::new, |section| format!(" in [{}]", section.name));
    let text = format!("{place}: unknown setting '{name}'{within}");
    let error = Error::new(ErrorKind::Usage, text);

    // A setting that exists elsewhere is named exactly; similar names are only a guess.
    if let Some((home, _)) = other {
        return error.hint(format!("it belongs to [{}]", home.name));
    }

    match meant(name, section) {
        Some(known) => error.hint(format!("did you mean {known}?")),
        None => error.hint("'skep config' lists all settings"),
    }
}

/// The setting that an unknown name most likely means.
fn meant(name: &str, section: Option<&'static Section>) -> Option<&'static str> {
    let keys = || settings().map(|(_, setting)| setting.key);

    // The name of the section in front of a name that does not have it (`server-port`), or a name
    // without what is in front of it (`connections`).
    let bare = section
        .and_then(|section| name.strip_prefix(section.name)?.strip_prefix('-'))
        .unwrap_or(name);
    let whole = [
        bare.to_owned(),
        format!("max-{bare}"),
        format!("min-{bare}"),
    ];
    if let Some(key) = keys().find(|key| whole.iter().any(|name| name == key)) {
        return Some(key);
    }

    // In a section, the short forms of its own settings are meant before all others.
    let own = section
        .into_iter()
        .flat_map(Section::names)
        .collect::<Vec<_>>();
    nearest(name, own.into_iter()).or_else(|| nearest(name, keys()))
}

/// The error of a line `KEY = WORD`, which the parser refuses because texts have quotation marks in
/// TOML. `at` is where the parser stopped; `None` if the line has another form.
pub(crate) fn unquoted(text: &str, at: usize, place: &str) -> Option<Error> {
    let before = text.get(..at)?;
    let start = before.rfind('\n').map_or(0, |end| end + 1);
    let line = text.get(start..)?.lines().next()?;
    let (key, value) = line.split_once('=')?;
    let word = value.split('#').next()?.trim();

    // A number or a switch needs no quotation marks, so the mistake is another one.
    if DeTable::parse(&format!("{key} = {word}")).is_ok() {
        return None;
    }

    let is_word = |character: char| character.is_alphanumeric() || "._-:/*?%,".contains(character);
    if word.is_empty() || !word.chars().all(is_word) {
        return None;
    }

    let setting = named(key.trim(), text.get(..start)?)?;

    // The value is tried where it does no harm.
    let text = match (setting.apply)(&mut Config::new(PathBuf::new()), word) {
        Ok(()) => format!(
            "{place}: the text needs quotation marks: {} = \"{word}\"",
            key.trim()
        ),
        Err(reason) => format!(
            "{place}: '{word}' is not a valid value for {}: {reason}",
            setting.key
        ),
    };

    Some(Error::new(ErrorKind::Usage, text))
}

/// The setting that a key means behind these lines.
fn named(key: &str, before: &str) -> Option<&'static Setting> {
    let header = before.lines().rev().map(str::trim).find_map(|line| {
        let name = line.strip_prefix('[')?.split(']').next()?;
        Some(name.trim())
    });

    match header {
        None => setting(key),
        Some(name) => Section::named(name)?.setting(key),
    }
}
