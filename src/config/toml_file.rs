// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The file of settings, `config.toml` in the home: a line for each setting that is not to have its
//! default, `max-connections = 50`, at the top or in the table of its section, and the tables that
//! rooms read themselves.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use crate::config::layer::Layer;
use crate::config::mistakes::{no_value, unknown_setting, unquoted};
use crate::config::settings::{SECTIONS, Section, Setting, setting};
use crate::config::table::{TABLES, Table, TableEntry, TableKind, TableShape};
use crate::config::written::Origin;
use crate::error::{Error, ErrorKind, Result};
use crate::text::nearest;

impl Layer {
    /// What a file says; one that is missing says nothing.
    ///
    /// # Errors
    /// `Usage` with the line, for the first that is not TOML, not a setting or not a single value.
    pub fn from_file(path: &Path) -> Result<Self> {
        Self::with_mistakes(path).and_then(first)
    }

    /// The same with all mistakes.
    ///
    /// # Errors
    /// `Usage` if the file cannot be read.
    pub(crate) fn with_mistakes(path: &Path) -> Result<(Self, Vec<Error>)> {
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(Self::read(&text, &path.display().to_string(), TABLES)),
            Err(error) if is_absent(&error) => Ok(Default::default()),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                let text = format!("{} is not a text in UTF-8", path.display());
                Err(Error::new(ErrorKind::Usage, text))
            }
            Err(error) => {
                let inner = Error::io(format!("{} cannot be read", path.display()), error);
                Err(Error::new(ErrorKind::Usage, inner.message()))
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn from_toml(text: &str, file: &str) -> Result<Self> {
        first(Self::read(text, file, TABLES))
    }

    /// Reads a file in which these kinds of tables may stand beside the settings.
    fn read(text: &str, file: &str, kinds: &'static [TableKind]) -> (Self, Vec<Error>) {
        let source = TomlFile { text, file, kinds };

        let (table, errors) = DeTable::parse_recoverable(text);
        let mut layer = Self::default();
        let mut mistakes = BTreeMap::new();

        // Behind the first mistake in a line, the parser says what comes of it.
        for error in errors {
            let span = error.span().unwrap_or_default();
            let told = mistakes.entry(source.line(&span));
            told.or_insert_with(|| source.no_toml(&error, &span));
        }

        source.members(None, table.get_ref(), &mut layer, &mut mistakes);

        (layer, mistakes.into_values().collect())
    }
}

/// What was read, unless something in it is wrong.
fn first((layer, mistakes): (Layer, Vec<Error>)) -> Result<Layer> {
    match mistakes.into_iter().next() {
        Some(error) => Err(error),
        None => Ok(layer),
    }
}

/// A file that is being read.
struct TomlFile<'a> {
    text: &'a str,
    file: &'a str,
    kinds: &'static [TableKind],
}

impl TomlFile<'_> {
    fn line(&self, span: &Range<usize>) -> usize {
        let before = self.text.get(..span.start).unwrap_or_default();
        before.matches('\n').count() + 1
    }

    /// Where something begins, for people.
    fn place(&self, span: &Range<usize>) -> String {
        format!("{}, line {}", self.file, self.line(span))
    }

    /// The error of a line that is not TOML.
    fn no_toml(&self, error: &toml::de::Error, span: &Range<usize>) -> Error {
        let place = self.place(span);

        // The parser knows values of TOML; what the setting wants says more.
        if let Some(error) = unquoted(self.text, span.start, &place) {
            return error;
        }

        // The parser says more in further lines, which repeat the text of the file.
        let reason = error.message().lines().next().unwrap_or_default();
        if reason == "duplicate key" {
            let name = self.text.get(span.clone()).unwrap_or_default();
            let told = format!("{place}: {name} is already set above");
            return Error::new(ErrorKind::Usage, told).hint("remove one of the two");
        }
        Error::new(ErrorKind::Usage, format!("{place}: {reason}"))
    }

    /// Reads the members of a section, or of the whole file.
    fn members(
        &self,
        section: Option<&'static Section>,
        table: &DeTable<'_>,
        layer: &mut Layer,
        mistakes: &mut BTreeMap<usize, Error>,
    ) {
        for (key, value) in table {
            let (name, value) = (key.get_ref(), value.get_ref());
            let (line, place) = (self.line(&key.span()), self.place(&key.span()));

            // What was made of a line that is not TOML says nothing.
            if mistakes.contains_key(&line) {
                continue;
            }

            let result = match (section, value, Section::named(name)) {
                (None, DeValue::Table(table), Some(section)) => {
                    self.members(Some(section), table, layer, mistakes);
                    continue;
                }
                (None, _, _) => self.single(name, place, value, layer),
                (Some(section), _, _) => match section.setting(name) {
                    Some(setting) => take(setting, value, place, layer),
                    None => Err(unknown_setting(name, &place, Some(section))),
                },
            };
            if let Err(error) = result {
                mistakes.insert(line, error);
            }
        }
    }

    /// Reads a member that is no section.
    fn single(
        &self,
        name: &str,
        place: String,
        value: &DeValue<'_>,
        layer: &mut Layer,
    ) -> Result<()> {
        // A setting may stand at the top as well as in its section.
        if let Some(setting) = setting(name) {
            return take(setting, value, place, layer);
        }

        if let Some(kind) = self.kinds.iter().find(|kind| kind.name == name) {
            return self.tables(kind, value, &place, layer);
        }

        // What is left is a mistake, and each one names what it is nearest to.
        match (value, Section::named(name)) {
            (_, Some(_)) => {
                let text = format!("{place}: '{name}' is a section");
                Err(Error::new(ErrorKind::Usage, text).hint(format!("write it as [{name}]")))
            }
            (DeValue::Table(_), None) => Err(self.unknown_table(name, &place)),
            (_, None) if is_of_tables(value) => Err(self.unknown_table(name, &place)),
            _ => Err(unknown_setting(name, &place, None)),
        }
    }

    /// Reads the tables of one kind.
    fn tables(
        &self,
        kind: &'static TableKind,
        value: &DeValue<'_>,
        place: &str,
        layer: &mut Layer,
    ) -> Result<()> {
        match (kind.shape, value) {
            (TableShape::Repeated, DeValue::Array(items)) if is_of_tables(value) => {
                for item in items.iter() {
                    if let DeValue::Table(table) = item.get_ref() {
                        let place = self.place(&item.span());
                        layer.push_table(self.table(kind, None, place, table)?);
                    }
                }
                Ok(())
            }
            (TableShape::Named, DeValue::Table(tables)) if is_of_tables(value) => {
                for (name, table) in tables {
                    if let DeValue::Table(table) = table.get_ref() {
                        let place = self.place(&name.span());
                        let name = Some(name.get_ref().clone().into_owned());
                        layer.push_table(self.table(kind, name, place, table)?);
                    }
                }
                Ok(())
            }
            // The kind is known, but it is written in the form of the other shape.
            (shape, _) => {
                let form = match shape {
                    TableShape::Repeated => format!("[[{}]]", kind.name),
                    TableShape::Named => format!("[{}.NAME]", kind.name),
                };
                let text = format!("{place}: '{}' must be written as {form}", kind.name);
                Err(Error::new(ErrorKind::Usage, text))
            }
        }
    }

    fn table(
        &self,
        kind: &'static TableKind,
        name: Option<String>,
        place: String,
        table: &DeTable<'_>,
    ) -> Result<Table> {
        let mut entries = Vec::new();
        for (key, value) in table {
            let place = self.place(&key.span());
            let key = kind.key(key.get_ref(), &place)?;
            let text = plain(value.get_ref(), key, &place)?;
            entries.push(TableEntry { key, text, place });
        }

        Ok(Table {
            kind: kind.name,
            name,
            place,
            entries,
        })
    }

    fn unknown_table(&self, name: &str, place: &str) -> Error {
        let sections = SECTIONS.iter().map(|section| section.name);
        let known = sections.chain(self.kinds.iter().map(|kind| kind.name));
        let names: Vec<_> = known.collect();

        let text = format!("{place}: unknown table '{name}'");
        let error = Error::new(ErrorKind::Usage, text);

        match nearest(name, names.iter().copied()) {
            Some(near) => error.hint(format!("did you mean [{near}]?")),
            None => error.hint(format!("the tables are {}", names.join(", "))),
        }
    }
}

fn take(
    setting: &'static Setting,
    value: &DeValue<'_>,
    place: String,
    layer: &mut Layer,
) -> Result<()> {
    // TOML refuses a key that stands twice in one table, but not one at the top and in its section.
    if let Some(other) = layer.origin(setting.key) {
        let text = format!("{place}: {} is also set in {other}", setting.key);
        return Err(Error::new(ErrorKind::Usage, text).hint("remove one of the two lines"));
    }

    if let Some(wanted) = other_type(setting, value) {
        let text = format!("{place}: {} must be {wanted}", setting.key);
        return Err(Error::new(ErrorKind::Usage, text));
    }

    let text = plain(value, setting.key, &place)?;
    layer.push(setting, text, Origin::Line(place));
    Ok(())
}

/// What a setting takes, if a value is of another type of TOML. Texts are read as behind a flag.
fn other_type(setting: &Setting, value: &DeValue<'_>) -> Option<&'static str> {
    let is_number = ["N", "PORT", "SIZE", "TIME", "VERSION"].contains(&setting.value);
    let is_list = setting.value.ends_with(",...");

    match value {
        DeValue::Boolean(_) if setting.is_boolean() => None,
        _ if setting.is_boolean() => Some("true or false, without quotation marks"),
        DeValue::Boolean(_) | DeValue::Integer(_) | DeValue::Float(_) if !is_number => {
            Some("a text in quotation marks")
        }
        DeValue::Array(_) if !is_list => Some("a single value"),
        _ => None,
    }
}

/// Whether a value is a table of tables, or a list of tables.
fn is_of_tables(value: &DeValue<'_>) -> bool {
    let is_table = |value: &DeValue<'_>| matches!(value, DeValue::Table(_));
    match value {
        DeValue::Table(members) => members.values().all(|member| is_table(member.get_ref())),
        DeValue::Array(items) => {
            !items.is_empty() && items.iter().all(|item| is_table(item.get_ref()))
        }
        _ => false,
    }
}

/// A home that is no directory is reported by the room that opens it.
fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// A value as one would write it behind a flag; a list becomes one with commas.
fn plain(value: &DeValue<'_>, key: &str, place: &str) -> Result<String> {
    match value {
        DeValue::String(text) => Ok(text.clone().into_owned()),
        DeValue::Integer(number) => Ok(number.as_str().replace('_', "")),
        // No setting takes one, and each says what it takes instead.
        DeValue::Float(number) => Ok(number.as_str().to_owned()),
        DeValue::Boolean(on) => Ok(on.to_string()),
        DeValue::Array(items) => {
            let items = items
                .iter()
                .map(|item| list_item(item.get_ref(), key, place));
            Ok(items.collect::<Result<Vec<_>>>()?.join(","))
        }
        _ => Err(no_value(key, place)),
    }
}

/// An item of a list. Its comma would separate two items later.
fn list_item(item: &DeValue<'_>, key: &str, place: &str) -> Result<String> {
    let DeValue::String(text) = item else {
        let error = format!("{place}: an item of the list {key} is not a string");
        return Err(Error::new(ErrorKind::Usage, error).hint("write it in quotation marks"));
    };
    let text = text.clone().into_owned();
    if !text.contains(',') {
        return Ok(text);
    }

    let error = format!("{place}: an item of the list {key} contains a comma");
    Err(Error::new(ErrorKind::Usage, error).hint("write it as several items of the list"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::configuration::Config;

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
                "line 2: unknown setting 'max-conections'",
            ),
            ("workers = ", "line 1: "),
            ("\nworkers = { a = 1 }", "line 2: workers must be a string"),
            (
                "\n\ntimeout = \"soon\"",
                "line 3: 'soon' is not a valid value for timeout",
            ),
            (
                "workers = 1\nworkers = 2",
                "line 2: workers is already set above",
            ),
            (
                "[server]\ndir = \"a\"\n[log]\n[server]\nport = 1",
                "line 4: server is already set above",
            ),
            ("workers = 1 2", "line 1: "),
            (
                "\nmax-connections = fifty # all",
                "line 2: 'fifty' is not a valid value for max-connections: write a whole number",
            ),
            (
                "[cache]\n idle = soon",
                "line 2: 'soon' is not a valid value for cache-idle: write a time",
            ),
            (
                "max-connections = 1.5",
                "line 1: '1.5' is not a valid value for max-connections: write a whole number",
            ),
            ("dir = models", "line 1: the text needs quotation marks"),
            (
                "accept = [\n\"a\",\n\"b,c\"]",
                "line 1: an item of the list accept contains a comma",
            ),
            (
                "accept = [\"*.onnx\", 5]",
                "line 1: an item of the list accept is not a string",
            ),
            (
                "listen = [[\"*\"]]",
                "line 1: an item of the list listen is not a string",
            ),
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
    fn a_value_has_the_type_of_its_setting() {
        for (text, told) in [
            ("plain = 1", "line 1: plain must be true or false"),
            ("plain = \"true\"", "line 1: plain must be true or false"),
            ("landlock = 1", "line 1: landlock must be true or false"),
            ("dearning = 0", "line 1: dearning must be true or false"),
            (
                "dir = true",
                "line 1: dir must be a text in quotation marks",
            ),
            ("log-file = false", "line 1: log-file must be a text in"),
            ("host-names = 5", "line 1: host-names must be a text in"),
            ("workers = true", "line 1: 'true' is not a valid value"),
            (
                "timeout = [\"5s\"]",
                "line 1: timeout must be a single value",
            ),
            (
                "read-only = [true]",
                "line 1: read-only must be true or false",
            ),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.message().contains(told), "{text}: {error}");
        }
    }

    #[test]
    fn a_missing_file_says_nothing() {
        let layer = Layer::from_file(Path::new("/nonexistent/config.toml")).unwrap();
        assert!(layer.is_empty());
    }

    #[test]
    fn a_file_that_is_no_text_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, b"workers = 1 # \xff").unwrap();
        let error = Layer::from_file(&path).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(error.message().ends_with("is not a text in UTF-8"));
    }

    #[test]
    fn sections_are_tables() {
        let text = "workers = 3\n[limits]\nmax-connections = 7\n[cache]\nbytes = \"1MiB\"\n\
                    cache-entries = 2\n[log]\npolls = true\n";
        let config = read(text).unwrap();

        assert_eq!(config.limits.workers, 3);
        assert_eq!(config.limits.connections_max, 7);
        assert_eq!(config.store.cache_bytes_max, 1 << 20);
        assert_eq!(config.store.cache_entries_max, 2);
        assert!(config.log.audit.polls);
    }

    #[test]
    fn what_is_unknown_names_the_nearest() {
        for (text, told, hint) in [
            (
                "[limts]\nworkers = 3",
                "line 1: unknown table 'limts'",
                "[limits]",
            ),
            (
                "[limits]\nmax-conections = 3",
                "line 2: unknown setting 'max-conections' in [limits]",
                "max-connections",
            ),
            (
                "[limits]\n\nworkers = 3",
                "line 3: unknown setting 'workers' in [limits]",
                "belongs to [server]",
            ),
            (
                "[[hok]]\nrun = \"x\"",
                "line 1: unknown table 'hok'",
                "limits",
            ),
            ("cache = 3", "line 1: 'cache' is a section", "[cache]"),
            ("dri = 3", "line 1: unknown setting 'dri'", "mean dir?"),
            (
                "[limits]\nconnections = 3",
                "line 2: unknown setting 'connections' in [limits]",
                "mean max-connections?",
            ),
            (
                "[server]\nserver-port = 3",
                "line 2: unknown setting 'server-port' in [server]",
                "mean port?",
            ),
            (
                "[cache]\nbites = 3",
                "line 2: unknown setting 'bites' in [cache]",
                "mean bytes?",
            ),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.message().contains(told), "{text}: {error}");
            assert!(
                error.hint_text().unwrap_or_default().contains(hint),
                "{text}: {error:?}"
            );
        }
    }

    #[test]
    fn a_byte_order_mark_is_passed_over() {
        // As editors of some systems put it in front.
        assert_eq!(read("\u{feff}workers = 3").unwrap().limits.workers, 3);
        for (text, line) in [("none = 3", 1), ("workers = 3\nnone = 3", 2), ("a\nb", 1)] {
            let error = read(&format!("\u{feff}{text}")).unwrap_err();
            assert!(error.message().contains(&format!("line {line}")), "{error}");
        }
    }

    const KINDS: &[TableKind] = &[
        TableKind {
            name: "hook",
            shape: TableShape::Repeated,
            keys: &["on", "run"],
        },
        TableKind {
            name: "peers",
            shape: TableShape::Named,
            keys: &["address", "pin"],
        },
    ];

    #[test]
    fn rooms_read_tables_of_their_own() {
        let text = "workers = 2\n[[hook]]\non = \"model.published\"\nrun = \"true\"\n[[hook]]\n\
                    run = \"b\"\n[peers.attic]\naddress = \"192.168.1.9\"\n[peers.\"a b\"]\n";
        let mut config = Config::new("/home/skep".into());
        config
            .take(&first(Layer::read(text, "config.toml", KINDS)).unwrap())
            .unwrap();

        let headers: Vec<_> = config.tables.iter().map(Table::header).collect();
        assert_eq!(
            headers,
            ["[[hook]]", "[[hook]]", "[peers.a b]", "[peers.attic]"]
        );

        let first = &config.tables[0];
        assert_eq!(first.place, "config.toml, line 2");
        assert_eq!(
            (first.entries[0].key, first.entries[0].text.as_str()),
            ("on", "model.published")
        );
        assert_eq!(first.entries[1].place, "config.toml, line 4");
    }

    #[test]
    fn tables_of_rooms_are_read_as_strictly_as_settings() {
        for (text, told) in [
            (
                "[[hook]]\nrnu = \"x\"",
                "line 2: a table 'hook' has no key 'rnu'",
            ),
            (
                "[hook]\nrun = \"x\"",
                "line 1: 'hook' must be written as [[hook]]",
            ),
            ("hook = 3", "line 1: 'hook' must be written as [[hook]]"),
            (
                "[peers]\naddress = \"x\"",
                "line 1: 'peers' must be written as [peers.NAME]",
            ),
            ("[[hook]]\nrun = { a = 1 }", "line 2: run must be a string"),
        ] {
            let error = first(Layer::read(text, "config.toml", KINDS)).expect_err(text);
            assert_eq!(error.kind(), ErrorKind::Usage);
            assert!(error.message().contains(told), "{text}: {error}");
        }
    }
}
