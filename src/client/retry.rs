// SPDX-License-Identifier: Apache-2.0 OR MIT
//! When a transfer that failed is tried again, and after which pause.

use std::time::Duration;

use crate::backoff::{Backoff, GiveUp};
use crate::error::{Error, ErrorKind};
use crate::stop::{Stop, Waited};
use crate::text::counted;

/// Counts the failures of one transfer.
pub(crate) struct Retry {
    backoff: Backoff,
    has_met: bool,
    /// A lost answer that may have another reason was tried again.
    has_doubted: bool,
    /// A server that has no place is not asked again.
    gives_way: bool,
}

impl Retry {
    /// At most `limit` attempts after the first one, or after the last one that got further.
    pub(crate) fn new(limit: u32) -> Self {
        Self {
            backoff: Backoff::new(limit),
            has_met: false,
            has_doubted: false,
            gives_way: false,
        }
    }

    /// The same, but a server that has no place for it is left to others.
    pub(crate) fn giving_way(self) -> Self {
        Self {
            gives_way: true,
            ..self
        }
    }

    /// The server is there: if it goes, that is worth waiting for its return. One that was never met
    /// may as well have another address.
    pub(crate) fn met(&mut self) {
        self.has_met = true;
    }

    /// Something came across.
    pub(crate) fn progressed(&mut self) {
        self.backoff.progressed();
        self.has_met = true;
    }

    /// The pause before the next attempt.
    ///
    /// # Errors
    /// The last one, if trying again would not help or has not helped.
    pub(crate) fn after(&mut self, error: Error) -> Result<(Duration, Error), Error> {
        let may_pass = match error.kind() {
            ErrorKind::Busy | ErrorKind::TooManyRequests if self.gives_way => false,
            ErrorKind::Busy | ErrorKind::TooManyRequests | ErrorKind::RequestTimeout => true,
            // A hint names something that the user can correct, such as the address. Only for a server that
            // has answered before is it likelier that the failure passes by itself; but one answer may be
            // lost on the way, whatever the hint says.
            ErrorKind::Interrupted if !self.has_met && error.hint_text().is_some() => {
                !std::mem::replace(&mut self.has_doubted, true)
            }
            ErrorKind::Unreachable => self.has_met || error.hint_text().is_none(),
            ErrorKind::Interrupted => true,
            _ => false,
        };

        if !may_pass {
            return Err(error);
        }

        match self.backoff.next(error.retry_after()) {
            Ok(pause) => Ok((pause, error)),
            // Nothing was tried again, so there is no number of attempts to report.
            Err(GiveUp::Spent(0) | GiveUp::TooLong(_)) => Err(error),
            Err(GiveUp::Spent(limit)) => Err(given_up(limit, error)),
        }
    }
}

/// The last error of many.
fn given_up(limit: u32, error: Error) -> Error {
    // A server that was there before is a temporary failure (exit code 5), not a wrong address (3).
    let kind = match error.kind() {
        ErrorKind::Unreachable => ErrorKind::Interrupted,
        kind => kind,
    };

    let message = format!(
        "gave up after {}: {}",
        counted(u64::from(limit), "attempt"),
        error.message()
    );

    let told = Error::new(kind, message);

    let told = match error.hint_text() {
        Some(hint) => told.hint(hint),
        None => told,
    };

    told.because(error)
}

/// Pauses before the next attempt; a stop ends the pause at once.
///
/// # Errors
/// `Interrupted` if the client was stopped.
pub(crate) fn pause(time: Duration, stop: &Stop) -> Result<(), Error> {
    match stop.wait_for(time) {
        Waited::TimedOut => Ok(()),
        Waited::Stopped => Err(stopped()),
    }
}

/// What a client says that was stopped from another thread.
pub(crate) fn stopped() -> Error {
    Error::new(ErrorKind::Interrupted, "the client was stopped")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(kind: ErrorKind) -> Error {
        Error::new(kind, "a test")
    }

    #[test]
    fn a_pause_that_was_stopped_is_not_over() {
        let stop = Stop::new();
        stop.trigger(crate::stop::Reason::Shutdown);
        let error = pause(Duration::from_secs(60), &stop).unwrap_err();
        assert_eq!(error.message(), stopped().message());
        assert!(pause(Duration::ZERO, &Stop::new()).is_ok());
    }

    #[test]
    fn only_what_may_pass_is_tried_again_and_only_so_often() {
        let mut retry = Retry::new(2);
        for kind in [
            ErrorKind::NotFound,
            ErrorKind::Unauthenticated,
            ErrorKind::Integrity,
        ] {
            assert_eq!(retry.after(error(kind)).unwrap_err().kind(), kind);
        }
        // One answer may be lost, but not two.
        let lost = || error(ErrorKind::Interrupted).hint("does it speak TLS?");
        let mut doubting = Retry::new(5);
        assert!(doubting.after(lost()).is_ok());
        assert_eq!(doubting.after(lost()).unwrap_err().message(), "a test");
        let unreachable = || error(ErrorKind::Unreachable).hint("is it running?");
        assert_eq!(retry.after(unreachable()).unwrap_err().message(), "a test");
        retry.met();
        assert!(retry.after(unreachable()).is_ok() && retry.after(unreachable()).is_ok());
        let last = retry.after(unreachable()).unwrap_err();
        assert_eq!(last.kind().exit_code(), 5, "{last}");
        assert!(
            last.message().starts_with("gave up after 2 attempts"),
            "{last}"
        );
        assert_eq!(last.hint_text(), Some("is it running?"));
        retry.progressed();
        assert!(retry.after(unreachable()).is_ok());
    }

    #[test]
    fn a_server_that_names_its_time_is_left_alone_for_so_long() {
        let busy = |seconds| error(ErrorKind::Busy).again_after(Duration::from_secs(seconds));
        let mut retry = Retry::new(5);
        assert_eq!(retry.after(busy(60)).unwrap().0, Duration::from_secs(60));
        assert!(retry.after(busy(0)).unwrap().0 >= Duration::from_millis(250));
        assert!(retry.after(busy(3600)).is_err());
        assert!(Retry::new(0).after(busy(1)).is_err());
        // What others can do instead waits for no place.
        assert!(Retry::new(5).giving_way().after(busy(1)).is_err());
    }
}
