//! What is told of exchanges: records, the access log, counts and times.

pub mod record;
pub mod stats;
