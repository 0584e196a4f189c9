//! Sending a request again: what may be sent again, how often, and what becomes of attempts given up.

pub mod attempts;
pub mod budget;
pub(crate) mod straggler;
