// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What requests and their answers cost of the bytes of a day. It is asked in front of all routes, where it
//! becomes known who sends a request and when its answer is there.

use std::io::{self, Read};
use std::sync::{Arc, Mutex};

use crate::access::{How, Principal};
use crate::error::Result;
use crate::http::{Content, Request, Response};
use crate::routes::allowance::counted_caller::CountedCaller;
use crate::routes::allowance::day_quota::{Ask, DayQuota, Way};
use crate::routes::api::{Api, Known, STATUS};
use crate::threads::lock;
use crate::transport::Peer;

impl Api {
    /// Has the body of a request counted.
    pub(crate) fn count_body(&self, request: &mut Request<'_>) {
        if self.quota.bound(Way::Up).is_none() {
            return;
        }
        let tally = Arc::new(BodyTally::new(Arc::clone(&self.quota)));
        request.session().insert(Arc::clone(&tally));
        request
            .body()
            .when_read(Box::new(move |bytes| tally.count(bytes)));
    }

    /// Has whoever sends a request pay for its body.
    ///
    /// # Errors
    /// `TooManyRequests` if the body is longer than what is left for today.
    pub(crate) fn charge_body(&self, request: &mut Request<'_>, sender: &Principal) -> Result<()> {
        let (caller, length) = (payer(request.peer(), sender), request.body().length());
        let (Some(caller), Some(tally)) = (caller, BodyTally::of(request)) else {
            return Ok(());
        };

        if length != Some(0) {
            let foreseen = Ask::Foresee(length.unwrap_or_default());
            self.quota.ask(&caller, Way::Up, foreseen)?;
        }
        tally.belongs_to(caller)
    }

    /// Has whoever sent a request pay for the content of its answer, unless it is a refusal or tells how the
    /// server is. What is not sent is given back.
    ///
    /// # Errors
    /// `TooManyRequests` if it is longer than what is left for today.
    pub(crate) fn charge_answer(
        &self,
        request: &mut Request<'_>,
        mut response: Response,
    ) -> Result<Response> {
        let is_free = !(200..300).contains(&response.status().0)
            || request.is_head()
            || response.content.length() == Some(0)
            || request.segments() == STATUS;
        if is_free || self.quota.bound(Way::Down).is_none() {
            return Ok(response);
        }

        let peer = request.peer().clone();
        let known = request.session().value::<Known>();
        let known = known.and_then(|known| known.0.as_ref());
        let Some(caller) = known.and_then(|known| payer(&peer, known)) else {
            return Ok(response);
        };

        let quota = Arc::clone(&self.quota);
        let Some(length) = response.content.length() else {
            quota.ask(&caller, Way::Down, Ask::Foresee(0))?;
            if let Content::Chunked(content) = response.content {
                response.content = Content::Chunked(Box::new(CountedContent {
                    content,
                    quota,
                    caller,
                }));
            }
            return Ok(response);
        };

        let day = quota.day();
        quota.ask(&caller, Way::Down, Ask::Reserve(length))?;
        Ok(response.when_sent(move |sent| {
            let unsent = length.saturating_sub(sent.content);
            quota.give_back(&caller, Way::Down, unsent, day);
        }))
    }
}

/// Whose bytes count; `None` for the owner on the device of the server, who must be able to look after it.
pub(crate) fn payer(peer: &Peer, sender: &Principal) -> Option<CountedCaller> {
    let is_owner_here = sender.how == How::Password && peer.is_local();
    (!is_owner_here).then(|| CountedCaller::of(peer, Some(sender)))
}

/// Content without a length, which is counted as it is read.
pub(crate) struct CountedContent {
    pub(crate) content: Box<dyn Read + Send>,
    pub(crate) quota: Arc<DayQuota>,
    pub(crate) caller: CountedCaller,
}

impl Read for CountedContent {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.content.read(buffer)?;
        self.quota
            .ask(&self.caller, Way::Down, Ask::Count(count as u64))?;
        Ok(count)
    }
}

/// The body of a request, which is counted as it is read; whose it is may be known only in the middle of it.
pub(crate) struct BodyTally {
    quota: Arc<DayQuota>,
    sender: Mutex<SenderTally>,
}

#[derive(Default)]
struct SenderTally {
    caller: Option<CountedCaller>,
    /// What has come before that was known.
    unowned: u64,
}

impl BodyTally {
    pub(crate) fn new(quota: Arc<DayQuota>) -> Self {
        Self {
            quota,
            sender: Mutex::default(),
        }
    }

    /// That of a request, if its body is counted.
    pub(crate) fn of(request: &mut Request<'_>) -> Option<Arc<Self>> {
        request.session().value().cloned()
    }

    /// Counts bytes that have come.
    ///
    /// # Errors
    /// `TooManyRequests`.
    pub(crate) fn count(&self, bytes: u64) -> Result<()> {
        let mut sender = lock(&self.sender);
        match &sender.caller {
            Some(caller) => self.quota.ask(caller, Way::Up, Ask::Count(bytes)),
            None => {
                sender.unowned = sender.unowned.saturating_add(bytes);
                Ok(())
            }
        }
    }

    /// From here on, and for what has come already, somebody is counted for.
    ///
    /// # Errors
    /// `TooManyRequests`.
    pub(crate) fn belongs_to(&self, caller: CountedCaller) -> Result<()> {
        let mut sender = lock(&self.sender);
        sender.caller = Some(caller);
        let unowned = std::mem::take(&mut sender.unowned);
        drop(sender);
        self.count(unowned)
    }
}
