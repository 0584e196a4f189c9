//! The operator's words: text -> checked values. No IO, so `evenkeel check` and fuzzing are free.

pub mod model;
