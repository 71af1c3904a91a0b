// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The skep binary: hands its arguments to the command line of the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    skep::cli::run(std::env::args_os())
}
