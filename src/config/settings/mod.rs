// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The table of settings, section by section: the single source for flags, variables, the file, help
//! texts, `skep config` and the manual.

mod access;
mod cache;
mod hub;
mod limits;
mod log;
mod server;
pub(crate) mod setting;
mod store;
mod tls;
mod uploads;

pub use setting::{Effect, Setting};

/// Settings that belong together; in `config.toml` they may stand in a table of this name.
#[derive(Debug)]
pub struct Section {
    /// The name of the table.
    pub name: &'static str,
    /// What its settings are about, in one line.
    pub about: &'static str,
    /// Its settings.
    pub rows: &'static [Setting],
}

/// All sections, in the order in which they are listed.
pub const SECTIONS: &[Section] = &[
    Section {
        name: "server",
        about: "The model directory, where the server listens, and its threads",
        rows: server::ROWS,
    },
    Section {
        name: "tls",
        about: "The identity of the server, and whose certificates are accepted",
        rows: tls::ROWS,
    },
    Section {
        name: "limits",
        about: "Limits of connections, requests and bodies: number, size and time",
        rows: limits::ROWS,
    },
    Section {
        name: "store",
        about: "Which models are accepted, and how they are kept",
        rows: store::ROWS,
    },
    Section {
        name: "uploads",
        about: "Interrupted uploads, and how long they can be resumed",
        rows: uploads::ROWS,
    },
    Section {
        name: "mirroring",
        about: "Another hub, of which repositories come that are not here",
        rows: hub::ROWS,
    },
    Section {
        name: "cache",
        about: "Memory for small models",
        rows: cache::ROWS,
    },
    Section {
        name: "access",
        about: "Who may do what, and when an address is locked out",
        rows: access::ROWS,
    },
    Section {
        name: "log",
        about: "What is logged, in which format, and where",
        rows: log::ROWS,
    },
];

/// All settings with their sections.
pub fn settings() -> impl Iterator<Item = (&'static Section, &'static Setting)> {
    SECTIONS
        .iter()
        .flat_map(|section| section.rows.iter().map(move |setting| (section, setting)))
}

impl Section {
    /// The section of this name.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        SECTIONS.iter().find(|section| section.name == name)
    }

    /// The names that a line in the table of this section may have: the short forms first.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        let short = |setting: &Setting| setting.key.strip_prefix(self.name)?.strip_prefix('-');
        let shorts = self.rows.iter().filter_map(short);
        shorts
            .chain(self.rows.iter().map(|setting| setting.key))
            .collect()
    }

    /// The setting that a line in the table of this section means: its whole name, or what follows
    /// the name of the section in it (`bytes` in `[cache]` is `cache-bytes`).
    pub(crate) fn setting(&self, name: &str) -> Option<&'static Setting> {
        let is_meant = |setting: &&'static Setting| {
            let short = setting.key.strip_prefix(self.name);
            setting.key == name || short.and_then(|rest| rest.strip_prefix('-')) == Some(name)
        };
        self.rows.iter().find(is_meant)
    }
}

/// The setting of this name, whichever section it belongs to.
pub(crate) fn setting(key: &str) -> Option<&'static Setting> {
    settings()
        .map(|(_, setting)| setting)
        .find(|setting| setting.key == key)
}
