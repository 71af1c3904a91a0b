// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Tickets: a right for a while, in a link that a client follows without its credentials.
//!
//! A ticket names its holder and its end, and an HMAC binds both to what it is for; the server keeps none of them, and
//! they end with its process. What the holder may do is looked up when the ticket is shown, so that a token that was
//! revoked meanwhile takes its tickets along. Time is that of the monotonic clock since the start.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;

use crate::access::principal::How;
use crate::access::secrets::random;
use crate::error::Result;

/// Gives out tickets and reads them.
pub(crate) struct Tickets {
    key: hmac::Key,
    start: Instant,
}

/// Whom a ticket was given to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TicketHolder {
    pub(crate) how: How,
    pub(crate) name: String,
    /// What tells its secret from another one of the same name.
    pub(crate) mark: [u8; MARK_BYTES],
}

impl Tickets {
    /// # Errors
    /// `Internal` if the system has no random numbers.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, &random::<32>()?),
            start: Instant::now(),
        })
    }

    /// A ticket for `scope`; `None` for callers who have shown nothing.
    pub(crate) fn issue(
        &self,
        scope: &str,
        holder: &TicketHolder,
        life: Duration,
    ) -> Option<String> {
        let end = self.start.elapsed().saturating_add(life).as_secs();
        let mut ticket = end.to_be_bytes().to_vec();
        ticket.push(number(holder.how)?);
        ticket.extend_from_slice(&holder.mark);
        ticket.extend_from_slice(holder.name.as_bytes());
        let tag = hmac::sign(&self.key, &signed(&ticket, scope));
        ticket.extend_from_slice(tag.as_ref());
        Some(URL_SAFE_NO_PAD.encode(ticket))
    }

    /// Who holds a ticket for `scope` that is still good.
    pub(crate) fn read(&self, ticket: &str, scope: &str) -> Option<TicketHolder> {
        self.read_at(ticket, scope, self.start.elapsed().as_secs())
    }

    fn read_at(&self, ticket: &str, scope: &str, now: u64) -> Option<TicketHolder> {
        let bytes = URL_SAFE_NO_PAD.decode(ticket).ok()?;
        let (plain, tag) = bytes.split_last_chunk::<TAG_BYTES>()?;
        hmac::verify(&self.key, &signed(plain, scope), tag).ok()?;

        let (end, rest) = plain.split_first_chunk()?;
        let (number, rest) = rest.split_first()?;
        let (mark, name) = rest.split_first_chunk()?;
        if now >= u64::from_be_bytes(*end) {
            return None;
        }
        Some(TicketHolder {
            how: how(*number)?,
            name: String::from_utf8(name.to_vec()).ok()?,
            mark: *mark,
        })
    }
}

/// What the tag is of: the length keeps a name from running over into what the ticket is for.
fn signed(ticket: &[u8], scope: &str) -> Vec<u8> {
    let length = (ticket.len() as u64).to_be_bytes();
    [&length, ticket, scope.as_bytes()].concat()
}

fn number(how: How) -> Option<u8> {
    match how {
        How::Password => Some(0),
        How::Token => Some(1),
        How::Certificate => Some(2),
        How::Anonymous => None,
    }
}

fn how(number: u8) -> Option<How> {
    [How::Password, How::Token, How::Certificate]
        .get(usize::from(number))
        .copied()
}

const TAG_BYTES: usize = 32;

/// A SHA-256.
pub(crate) const MARK_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(how: How, name: &str) -> TicketHolder {
        TicketHolder {
            how,
            name: name.to_owned(),
            mark: [7; MARK_BYTES],
        }
    }

    #[test]
    fn a_ticket_is_good_for_one_thing_and_a_while() {
        let tickets = Tickets::new().unwrap();
        let minute = Duration::from_secs(60);
        for how in [How::Password, How::Token, How::Certificate] {
            let ticket = tickets.issue("/a", &holder(how, "laptop"), minute).unwrap();
            let expected = Some(holder(how, "laptop"));
            assert_eq!(tickets.read(&ticket, "/a"), expected);
            assert_eq!(tickets.read_at(&ticket, "/a", 59), expected);
            assert_eq!(tickets.read_at(&ticket, "/a", 61), None);
            assert_eq!(tickets.read(&ticket, "/b"), None);
            assert_eq!(tickets.read(&ticket, "/a/"), None);
            assert_eq!(tickets.read(&format!("{ticket}A"), "/a"), None);
            assert_eq!(Tickets::new().unwrap().read(&ticket, "/a"), None);
        }
        let anonymous = holder(How::Anonymous, "anonymous");
        assert_eq!(tickets.issue("/a", &anonymous, minute), None);
        for bad in ["", "?", "AAAA", &"A".repeat(80)] {
            assert_eq!(tickets.read(bad, "/a"), None, "{bad}");
        }

        // The end of a name cannot pass for the beginning of what it is for.
        let ticket = tickets
            .issue("/a", &holder(How::Token, "x"), minute)
            .unwrap();
        let mut bytes = URL_SAFE_NO_PAD.decode(ticket).unwrap();
        bytes.insert(10 + MARK_BYTES, b'/');
        let moved = URL_SAFE_NO_PAD.encode(bytes);
        assert_eq!(tickets.read(&moved, "a"), None);
    }
}
