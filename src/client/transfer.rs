// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a caller decides about a transfer, and what it is told meanwhile.

use std::time::Duration;

use crate::digest::Digest;
use crate::error::Error;
use crate::signature::{PublicKey, Signature};

/// What a caller decides about a transfer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TransferOptions {
    /// How often in a row a transfer is tried again without getting any further. Default 5.
    pub retries: u32,
    /// What is done where the bytes are there already.
    pub changes: Changes,
    /// What has to be there for an upload to replace it.
    pub replaces: Replaces,
    /// The signature of the model: an upload sends it along, for servers that take only signed models.
    /// Nothing is sent where [`Changes::Required`] finds the bytes there, and no signature either: whoever
    /// wants it to stand beside the model sends it as a model of its own ([`Signature::name_for`]).
    pub signature: Option<Signature>,
    /// Who has to have signed a download for it to get its name: with the signature above, or without
    /// one, with that which stands beside the model on the server.
    pub signer: Option<PublicKey>,
    /// For which name such a signature must have been made.
    pub signed_name: SignedName,
    /// Which time a file that was fetched gets.
    pub times: FileTimes,
    /// What a download must have, whatever the server announces of it.
    pub digest: Option<Digest>,
}

/// How often something is tried again, if the caller does not say.
pub(crate) const RETRIES_MAX: u32 = 5;

impl Default for TransferOptions {
    fn default() -> Self {
        Self {
            retries: RETRIES_MAX,
            changes: Changes::Ignored,
            replaces: Replaces::Anything,
            signature: None,
            signer: None,
            signed_name: SignedName::Same,
            times: FileTimes::Kept,
            digest: None,
        }
    }
}

/// Which time of modification a file gets that was fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileTimes {
    /// That of the file that was sent, as far as the server knows it and the file system takes it.
    Kept,
    /// That of the fetching.
    Fresh,
}

/// For which file a signature must have been made, where its trusted comment says that (`file:NAME`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedName {
    /// For one of the name of the model: the right signature of one model vouches for no other.
    Same,
    /// For whatever file.
    Any,
}

/// What is done where the bytes are there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changes {
    /// They are transferred again.
    Ignored,
    /// Nothing is, as far as digests show that it is not needed.
    Required,
}

/// What an upload may replace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replaces {
    /// Whatever is there.
    Anything,
    /// Nothing: the name must not be in use (`If-None-Match: *`).
    Nothing,
    /// Only a model of this digest (`If-Match`).
    Only(Digest),
}

/// What happens in a transfer.
#[derive(Debug)]
#[non_exhaustive]
pub enum TransferEvent<'a> {
    /// Bytes are about to come or to go.
    Started {
        /// The length of the model in bytes, where it is known.
        size: Option<u64>,
        /// How many of them need not be transferred any more.
        at: u64,
    },
    /// So many bytes of the model are transferred; fewer than before if some got lost.
    Progress(u64),
    /// It is tried again.
    Retrying {
        /// After so long.
        pause: Duration,
        /// Because of that.
        error: &'a Error,
    },
    /// What had been transferred is of no use.
    Restarted {
        /// Why, for people.
        reason: &'static str,
    },
}

/// What is called as something happens.
pub type TransferEvents<'a> = &'a mut dyn FnMut(TransferEvent<'_>);
