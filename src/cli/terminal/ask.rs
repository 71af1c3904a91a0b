// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Asks whoever sits at the terminal whether a server is the right one.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use crate::client::FirstUse;
use crate::pin::Pin;

/// What happens with new servers: a question if there is somebody to ask, else a refusal.
pub(crate) fn first_use() -> FirstUse {
    match io::stdin().is_terminal() && io::stderr().is_terminal() {
        true => FirstUse::Ask(Box::new(ask)),
        false => FirstUse::Refuse,
    }
}

fn ask(server: &str, pin: Pin) -> bool {
    let question = format!(
        "{server} is not known yet. It shows the key\n  {pin}\n\
         Compare that with what 'skep serve' printed on the other device.\n\
         Trust this server from now on? [y/N] "
    );
    let mut stderr = io::stderr().lock();
    if stderr
        .write_all(question.as_bytes())
        .and_then(|()| stderr.flush())
        .is_err()
    {
        return false;
    }
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}
