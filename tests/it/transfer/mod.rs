// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Models on their way: both clients, resumed and stopped transfers.

mod between;
mod dearning;
mod dearning_wire;
mod failing_calls;
mod lies;
mod lies_of_dearning;
mod lies_that_drip;
pub(crate) mod lies_to_put;
mod lost_power;
mod old_servers;
mod other_clients;
mod part_answers;
mod piped;
mod piped_cuts;
mod planted_links;
pub(crate) mod resume;
mod shown_headers;
mod stopping;
mod there_and_back;
mod uploads_cut;
mod wishes;
