// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a model directory promises: whole files, whatever happens in between.

mod broken_off;
mod crash;
mod described;
mod failing_disk;
mod formats;
mod full_disk;
mod keeping;
mod left_over;
mod looking;
mod modes;
mod pickles;
mod planted;
mod power_cut;
mod read_only;
mod ready_files;
mod vanished;
mod writers;
