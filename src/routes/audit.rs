// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Events of requests: what the audit log is told once an answer has been sent.

use std::time::SystemTime;

use crate::clock;
use crate::error::{Error, ErrorKind};
use crate::http::{Method, Request, Response, Sent};
use crate::logging::{AuditEvent, AuditOptions, format};
use crate::routes::api::{Api, Known, MODEL};

impl Api {
    /// Gives an answer its id, and has the event logged once it has been sent.
    pub(crate) fn log(&self, request: &mut Request<'_>, response: Response) -> Response {
        let id = self.ids.next();
        let status = response.status().0;
        let is_poll = status < 400
            && request.method() == Method::Get
            && matches!(request.segments(), [""] | ["healthz"] | ["v1", "models"]);
        let options = self.audit;
        let response = response.field("x-request-id", id.clone());
        // Who is locked out was told of once, and is not to fill a disk by going on.
        let is_dull = is_poll || status == 429;
        if (is_dull && !options.polls)
            || !log::log_enabled!(target: format::TARGET, log::Level::Info)
        {
            return response.when_sent(|_| ());
        }
        let event = self.event(request, &response, id);
        response.when_sent(move |sent| write(event, &sent, options))
    }

    fn event(&self, request: &mut Request<'_>, response: &Response, id: String) -> AuditEvent {
        let known = request
            .session()
            .value::<Known>()
            .and_then(|known| known.0.as_ref());
        let who = known.map_or_else(|| "-".to_owned(), |principal| principal.name.clone());
        let segments = request.segments();
        let is_model = segments.len() == MODEL.len() && segments.starts_with(&MODEL[..2]);
        let name = match (response.remark(), segments.last()) {
            (Some(remark), _) => remark.to_owned(),
            (None, Some(name)) if is_model => (*name).to_owned(),
            _ => String::new(),
        };
        let tag = response
            .value("etag")
            .and_then(crate::digest::Digest::from_etag);
        AuditEvent {
            at: SystemTime::UNIX_EPOCH,
            id,
            who,
            peer: request.peer().to_string(),
            agent: request
                .fields()
                .value("user-agent")
                .unwrap_or_default()
                .to_owned(),
            what: request.method().as_str(),
            path: request.path().to_owned(),
            name,
            digest: tag.map(|digest| format!("{digest:?}")).unwrap_or_default(),
            status: response.status().0,
            received: 0,
            sent: None,
            duration: std::time::Duration::ZERO,
            trouble: String::new(),
        }
    }
}

fn write(mut event: AuditEvent, sent: &Sent<'_>, options: AuditOptions) {
    event.at = clock::now();
    event.received = sent.received;
    event.duration = sent.duration;
    match sent.bytes {
        Ok(bytes) => event.sent = Some(*bytes),
        Err(error) => event.trouble = error.to_string(),
    }
    log::info!(target: format::TARGET, "{}", event.text(options.format));
}

/// The source of an error stays on this side: it is logged where it is our own.
pub(crate) fn log_cause(error: &Error) {
    if let (ErrorKind::Internal | ErrorKind::NoSpace, Some(source)) =
        (error.kind(), std::error::Error::source(error))
    {
        log::error!("{}: {source}", error.message());
    }
}
