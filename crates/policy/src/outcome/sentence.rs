//! One plain sentence about an attempt that died: who did what, on what evidence, and what then.

use std::fmt::Write;
use std::time::Duration;

use crate::evidence::{End, Facts, Grade, Written};
use crate::keepalive::{Knowledge, Seconds, Source};

/// What is known of a dead attempt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Story {
    /// The facts that it was graded by.
    pub facts: Facts,
    /// Their grade.
    pub grade: Grade,
    /// How long the connection had been idle when it ended; `None` for a fresh one.
    pub idle_age: Option<Duration>,
    /// Bytes of the request that were handed to the kernel.
    pub request_bytes: u64,
    /// What had been learned of the endpoint.
    pub knowledge: Option<Knowledge>,
    /// What was done.
    pub then: Then,
}

/// What was done after an attempt had died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The request was sent again, with proof that it had not been applied.
    Replayed,
    /// It was sent again, since it bears that or its owner asked for it.
    Retried,
    /// The client was told of the failure.
    Answered,
}

/// The sentence, without a full stop.
#[must_use]
pub fn sentence(story: &Story) -> String {
    let mut text = who(story);
    if let Some(others) = others(story) {
        text.push_str(&others);
    }
    text.push_str("; ");
    text.push_str(&evidence(story));
    text.push_str(match (story.then, story.grade) {
        (Then::Replayed | Then::Retried, _) => " and was sent again",
        (Then::Answered, Grade::Unknown) => ", so it was not sent again",
        (Then::Answered, Grade::Begun) => "",
        (Then::Answered, _) => ", yet it was not sent again",
    });
    if let Some(knowledge) = story
        .knowledge
        .filter(|known| known.limit.source != Source::Configured)
    {
        let _ = write!(text, "; limit now {}", Seconds(knowledge.limit.reuse));
    }
    text
}

/// The setting that would prevent such a failure, where one would.
#[must_use]
pub fn advice(story: &Story) -> Option<&'static str> {
    match (story.then, story.grade, story.facts.end) {
        (Then::Replayed | Then::Retried, _, _) | (Then::Answered, Grade::Begun, _) => None,
        (Then::Answered, _, End::TimedOut) => Some(
            "raise timeouts.backendRequest or timeouts.request of the route, or find out why the endpoint is slow",
        ),
        (Then::Answered, _, End::ConnectFailed) => {
            Some("check that the endpoint listens there; with several endpoints another one is tried")
        }
        (Then::Answered, Grade::Unknown, _) => Some(
            "send an Idempotency-Key, or set retry on the route, if the endpoint can bear a request twice",
        ),
        (Then::Answered, _, _) => {
            Some("remove attempts: 0 from the route's retry, and keepAlive.replayBuffer: 0 from the policy")
        }
    }
}

fn who(story: &Story) -> String {
    let when = story.idle_age.map_or(String::from(", a fresh one"), |age| {
        format!(" after {} idle", Seconds(age))
    });
    match story.facts.end {
        End::Eof | End::BrokenPipe => format!("the endpoint closed the connection{when}"),
        End::Reset => format!("the endpoint reset the connection{when}"),
        End::ConnectFailed => String::from("the connection could not be opened"),
        End::Silent => String::from("nothing that was sent to the endpoint was acknowledged"),
        End::TimedOut => String::from("a time limit ran out before the endpoint answered"),
        End::Other => String::from("the connection failed"),
    }
}

/// How this close compares with those before.
fn others(story: &Story) -> Option<String> {
    let knowledge = story.knowledge?;
    let closed = matches!(story.facts.end, End::Eof | End::BrokenPipe | End::Reset);
    let age = story.idle_age.filter(|_| closed)?;
    let wall = knowledge.wall?;
    (age >= wall.lo && age <= wall.top())
        .then(|| format!(", as {} of {} closes", wall.closes, knowledge.closes))
}

fn evidence(story: &Story) -> String {
    let bytes = story.request_bytes;
    match story.grade {
        Grade::Unsent => String::from("no byte of the request was sent"),
        Grade::Stillborn => String::from("that was before the request's first byte"),
        Grade::Unreceived => {
            let acknowledged = story.facts.acknowledged.unwrap_or_default();
            format!("the request was not received (FIN, {acknowledged} of {bytes} bytes acknowledged)")
        }
        Grade::Incomplete => String::from("the request's head was never complete"),
        Grade::Begun => String::from("the response had begun"),
        Grade::Unknown => match (story.facts.acknowledged, story.facts.written) {
            (Some(acknowledged), Written::WholeHead) => format!(
                "whether the request was applied is not known ({acknowledged} of {bytes} bytes acknowledged, {})",
                if story.facts.end == End::Eof {
                    "FIN"
                } else {
                    "no FIN"
                }
            ),
            _ => String::from("whether the request was applied is not known"),
        },
    }
}
