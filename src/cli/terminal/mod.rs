// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What people see and say at a terminal, and the signals that it sends.

mod advice;
pub(crate) mod ask;
mod bar;
mod folder_progress;
mod items;
mod machine;
mod output;
pub(crate) mod page;
mod progress;
pub(crate) mod signals;
mod standard;

pub(crate) use folder_progress::FolderProgress;
pub(crate) use items::{ShownItem, ends_all};
pub(crate) use machine::JsonReport;
pub(crate) use output::Output;
pub(crate) use page::Page;
pub(crate) use progress::{Progress, size};
pub(crate) use standard::{has_blocks, is_closed};
