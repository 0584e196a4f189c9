//! Messages without a version: what a request or response says, whatever protocol carried it.
//!
//! HTTP/2 is decoded into these and encoded from them. HTTP/1 has heads of its own still
//! ([`h1::head`](crate::h1::head)), whose methods, fields and grammars are the same.

mod head;

pub use crate::h1::head::Method;
pub use head::{RequestHead, ResponseHead, Scheme};

/// How large a message's content is, as far as its head says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Size {
    /// There is no content.
    #[default]
    None,
    /// So many bytes, at most [`LENGTH_MAX`](crate::h1::framing::LENGTH_MAX); 0 is a size too.
    Known(u64),
    /// It ends when the protocol says so.
    Unknown,
}
