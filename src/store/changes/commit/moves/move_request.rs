// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Another name for a model or a folder, as it is asked for and as it is answered: values only.

use crate::model::{ModelName, Revision};
use crate::store::claim::Condition;

/// What is to get another name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MoveRequest {
    pub(crate) from: ModelName,
    pub(crate) to: ModelName,
    /// Whether these are names of folders.
    pub(crate) is_folder: bool,
    pub(crate) expected: ExpectedState,
}

/// What has to be true of what is changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum ExpectedState {
    #[default]
    Any,
    Model(Condition),
    Folder(Revision),
}

/// What got another name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MoveOutcome {
    /// How many models; a signature beside a model is one.
    pub(crate) models: usize,
    /// Their bytes.
    pub(crate) size: u64,
}
