// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The log of the process: what a line says, how it is written, and where it goes.

mod audit_log;
pub(crate) mod format;
mod line_budget;
mod log_line;
mod log_options;
mod log_queue;
pub(crate) mod logger;
mod stranger_lines;
mod target;

pub(crate) use audit_log::{is_wanted, observer};
pub(crate) use format::AuditOptions;
pub(crate) use line_budget::LineBudget;
pub(crate) use log_line::Style;
pub(crate) use log_options::LogOptions;
pub(crate) use logger::{Through, finish, flush, start, through};
