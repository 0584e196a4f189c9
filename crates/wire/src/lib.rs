//! Bytes. No time, no clusters, no async: everything a stranger can send is parsed here.

pub mod field;
pub mod h1;
pub mod hop;
pub mod path;
