// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The audit log as a subscriber: it observes the requests that were answered, and writes a line for each.

use crate::channels::ObserverFunction;
use crate::event::{Event, FinishedRequest, Happening};
use crate::logging::format::{AuditLine, AuditOptions, TARGET};
use crate::logging::line_budget::LineBudget;
use crate::logging::stranger_lines::StrangerLines;

/// What writes a line for each request, as the settings say.
pub(crate) fn observer(options: AuditOptions) -> ObserverFunction {
    let busy = LineBudget::new("requests that were answered 503");
    let readers = LineBudget::new("requests without credentials");
    let strangers = StrangerLines::new();

    Box::new(move |event: &Event| {
        let Happening::RequestFinished { request } = &event.what else {
            return;
        };
        // Polls are left out here and not where they are published: other subscribers may want
        // them.
        busy.settle();
        readers.settle();
        strangers.settle();
        if is_dull(request) && !options.polls {
            return;
        }

        let write = || {
            let line = AuditLine {
                at: event.at,
                request,
            };
            log::info!(target: TARGET, "{}", line.text(options.format));
        };

        // Who finds no place may come again at once, and must not fill a disk by that.
        // Nor may a stranger push out of the log what others did.
        match request.status {
            503 => busy.write(write),
            _ if request.who == "-" => strangers.write(&request.peer, write),
            _ if request.who == "anonymous" => readers.write(write),
            _ => write(),
        }
    })
}

/// Whether anybody would see the lines.
pub(crate) fn is_wanted() -> bool {
    log::log_enabled!(target: TARGET, log::Level::Info)
}

/// Polls come all the time; and who is locked out was told so once, and is not to fill a disk by going on.
fn is_dull(request: &FinishedRequest) -> bool {
    let is_poll = request.status < 400
        && matches!(request.method, "GET" | "HEAD")
        && matches!(request.path.as_str(), "/" | "/healthz" | "/v1/models");
    is_poll || request.status == 429
}
