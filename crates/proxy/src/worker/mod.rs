//! One worker: a thread with its own engine, listeners, buffers, alarms and log.

pub(crate) mod context;
pub(crate) mod run;
