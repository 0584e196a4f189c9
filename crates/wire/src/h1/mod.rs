//! HTTP/1.0 and 1.1 (RFC 9112), both roles, strict: what two parsers could read differently is an error.

pub mod decode;
pub mod encode;
mod extension;
pub mod framing;
pub mod glimpse;
pub mod head;
mod head_error;
mod limits;
pub mod mend;
pub mod protocol;
mod section;
mod start_line;
mod words;
