//! What is known of an exchange that failed or was saved: the facts that its sentence is made of.

use std::time::Duration;

use super::{Cause, ConnectFault, Death, Failure, Settings};
use crate::evidence::{Facts, Grade};
use crate::keepalive::Knowledge;

/// One exchange that failed or was saved.
#[derive(Clone, Debug)]
pub struct Story<'a> {
    /// How it ended.
    pub ending: Ending<'a>,
    /// How far it had come.
    pub progress: Progress,
    /// Its attempts that failed, and why there was no other.
    pub history: Option<&'a History>,
    /// What it ran under.
    pub settings: Settings<'a>,
    /// Facts about the place where it failed that only the shell can look up, in words: which hostnames
    /// exist, which rule was met, which endpoints are out.
    pub around: &'a str,
    /// What the last attempt's endpoint speaks, where it has shown that it is not HTTP/1.
    pub speaks: Option<&'static str>,
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug)]
pub enum Ending<'a> {
    /// It failed.
    Failed(&'a Failure),
    /// It was answered by the endpoint after attempts that had failed.
    Saved,
    /// It was answered by the endpoint with this status, which the owner's retry would have repeated.
    Answered(u16),
    /// It was a tunnel.
    Tunnel(TunnelEnd),
    /// It was cut off by a drain.
    Drained,
}

/// How a tunnel ended, and what went through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TunnelEnd {
    /// Who ended it first, and how.
    pub cause: Cause,
    /// Bytes from the client.
    pub received: u64,
    /// Bytes to the client.
    pub sent: u64,
    /// How long it lasted.
    pub lasted: Duration,
}

/// How far an exchange had come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// What it was doing.
    pub phase: Phase,
    /// Since its first byte.
    pub took: Duration,
    /// Bytes of the request's body that had come (of its head, while that was read), and how many there
    /// were to be.
    pub received: u64,
    /// … and how many there were to be, if that was said.
    pub received_of: Option<u64>,
    /// Bytes of the response's body that had come.
    pub sent: u64,
    /// … and how many there were to be, if that was said.
    pub sent_of: Option<u64>,
}

/// What an exchange was doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Reading the request's head.
    #[default]
    Head,
    /// Waiting for a connection of the pool, or for one to open.
    Connection,
    /// Pausing before a retry.
    Pause,
    /// Reading the request's body and sending it on.
    Request,
    /// Waiting for the response's head.
    Response,
    /// Sending the response's body on.
    Body,
}

/// The attempts of an exchange that failed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// The first ones and the last, in their order.
    attempts: Vec<Attempt>,
    /// How many attempts were made by each rule.
    by_rule: [u32; Rule::COUNT],
    /// How many of them sent a byte of the request.
    sent: u32,
    /// Why there was no other.
    pub stop: Option<Stop>,
    /// By which rule the attempt was made that has not failed, if there is one.
    pub current: Option<Rule>,
}

/// One attempt that failed.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// By which rule it was made.
    pub rule: Rule,
    /// Where it went.
    pub endpoint: Box<str>,
    /// How long the connection had been idle; `None` for a new one.
    pub idle_age: Option<Duration>,
    /// How long it lasted, from its connection (or the wish for one) to its end.
    pub lasted: Duration,
    /// How it ended.
    pub end: AttemptEnd,
}

/// By which rule an attempt was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rule {
    /// It is the first.
    #[default]
    First,
    /// The one before it is proven not to have been applied.
    Replay(Grade),
    /// The request bears being applied twice.
    DefaultRetry,
    /// The owner's `retry`.
    OwnersRetry,
    /// The one before it took longer than most.
    Hedge,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AttemptEnd {
    /// It was answered with this status.
    Status(u16),
    /// The connection could not be opened.
    Connect(ConnectFault),
    /// … not in time.
    ConnectTimeout,
    /// The connection ended before the response's head.
    Died(Ended),
    /// The endpoint's response is not one.
    BadResponse,
    /// Its own time limit passed, after this many bytes were written.
    TimedOut(Sent),
    /// The exchange ended before it did.
    GivenUp(Sent),
}

/// How much of the request was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Bytes handed to the kernel.
    pub written: u64,
    /// Bytes that the endpoint's TCP acknowledged, where the platform tells.
    pub acknowledged: Option<u64>,
}

/// What is known of an attempt whose connection ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ended {
    /// How.
    pub death: Death,
    /// The facts that it was graded by.
    pub facts: Facts,
    /// Their grade.
    pub grade: Grade,
    /// Bytes of the request that were handed to the kernel.
    pub written: u64,
    /// What had been learned of the endpoint.
    pub knowledge: Option<Knowledge>,
}

/// Why a request was not sent once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// A byte of the response had come.
    Begun,
    /// Not all of the request was kept.
    NotKept,
    /// The client had not sent all of it, and kept the endpoint waiting.
    ClientStalled,
    /// It may have been applied, and bears no second time.
    NotIdempotent,
    /// The default repeats no attempt that ended so.
    NotRepeated,
    /// Replays with proof, or the one default retry, are used up.
    UsedUp,
    /// The owner's `retry` allows no attempt.
    OwnersNone,
    /// The owner's `retry` does not name what happened.
    OwnersOther,
    /// The owner's attempts are used up.
    OwnersUsedUp,
    /// The retry budget is spent.
    Budget,
    /// As many retries as may be are in flight.
    Parallel,
}

/// Attempts that are remembered one by one: a sentence tells of no more.
const KEPT: usize = 8;

impl History {
    /// One more attempt has failed.
    pub fn push(&mut self, attempt: Attempt) {
        self.by_rule[attempt.rule.place()] += 1;
        self.sent += u32::from(attempt.was_sent());
        self.current = None;
        if self.attempts.len() == KEPT {
            self.attempts.pop();
        }
        self.attempts.push(attempt);
    }

    /// Attempts made, the current one included.
    #[must_use]
    pub fn made(&self) -> u32 {
        self.by_rule.iter().sum::<u32>() + u32::from(self.current.is_some())
    }

    /// How many of them sent a byte of the request.
    #[must_use]
    pub fn sent(&self) -> u32 {
        self.sent + u32::from(self.current.is_some())
    }

    /// How many of them were made by a rule of this kind.
    #[must_use]
    pub fn made_by(&self, rule: Rule) -> u32 {
        let current = self
            .current
            .is_some_and(|current| current.place() == rule.place());
        self.by_rule[rule.place()] + u32::from(current)
    }

    /// The last one.
    #[must_use]
    pub fn last(&self) -> Option<&Attempt> {
        self.attempts.last()
    }
}

impl Rule {
    const COUNT: usize = 5;

    const fn place(self) -> usize {
        match self {
            Self::First => 0,
            Self::Replay(_) => 1,
            Self::DefaultRetry => 2,
            Self::OwnersRetry => 3,
            Self::Hedge => 4,
        }
    }
}

impl Attempt {
    /// Whether a byte of the request was written.
    #[must_use]
    pub fn was_sent(&self) -> bool {
        match &self.end {
            AttemptEnd::Status(_) | AttemptEnd::BadResponse => true,
            AttemptEnd::Connect(_) | AttemptEnd::ConnectTimeout => false,
            AttemptEnd::Died(ended) => ended.written > 0,
            AttemptEnd::TimedOut(sent) | AttemptEnd::GivenUp(sent) => sent.written > 0,
        }
    }
}

impl Ending<'_> {
    /// Its row in the table of failures; `None` if all went well in the end.
    #[must_use]
    pub fn cause(&self) -> Option<Cause> {
        match self {
            Self::Failed(failure) => Some(failure.cause()),
            Self::Saved | Self::Answered(_) => None,
            Self::Tunnel(end) => Some(end.cause),
            Self::Drained => Some(Cause::Drained),
        }
    }
}
