//! What all workers share and none of them waits for: configuration, reload, names, health checks, the admin.

pub(crate) mod certificates;
pub(crate) mod discovery;
pub(crate) mod health;
pub(crate) mod reload;
mod secrets;
pub mod server;
