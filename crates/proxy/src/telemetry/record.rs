//! One exchange, one access log line, by construction: nobody calls "log", dropping the
//! [`Record`] writes the line and counts the request, whatever happened.
//!
//! Nothing is allocated for a record in the steady state: its texts go into an arena that the
//! worker's log lends and gets back, and its line goes straight into the worker's buffer. While the
//! log is off no text is kept, and only what is counted is remembered.

mod batch;
mod json;
mod line;
mod line_writer;
mod sink;
mod stamp;
mod texts;
mod worker;

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use policy::cluster::ConnectionFacts;
use policy::evidence::Grade;
use policy::outcome::{Cause, Flag, FlagSet};
use policy::time::Moment;
use wire::field::Known;
use wire::h1::head::{RequestHead, Version};

pub use sink::{LogHandle, LogWriter};
use texts::{Span, Texts};

use crate::transport::tls::{Spoken, Tls};
pub use worker::WorkerLog;

/// Bytes kept of a method, path, authority, details or sentence. No less than the longest request
/// line that is accepted by default, so that a path is cut only where the owner raised that limit.
const LONG_BYTES_MAX: usize = 16 * 1024;

/// Bytes kept of any other value that a client sends. Real user agents and address lists stay
/// below 1 KiB; longer ones would let a client choose what its line costs us.
const SHORT_BYTES_MAX: usize = 4 * 1024;

/// The status of a response after which the connection is a tunnel.
const SWITCHING_PROTOCOLS: u16 = 101;

/// The facts behind one access log line. Open it at a head's first byte, tell it what becomes
/// known, and let it go: the line is written on drop, once.
#[derive(Debug)]
pub struct Record {
    log: Rc<WorkerLog>,
    facts: Facts,
}

/// What a line tells.
#[derive(Debug, Default)]
struct Facts {
    start: Moment,
    end: Option<Moment>,
    wall_nanos: u64,
    /// Whether there will be a line, so that texts are worth keeping.
    lined: bool,
    /// Whether it will be of JSON, which tells more.
    json: bool,
    /// Whether no text has a byte to escape; known in the end.
    harmless: bool,
    texts: Texts,
    method: Span,
    path: Span,
    /// `None` where the request line was not read that far. Small: every request task has one.
    protocol: Option<Version>,
    authority: Span,
    user_agent: Span,
    forwarded_for: Span,
    request_id: Span,
    route: Span,
    cluster: Span,
    upstream: Span,
    details: Span,
    ending: Ending,
    sentence: Span,
    /// What the client's TLS state speaks, and the name that it asked for.
    tls: Spoken,
    server_name: Span,
    remote: Option<SocketAddr>,
    local: Option<SocketAddr>,
    status: u16,
    flags: FlagSet,
    bytes_received: u64,
    bytes_sent: u64,
    /// 49 days at most: every request task has room for it.
    service_ms: Option<u32>,
    attempts: u32,
    connection: Option<ConnectionFacts>,
    evidence: Evidence,
    saved: Option<SavedBy>,
}

/// A version as the request line has it.
const fn version(version: Version) -> &'static str {
    match version {
        Version::Http10 => "HTTP/1.0",
        Version::Http11 => "HTTP/1.1",
    }
}

/// What the details say that is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Ending {
    /// There are no details.
    #[default]
    Untold,
    HeaderTimeout,
    RequestTimeout,
    Other,
}

/// What is known of the attempt that died: the last one that did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// What the facts prove.
    pub grade: Option<Grade>,
    /// Who ended the connection.
    pub closed_by: Option<ClosedBy>,
    /// Bytes of the request that the upstream's TCP has acknowledged, if the platform can tell.
    pub acknowledged: Option<u64>,
    /// Bytes of the request that were handed to the kernel.
    pub written: Option<u64>,
}

/// Who ended the connection of an attempt that died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClosedBy {
    /// The upstream, with a FIN.
    UpstreamFin,
    /// The upstream, with an RST and no FIN before it.
    UpstreamReset,
    /// The client, with a FIN.
    DownstreamFin,
    /// The client, with an RST.
    DownstreamReset,
    /// The client left.
    Downstream,
    /// We did: a time limit, a malformed response, a drain.
    Local,
}

/// What kept a closing connection from failing the request, or a slow attempt from delaying it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SavedBy {
    /// It was found closed before a byte was written, and another was used (layer 2).
    Checkout,
    /// The attempt was proven unapplied and made again (layer 4).
    Proof,
    /// The request may be applied twice (idempotent, keyed, or its owner said so) and was made again.
    Retry,
    /// The attempt took longer than most, and a second one beside it answered first.
    Hedge,
}

impl Record {
    /// Opens the record of a request whose first byte was read at `start`, which the wall clock
    /// calls `wall_nanos` since the Unix epoch. Counts the request as begun.
    #[must_use]
    pub fn open(log: &Rc<WorkerLog>, start: Moment, wall_nanos: u64) -> Self {
        let downstream = log.stats();
        downstream.rq_total.inc();
        downstream.rq_active.up();
        let facts = Facts {
            start,
            wall_nanos,
            lined: log.is_on(),
            json: log.is_json(),
            texts: Texts::new(log.borrow_arena()),
            ..Facts::default()
        };
        Self {
            log: Rc::clone(log),
            facts,
        }
    }

    /// What a request's head says, as the client sent it, before any rewrite.
    #[inline]
    pub fn head(&mut self, head: &RequestHead) {
        if !self.facts.lined {
            return;
        }
        let sent = |name| head.fields.get(name).unwrap_or_default();
        let host = sent(Known::Host);
        self.request(head.method_text(), head.target(), Some(head.version), host);
        self.user_agent(sent(Known::UserAgent));
    }

    /// The request line and authority as the client sent them, before any rewrite. What a bad head
    /// did not get to is empty.
    pub fn request(
        &mut self,
        method: impl AsRef<[u8]>,
        target: impl AsRef<[u8]>,
        protocol: Option<Version>,
        authority: impl AsRef<[u8]>,
    ) {
        self.facts.method = self.facts.keep(method.as_ref(), SHORT_BYTES_MAX);
        self.facts.path = self.facts.keep(target.as_ref(), LONG_BYTES_MAX);
        self.facts.protocol = protocol;
        self.facts.authority = self.facts.keep(authority.as_ref(), SHORT_BYTES_MAX);
    }

    /// The value of `User-Agent`.
    pub fn user_agent(&mut self, value: impl AsRef<[u8]>) {
        self.facts.user_agent = self.facts.keep(value.as_ref(), SHORT_BYTES_MAX);
    }

    /// The value of `X-Forwarded-For` as it is sent upstream.
    pub fn x_forwarded_for(&mut self, value: impl AsRef<[u8]>) {
        self.facts.forwarded_for = self.facts.keep(value.as_ref(), SHORT_BYTES_MAX);
    }

    /// The value of `X-Request-Id` as it is sent upstream.
    pub fn request_id(&mut self, value: impl AsRef<[u8]>) {
        self.facts.request_id = self.facts.keep(value.as_ref(), SHORT_BYTES_MAX);
    }

    /// Fills in what is told of every request: who asked, by the address of its connection, and an id
    /// that `id` makes. What is known already stays.
    pub fn complete(&mut self, id: impl FnOnce() -> [u8; 36]) {
        if self.facts.forwarded_for.is_empty()
            && let Some(remote) = self.facts.remote
        {
            self.x_forwarded_for(remote.ip().to_string());
        }
        if self.facts.request_id.is_empty() {
            self.request_id(id());
        }
    }

    /// The client speaks TLS.
    pub(crate) fn tls(&mut self, state: &Tls) {
        if !self.facts.json {
            return;
        }
        let told = state.facts();
        self.facts.tls = told.spoken;
        if let Some(name) = told.server_name {
            self.facts.server_name = self.facts.keep(name.as_bytes(), SHORT_BYTES_MAX);
        }
    }

    /// Whether it is known what was asked for.
    #[must_use]
    pub fn has_head(&self) -> bool {
        !self.facts.method.is_empty()
    }

    /// The name of the route that matched.
    pub fn route(&mut self, name: &str) {
        self.facts.route = self.facts.keep_for_json(name, SHORT_BYTES_MAX);
    }

    /// The name of the cluster that was chosen.
    pub fn cluster(&mut self, name: &str) {
        self.facts.cluster = self.facts.keep_for_json(name, SHORT_BYTES_MAX);
    }

    /// The address of the endpoint; the last attempt's counts.
    pub fn upstream(&mut self, address: impl AsRef<[u8]>) {
        self.facts.upstream = self.facts.keep(address.as_ref(), SHORT_BYTES_MAX);
    }

    /// Both ends of the client's connection.
    pub fn downstream(&mut self, remote: SocketAddr, local: SocketAddr) {
        (self.facts.remote, self.facts.local) = (Some(remote), Some(local));
    }

    /// The status of the final response head that was sent to the client. It is said once; 101
    /// counts the connection as a tunnel until the record drops.
    pub fn status(&mut self, status: u16) {
        if status == SWITCHING_PROTOCOLS && self.facts.status != status {
            let downstream = self.log.stats();
            downstream.cx_upgrades_total.inc();
            downstream.cx_upgrades_active.up();
        }
        self.facts.status = status;
    }

    /// Why it ended, in Envoy's flags. Flags add up.
    pub fn flags(&mut self, flags: FlagSet) {
        self.facts.flags |= flags;
    }

    /// Envoy's response code details.
    pub fn details(&mut self, details: &str) {
        self.facts.details = self.facts.keep_for_json(details, LONG_BYTES_MAX);
        self.facts.ending = match details {
            "" => Ending::Untold,
            "request_header_timeout" => Ending::HeaderTimeout,
            "response_timeout" | "max_duration_timeout" => Ending::RequestTimeout,
            _ => Ending::Other,
        };
    }

    /// Bytes of the request's body so far, and of what came through its tunnel; never fewer than before.
    pub fn bytes_received(&mut self, total: u64) {
        self.facts.bytes_received = self.facts.bytes_received.max(total);
    }

    /// Bytes of the response's body so far.
    pub fn bytes_sent(&mut self, total: u64) {
        self.facts.bytes_sent = total;
    }

    /// When the request's first byte was read.
    #[must_use]
    pub fn start(&self) -> Moment {
        self.facts.start
    }

    /// Bytes of the request's body, as last said.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.facts.bytes_received
    }

    /// Bytes of the response's body, as last said.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.facts.bytes_sent
    }

    /// From the request's first byte to the upstream's first (`X-Envoy-Upstream-Service-Time`).
    pub fn upstream_service_time(&mut self, time: Duration) {
        self.facts.service_ms = Some(u32::try_from(millis(time)).unwrap_or(u32::MAX));
    }

    /// Attempts made so far.
    pub fn attempts(&mut self, attempts: u32) {
        self.facts.attempts = attempts;
    }

    /// What is known of the connection that the last attempt used.
    pub fn connection(&mut self, facts: ConnectionFacts) {
        self.facts.connection = Some(facts);
    }

    /// Whether an attempt died.
    pub(crate) fn tells_of_a_death(&self) -> bool {
        self.facts.evidence.grade.is_some()
    }

    /// What is known of an attempt that died.
    pub fn evidence(&mut self, evidence: Evidence) {
        self.facts.evidence = evidence;
    }

    /// Who ended the connection that the exchange ended with.
    pub fn closed_by(&mut self, who: ClosedBy) {
        self.facts.evidence.closed_by = Some(who);
    }

    /// What saved the request; `None` takes it back, when the attempt that should have saved it
    /// failed as well.
    pub fn saved(&mut self, by: Option<SavedBy>) {
        self.facts.saved = by;
    }

    /// What happened, in one plain sentence: of a request that was saved, or that failed. The text
    /// line has it as one more field at its end.
    pub fn sentence(&mut self, sentence: &str) {
        self.facts.sentence = self.facts.keep(sentence.as_bytes(), LONG_BYTES_MAX);
    }

    /// The exchange is over: the duration ends here. Without it, a record that is dropped was
    /// abandoned.
    pub fn finish(&mut self, now: Moment) {
        self.facts.end = Some(now);
    }

    /// An abandoned record says so: the client left (`DC`), unless our own code panicked (`LR`).
    /// Whoever set a status or flag knew better.
    fn settle(&mut self) {
        if self.facts.end.is_some() {
            return;
        }
        self.facts.end = Some(self.log.now());
        if self.log.is_ending() && !std::thread::panicking() {
            return self.drained();
        }
        let told = self.facts.status != 0 || self.facts.flags != FlagSet::NONE;
        if told && !std::thread::panicking() {
            return;
        }
        let cause = if std::thread::panicking() {
            Cause::InternalError
        } else {
            Cause::ClientLeft
        };
        self.flags(cause.flags());
        if self.facts.ending == Ending::Untold || cause == Cause::InternalError {
            self.details(cause.row().details);
        }
        if cause == Cause::InternalError {
            self.facts.evidence.closed_by = Some(ClosedBy::Local);
            self.sentence(
                "A bug of evenkeel's ended this exchange. Standard error has the panic's message; please report it.",
            );
        }
    }

    /// A drain's time was up: nobody else ended it.
    fn drained(&mut self) {
        let cause = Cause::Drained;
        self.flags(cause.flags());
        self.details(cause.row().details);
        self.facts.evidence.closed_by = Some(ClosedBy::Local);
        self.sentence(
            "evenkeel was told to end, and this exchange was not over when the drain's time was up. To prevent \
             this: start evenkeel with a longer --drain-timeout.",
        );
    }

    /// Counts the request as ended, by what its line says.
    fn count(&self) {
        let (facts, downstream) = (&self.facts, self.log.stats());
        downstream.rq_active.down();
        downstream.rq_time.record(facts.duration());
        if facts.status != 0 {
            downstream.rq_completed.inc();
            downstream.rq_class(facts.status).inc();
        }
        if facts.status == SWITCHING_PROTOCOLS {
            downstream.cx_upgrades_active.down();
        }
        if facts.flags.has(Flag::DC) {
            downstream.rq_rx_reset.inc();
        }
        if facts.flags.has(Flag::DPE) {
            downstream.rq_rejected.inc();
            downstream.cx_protocol_error.inc();
        }
        if facts.flags.has(Flag::RL) {
            downstream.rq_rate_limited.inc();
        }
        if facts.flags.has(Flag::SI) {
            downstream.rq_idle_timeout.inc();
        }
        match facts.ending {
            Ending::HeaderTimeout => downstream.rq_header_timeout.inc(),
            Ending::RequestTimeout => downstream.rq_timeout.inc(),
            Ending::Untold | Ending::Other => {}
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.settle();
        self.count();
        if self.facts.lined {
            self.facts.harmless = self.facts.texts.seal();
            self.log.write(&self.facts);
            let texts = std::mem::take(&mut self.facts.texts);
            self.log.return_arena(texts.into_memory());
        }
    }
}

impl Facts {
    /// Keeps a text, cut to `most` bytes, if there will be a line to write it to.
    #[inline]
    fn keep(&mut self, text: &[u8], most: usize) -> Span {
        if self.lined {
            self.texts.keep(text, most)
        } else {
            Span::default()
        }
    }

    /// The same for what the text line does not tell.
    #[inline]
    fn keep_for_json(&mut self, text: &str, most: usize) -> Span {
        if self.json {
            self.keep(text.as_bytes(), most)
        } else {
            Span::default()
        }
    }

    fn duration(&self) -> Duration {
        self.end.unwrap_or(self.start).since(self.start)
    }

    fn duration_ms(&self) -> u64 {
        millis(self.duration())
    }
}

/// Whole milliseconds.
fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

impl ClosedBy {
    const fn name(self) -> &'static str {
        match self {
            Self::UpstreamFin => "upstream_fin",
            Self::UpstreamReset => "upstream_reset",
            Self::DownstreamFin => "downstream_fin",
            Self::DownstreamReset => "downstream_reset",
            Self::Downstream => "downstream",
            Self::Local => "local",
        }
    }
}

impl SavedBy {
    const fn name(self) -> &'static str {
        match self {
            Self::Checkout => "checkout",
            Self::Proof => "proof",
            Self::Retry => "retry",
            Self::Hedge => "hedge",
        }
    }
}

#[cfg(test)]
mod tests;
