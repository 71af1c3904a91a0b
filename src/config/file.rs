// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The file of settings, `config.toml` in the home: one line for each setting that is not to have its
//! default, `max-connections = 50`.

use std::io;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::layer::{Layer, Origin};
use super::setting::SETTINGS;
use crate::error::{Error, ErrorKind, Result};
use crate::text::nearest;

impl Layer {
    /// What a file says; one that is missing says nothing.
    ///
    /// # Errors
    /// `Usage` with the line, for what is not TOML, not a setting or not a single value.
    pub fn from_file(path: &Path) -> Result<Self> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::from_toml(&text, &path.display().to_string()),
            Err(error) if is_absent(&error) => Ok(Self::default()),
            Err(error) => {
                let inner = Error::io(format!("{} cannot be read", path.display()), error);
                Err(Error::new(ErrorKind::Usage, inner.message()))
            }
        }
    }

    pub(crate) fn from_toml(text: &str, file: &str) -> Result<Self> {
        let place = |start: usize| {
            let line = text.get(..start).unwrap_or_default().matches('\n').count() + 1;
            format!("{file}, line {line}")
        };
        let table = DeTable::parse(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            let reason = error
                .message()
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned();
            Error::new(ErrorKind::Usage, format!("{}: {reason}", place(start)))
        })?;
        let mut layer = Self::default();
        for (key, value) in table.get_ref() {
            let (name, origin) = (key.get_ref().as_ref(), place(key.span().start));
            let Some(setting) = SETTINGS.iter().find(|setting| setting.key == name) else {
                let error = Error::new(
                    ErrorKind::Usage,
                    format!("{origin}: there is no setting '{name}'"),
                );
                let known = nearest(name, SETTINGS.iter().map(|setting| setting.key));
                return Err(match known {
                    Some(known) => error.hint(format!("did you mean {known}?")),
                    None => error.hint("'skep help serve' lists all settings"),
                });
            };
            let Some(text) = plain(value.get_ref()) else {
                let text = format!("{origin}: {name} takes a text, a number, or true or false");
                return Err(Error::new(ErrorKind::Usage, text));
            };
            layer.push(setting, text, Origin::Line(origin));
        }
        Ok(layer)
    }
}

/// A home that is no directory is reported by whoever needs it more.
fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// A value as one would write it behind a flag; a list becomes one with commas.
fn plain(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.clone().into_owned()),
        DeValue::Integer(number) => Some(number.as_str().replace('_', "")),
        DeValue::Boolean(on) => Some(on.to_string()),
        DeValue::Array(items) => {
            let items: Option<Vec<_>> = items.iter().map(|item| plain(item.get_ref())).collect();
            items.map(|items| items.join(","))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn read(text: &str) -> Result<Config> {
        let mut config = Config::new("/home/skep".into());
        config.take(&Layer::from_toml(text, "config.toml")?)?;
        Ok(config)
    }

    #[test]
    fn lines_are_settings() {
        let text = "# mine\nmax-connections = 1_0\ntimeout = \"3s\"\nplain = true\n\
                    listen = [\"127.0.0.1:0\", \"[::1]:0\"]\n";
        let config = read(text).unwrap();
        assert_eq!((config.limits.connections_max, config.plain), (10, true));
        assert_eq!(config.limits.timeout.as_secs(), 3);
        assert_eq!(config.addresses, ["127.0.0.1:0", "[::1]:0"]);
    }

    #[test]
    fn mistakes_name_their_line() {
        for (text, told) in [
            (
                "workers = 4\nmax-conections = 3",
                "line 2: there is no setting 'max-conections'",
            ),
            ("workers = ", "line 1: "),
            ("\nworkers = { a = 1 }", "line 2: workers takes"),
            (
                "\n\ntimeout = \"soon\"",
                "line 3: 'soon' does not do for timeout",
            ),
            ("workers = 1\nworkers = 2", "line 2: "),
        ] {
            let error = read(text).expect_err(text);
            assert_eq!(error.kind(), ErrorKind::Usage);
            assert!(error.message().contains(told), "{text}: {error}");
        }
        let error = read("max-conections = 3").unwrap_err();
        assert!(
            error.hint_text().unwrap().contains("max-connections"),
            "{error}"
        );
    }

    #[test]
    fn a_missing_file_says_nothing() {
        let layer = Layer::from_file(Path::new("/nonexistent/config.toml")).unwrap();
        assert_eq!(layer.values().count(), 0);
    }
}
