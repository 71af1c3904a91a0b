// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Models in folders: names of several segments, from the request to the disk and back.

mod archive;
mod blobs;
mod changes;
mod get_folder;
mod list;
mod moving;
mod names;
mod parallel;
mod put_folder;
mod removing;
mod revisions;
mod unreachable;
