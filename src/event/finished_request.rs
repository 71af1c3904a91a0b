// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A request that was answered: what a line of the audit log says.

use std::time::Duration;

use serde_json::Value;

use crate::digest::Digest;

/// A request from its first byte to the last byte of its answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FinishedRequest {
    /// Its id, which the caller was told, too.
    pub(crate) id: String,
    /// The name of the principal, `-` for nobody.
    pub(crate) who: String,
    /// The address of the caller.
    pub(crate) peer: String,
    /// The program of the caller, as it says.
    pub(crate) agent: String,
    pub(crate) method: &'static str,
    /// The path, without the query, which may hold secrets.
    pub(crate) path: String,
    /// The models it was about.
    pub(crate) name: String,
    /// The digest of the model, as far as the answer had one.
    pub(crate) digest: Option<Digest>,
    pub(crate) status: u16,
    /// Bytes of the body that arrived.
    pub(crate) received: u64,
    /// Bytes of content that were sent; `None` if the answer was cut.
    pub(crate) sent: Option<u64>,
    pub(crate) duration: Duration,
    /// Why the answer was cut.
    pub(crate) trouble: String,
}

impl FinishedRequest {
    /// All that is known of it, under the keys of the audit log.
    pub(crate) fn fields(&self) -> Vec<(&'static str, Value)> {
        let digest = self.digest.map(|digest| format!("{digest:?}"));
        let milliseconds = u64::try_from(self.duration.as_millis()).unwrap_or(u64::MAX);

        // Programs read these keys, so their names and their order stay.
        let mut fields: Vec<(_, Value)> = vec![
            ("id", self.id.as_str().into()),
            ("who", self.who.as_str().into()),
            ("peer", self.peer.as_str().into()),
            ("agent", self.agent.as_str().into()),
            ("what", self.method.into()),
            ("path", self.path.as_str().into()),
            ("name", self.name.as_str().into()),
            ("digest", digest.unwrap_or_default().into()),
            ("status", self.status.into()),
            ("received", self.received.into()),
            ("sent", self.sent.into()),
            ("ms", milliseconds.into()),
        ];

        // Absent where nothing went wrong, so that a search for the key finds the answers that were
        // cut.
        if !self.trouble.is_empty() {
            fields.push(("trouble", self.trouble.as_str().into()));
        }

        fields
    }
}
