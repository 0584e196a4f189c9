//! Why an exchange ended, and what each party is told: flag, status, details, body, sentence and
//! advice come from the one table in [`Cause`] and from nowhere else. Flags, details and bodies are
//! Envoy's where Envoy has them, so that dashboards carry over.

mod cause;
mod failure;
mod flag;
mod sentence;
mod verdict;

pub use cause::{Cause, Row, Told};
pub use failure::{ConnectFault, Death, Failure, HeadLimit};
pub use flag::{Flag, FlagSet};
pub use sentence::{Story, Then, advice, sentence};
pub use verdict::{Before, Verdict, verdict};

#[cfg(test)]
mod tests;
