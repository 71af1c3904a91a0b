// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One upload by xet: what it has sent so far.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind, Result};
use crate::formats::xet::XorbHash;
use crate::random;

/// The name of a session: 128 random bits, so that nobody guesses one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct XetSessionId(u128);

impl XetSessionId {
    pub(crate) fn random() -> Result<Self> {
        random::bytes().map(|bytes| Self(u128::from_ne_bytes(bytes)))
    }
}

impl fmt::Display for XetSessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for XetSessionId {
    type Err = Error;

    /// Reads exactly what is printed.
    fn from_str(text: &str) -> Result<Self> {
        let read = u128::from_str_radix(text, 16).map(Self).ok();
        read.filter(|id| id.to_string() == text).ok_or_else(|| {
            let text = "this upload does not exist, or it has expired";
            Error::new(ErrorKind::NotFound, text).hint("begin it again")
        })
    }
}

/// Who sends what belongs to which session, and how many bytes that has.
#[derive(Clone, Debug)]
pub(crate) struct XetUpload {
    pub(crate) session: XetSessionId,
    pub(crate) sender: Option<String>,
    pub(crate) size: u64,
}

/// A xorb that has come: in its file, places of its chunks follow its bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeptXorb {
    /// How many bytes have come, without what may follow the chunks.
    pub(super) length: u32,
    pub(super) chunks: u32,
}

/// What is known of a session.
pub(super) struct XetSession {
    pub(super) sender: Option<String>,
    pub(super) xorbs: BTreeMap<XorbHash, KeptXorb>,
    /// Bytes of their files.
    pub(super) bytes: u64,
    /// Requests that are under way, and the bytes for which they have taken room.
    pub(super) open: usize,
    pub(super) coming: u64,
    pub(super) used: Instant,
    /// Files that were put together, and that no commit has named.
    pub(super) made: BTreeSet<[u8; 32]>,
    /// Whether commits have named all that there were.
    pub(super) is_done: bool,
    /// Whether its files are being removed.
    pub(super) is_going: bool,
}

impl XetSession {
    pub(super) fn new(sender: Option<String>) -> Self {
        Self {
            sender,
            xorbs: BTreeMap::new(),
            bytes: 0,
            open: 0,
            coming: 0,
            used: Instant::now(),
            made: BTreeSet::new(),
            is_done: false,
            is_going: false,
        }
    }

    /// Whether nobody has gone on with it for so long.
    pub(super) fn is_idle(&self, idle_min: Duration) -> bool {
        self.open == 0 && !self.is_going && self.used.elapsed() >= idle_min
    }

    /// The bytes that count for it.
    pub(super) fn room(&self) -> u64 {
        self.bytes.saturating_add(self.coming)
    }
}

/// For how long a token of a session is good: an upload goes on with one, and what its holder may do is looked up each
/// time.
pub(crate) const SESSION_LIFE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
