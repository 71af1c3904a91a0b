// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A line of the log before it is written: what was said, when, and in which form it is shown.

use std::time::SystemTime;

use log::Level;

use crate::logging::format::{self, LogFormat};
use crate::text::{counted, escaped};
use crate::wire::rfc3339;

/// How lines begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// With `skep:`, for a command that somebody waits for.
    Plain,
    /// With the time, for a server.
    Stamped,
}

/// Whether a line begins with the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LineTime {
    Present,
    Absent,
}

/// How lines look, as the settings say when a line is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LineForm {
    pub(crate) style: Style,
    pub(crate) format: LogFormat,
}

/// One record of the log, whatever the record has in it.
pub(crate) struct LogLine {
    pub(crate) at: SystemTime,
    pub(crate) level: Level,
    pub(crate) text: String,
    /// Whether the text is an event, which is written in its form already.
    pub(crate) is_event: bool,
    pub(crate) form: LineForm,
}

impl LogLine {
    /// What stands in the log for lines that are not there.
    pub(crate) fn of_loss(lost: u64, at: SystemTime, form: LineForm) -> Self {
        let lines = counted(lost, "line");
        Self {
            at,
            level: Level::Warn,
            text: format!("{lines} of the log could not be written and so are missing here"),
            is_event: false,
            form,
        }
    }

    /// The line as it is written, without its end.
    pub(crate) fn shown(&self, stamp: LineTime) -> String {
        let format = self.form.format;
        let level = match self.level {
            Level::Error => "error",
            Level::Warn => "warning",
            Level::Info => "info",
            Level::Debug => "debug",
            Level::Trace => "trace",
        };

        // Events are written in their form already; people's has no time in it.
        if self.is_event && format != LogFormat::Line {
            return self.text.clone();
        }
        if let Some(line) = format::record(format, self.at, level, &self.text) {
            return line;
        }

        let text = escaped(&self.text);
        match (self.form.style, stamp) {
            (Style::Stamped, LineTime::Present) => format!("{} {level} {text}", rfc3339(self.at)),
            (Style::Stamped, LineTime::Absent) => format!("{level} {text}"),
            (Style::Plain, _) => format!("skep: {level}: {text}"),
        }
    }
}
