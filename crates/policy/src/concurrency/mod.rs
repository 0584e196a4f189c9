//! How many requests in flight an endpoint bears.

pub mod adaptive;
pub(crate) mod saturation;
