// SPDX-License-Identifier: Apache-2.0 OR MIT
//! When a transfer that failed is tried again, and after which pause.

use std::time::Duration;

use crate::error::{Error, ErrorKind};

/// Counts the failures of one transfer.
pub(crate) struct Retry {
    limit: u32,
    failures: u32,
    has_met: bool,
}

impl Retry {
    /// At most `limit` attempts after the first one, or after the last one that got further.
    pub(crate) fn new(limit: u32) -> Self {
        Self {
            limit,
            failures: 0,
            has_met: false,
        }
    }

    /// The server is there: if it goes, that is worth waiting for its return. One that was never met
    /// may as well have another address.
    pub(crate) fn met(&mut self) {
        self.has_met = true;
    }

    /// Something came across.
    pub(crate) fn progressed(&mut self) {
        self.failures = 0;
        self.has_met = true;
    }

    /// The pause before the next attempt.
    ///
    /// # Errors
    /// The last one, if trying again would not help or has not helped.
    pub(crate) fn after(&mut self, error: Error) -> Result<(Duration, Error), Error> {
        let may_pass = match error.kind() {
            ErrorKind::Busy | ErrorKind::TooManyRequests | ErrorKind::RequestTimeout => true,
            ErrorKind::Interrupted | ErrorKind::Unreachable => {
                self.has_met || error.hint_text().is_none()
            }
            _ => false,
        };
        let wanted = error.retry_after().unwrap_or_default();
        if !may_pass || self.limit == 0 || wanted > RETRY_AFTER_MAX {
            return Err(error);
        }
        if self.failures == self.limit {
            let kind = match error.kind() {
                ErrorKind::Unreachable => ErrorKind::Interrupted,
                kind => kind,
            };
            let message = format!("gave up after {} attempts: {}", self.limit, error.message());
            let told = Error::new(kind, message);
            let told = match error.hint_text() {
                Some(hint) => told.hint(hint),
                None => told,
            };
            return Err(told.because(error));
        }
        let pause = pause(self.failures, random()).max(wanted);
        self.failures += 1;
        Ok((pause, error))
    }
}

/// Half a second, doubled with every failure; of that a random share between a half and all, so that
/// clients which lost their server together do not come back together.
fn pause(failures: u32, random: u16) -> Duration {
    let whole = PAUSE.saturating_mul(1 << failures.min(16)).min(PAUSE_MAX);
    whole / 2 + (whole / 2).mul_f64(f64::from(random) / f64::from(u16::MAX))
}

fn random() -> u16 {
    let mut bytes = [0; 2];
    // Without randomness, the pause is the shortest.
    let _ = getrandom::fill(&mut bytes);
    u16::from_ne_bytes(bytes)
}

const PAUSE: Duration = Duration::from_millis(500);

const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Who is asked to stay away for longer than that is better told so.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    fn error(kind: ErrorKind) -> Error {
        Error::new(kind, "a test")
    }

    #[test]
    fn pauses_double_up_to_a_bound_and_vary() {
        for (failures, most) in [(0, 500), (1, 1000), (4, 8000), (6, 30_000), (40, 30_000)] {
            let most = Duration::from_millis(most);
            assert_eq!(
                (pause(failures, u16::MAX), pause(failures, 0)),
                (most, most / 2)
            );
        }
        assert_ne!(pause(3, 1), pause(3, 2));
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
    }
}
