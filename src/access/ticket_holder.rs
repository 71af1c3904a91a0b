// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Who shows a ticket, and what this one may do now.

use std::time::Duration;

use crate::access::guard::Guard;
use crate::access::principal::{How, Principal};
use crate::access::tickets::{MARK_BYTES, TicketHolder};
use crate::error::{Error, ErrorKind, Result};
use crate::transport::Peer;

impl Guard {
    /// A right of this caller for one thing and a while, for a link; `None` for whoever has shown nothing.
    pub(crate) fn ticket(&self, scope: &str, holder: &Principal, life: Duration) -> Option<String> {
        let mark = match holder.how {
            How::Token => self.keys.mark_of(&holder.name).ok()??,
            _ => [0; MARK_BYTES],
        };
        let holder = TicketHolder {
            how: holder.how,
            name: holder.name.clone(),
            mark,
        };
        self.tickets.issue(scope, &holder, life)
    }

    /// Who shows a ticket, with the rights that this one has now.
    ///
    /// # Errors
    /// `Unauthenticated` for a ticket that is over or for something else, or whose holder is known no more;
    /// `Forbidden` for one in the clear. Nothing is counted: a tag of 256 bits is not guessed.
    pub(crate) fn ticket_holder(&self, peer: &Peer, shown: &str, scope: &str) -> Result<Principal> {
        self.check_line(peer)?;
        let Some(holder) = self.tickets.read(shown, scope) else {
            return Err(over());
        };

        let principal = match holder.how {
            How::Password => Some(Principal::owner()),
            // Another token of the same name is another one's.
            How::Token if self.keys.mark_of(&holder.name)? != Some(holder.mark) => None,
            How::Token => self.keys.of_name(&holder.name)?,
            How::Certificate => {
                let roles = &self.options().certificate_roles;
                Some(roles.principal(Some(&holder.name)))
            }
            How::Anonymous => None,
        };
        principal.ok_or_else(over)
    }
}

fn over() -> Error {
    let text = "this link is not good any more, or it is for something else";
    Error::new(ErrorKind::Unauthenticated, text).hint("begin the upload again")
}
