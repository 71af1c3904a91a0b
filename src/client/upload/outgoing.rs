// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The body of an upload: counted, hashed, exactly as long as announced, and cut short when the
//! server has answered already.

use std::io::{self, Read};

use crate::client::connection::Early;
use crate::client::retry::stopped;
use crate::digest::{Digest, Hasher};
use crate::error::{Error, ErrorKind};
use crate::stop::Stop;

/// A reader that ureq sends.
pub(crate) struct Outgoing<'a> {
    source: &'a mut dyn Read,
    length: Option<u64>,
    early: &'a Early,
    progress: &'a mut dyn FnMut(u64),
    hasher: Option<Hasher>,
    sent: u64,
}

impl<'a> Outgoing<'a> {
    pub(crate) fn new(
        source: &'a mut dyn Read,
        length: Option<u64>,
        early: &'a Early,
        progress: &'a mut dyn FnMut(u64),
    ) -> Self {
        Self {
            source,
            length,
            early,
            progress,
            hasher: Some(Hasher::new()),
            sent: 0,
        }
    }

    /// The same for a source that is digested elsewhere.
    pub(crate) fn unhashed(self) -> Self {
        Self {
            hasher: None,
            ..self
        }
    }

    /// Bytes taken from the source.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// The digest of the bytes taken from the source.
    pub(crate) fn finish(self) -> Digest {
        self.hasher.unwrap_or_default().finish()
    }
}

impl Read for Outgoing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.length.map_or(u64::MAX, |length| length - self.sent);
        let room = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());

        if room == 0 {
            return Ok(0);
        }

        if self.early.is_set() {
            // Nobody will see these bytes; ureq only has to come to the announced end.
            let count = if self.length.is_some() { room } else { 0 };
            self.sent += count as u64;
            return Ok(count);
        }

        // A system call that a signal interrupted is no failure of the source.
        let count = loop {
            match self.source.read(&mut buffer[..room]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };

        // The announced length cannot be kept any more, and padding would make it another file.
        if count == 0 && self.length.is_some() {
            return Err(Error::new(
                ErrorKind::Interrupted,
                "the file became shorter while it was being sent, so the server does not store it",
            )
            .into());
        }

        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buffer[..count]);
        }

        self.sent += count as u64;
        (self.progress)(count as u64);

        Ok(count)
    }
}

/// A source that fails once the client is stopped, so that its end is never taken for the end of a model.
pub(crate) struct UntilStopped<'a> {
    source: &'a mut dyn Read,
    stop: &'a Stop,
}

impl<'a> UntilStopped<'a> {
    pub(crate) fn new(source: &'a mut dyn Read, stop: &'a Stop) -> Self {
        Self { source, stop }
    }
}

impl Read for UntilStopped<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        // Looked at afterwards: the read may have ended because of the stop.
        if self.stop.is_stopped() {
            return Err(stopped().into());
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_as_long_as_announced() {
        let early = Early::default();
        let (mut seen, mut sent) = (0, Vec::new());
        let mut source = &b"12345678"[..];
        let mut progress = |count| seen += count;
        let mut body = Outgoing::new(&mut source, Some(5), &early, &mut progress);
        body.read_to_end(&mut sent).unwrap();
        assert_eq!((body.sent(), body.finish()), (5, Digest::of(b"12345")));
        assert_eq!((seen, &sent[..]), (5, &b"12345"[..]));
        let (mut short, mut ignore) = (&b"1"[..], |_| {});
        let mut body = Outgoing::new(&mut short, Some(2), &early, &mut ignore);
        assert!(body.read_to_end(&mut sent).is_err());
    }

    /// A source of bytes whose first call fails.
    struct FailsFirst(Option<io::ErrorKind>);

    impl Read for FailsFirst {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0
                .take()
                .map_or(Ok(buffer.len()), |kind| Err(kind.into()))
        }
    }

    #[test]
    fn what_a_signal_interrupted_is_read_again_and_a_failure_is_none() {
        let read = |kind| {
            let (early, mut ignore) = (Early::default(), |_| {});
            let mut source = FailsFirst(Some(kind));
            let mut body = Outgoing::new(&mut source, Some(5), &early, &mut ignore);
            body.read(&mut [0; 5])
        };
        assert_eq!(read(io::ErrorKind::Interrupted).unwrap(), 5);
        let error = read(io::ErrorKind::TimedOut).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn after_an_early_answer_the_source_is_left_alone() {
        let early = Early::default();
        early.set(true);
        for (length, count) in [(Some(1 << 20), 1 << 20), (None, 0)] {
            let (mut source, mut ignore) = (io::empty(), |_| {});
            let mut body = Outgoing::new(&mut source, length, &early, &mut ignore);
            assert_eq!(io::copy(&mut body, &mut io::sink()).unwrap(), count);
        }
    }
}
