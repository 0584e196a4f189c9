//! Why an exchange ended, and what each party is told: flag, status, details, body, sentence and
//! advice come from the one table in [`Cause`] and from nowhere else. Flags, details and bodies are
//! Envoy's where Envoy has them, so that dashboards carry over.

mod cause;
mod failure;
mod flag;
mod manual;
mod sentence;
mod setting;
mod story;
mod verdict;

pub use cause::{Cause, Row, Told};
pub use failure::{ConnectFault, Death, Failure, HeadLimit, TlsFault};
pub use flag::{Flag, FlagSet};
pub use manual::troubleshooting;
pub use sentence::sentence;
pub use setting::{ClientSettings, Setting, Settings, Value};
pub use story::{
    Attempt, AttemptEnd, Ended, Ending, History, Phase, Progress, Rule, Sent, Stop, Story, TunnelEnd,
};
pub use verdict::{Before, Verdict, verdict};

#[cfg(test)]
mod tests;
