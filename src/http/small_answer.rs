// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Small answers, which are sent in one piece: head and content share a packet.

use std::os::unix::fs::FileExt as _;

use super::answer_head::{Asked, Persistence, status_and_fields};
use super::response::{Content, Response};

/// An answer that is sent in one piece, or one that is sent bit by bit.
pub(crate) enum SmallAnswer {
    /// Head and content, and how many bytes of content there are.
    Whole {
        bytes: Vec<u8>,
        content: u64,
    },
    Large(Response),
}

/// Puts a small answer together. The content of a small file is read here; if that fails, it is left
/// to [`LargeAnswer`](super::large_answer::LargeAnswer) to find out why.
pub(crate) fn small(asked: Asked, response: Response, persistence: Persistence) -> SmallAnswer {
    let sends_content = !asked.is_head && !response.status.is_bodiless();
    let is_small = match &response.content {
        _ if !sends_content => true,
        Content::Reader(..) | Content::Chunked(_) | Content::Endless(_) => false,
        content => content
            .length()
            .is_some_and(|length| length <= JOINED_BYTES_MAX as u64),
    };
    if !is_small {
        return SmallAnswer::Large(response);
    }

    let mut bytes = status_and_fields(&response, asked.version, persistence).into_bytes();
    let head = bytes.len();

    if sends_content {
        match &response.content {
            Content::Bytes(content) => bytes.extend_from_slice(content),
            Content::Shared(content, range) => bytes.extend_from_slice(&content[range.clone()]),
            Content::File {
                file,
                offset,
                length,
            } => {
                let length = usize::try_from(*length).unwrap_or(JOINED_BYTES_MAX);
                bytes.resize(head + length, 0);
                if file.read_exact_at(&mut bytes[head..], *offset).is_err() {
                    return SmallAnswer::Large(response);
                }
            }
            _ => {}
        }
    }

    let content = (bytes.len() - head) as u64;
    SmallAnswer::Whole { bytes, content }
}

/// Content up to this size shares a packet with its head.
const JOINED_BYTES_MAX: usize = 16 * 1024;
