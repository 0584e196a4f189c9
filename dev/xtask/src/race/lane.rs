//! One lane: one client connection to the proxy, one endpoint behind it, one request at a time.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::time::{sleep_until, timeout};

use super::backend::UNASKED;
use super::client::{Group, Outcome, PROXY_PORT, Running, Trial};
use super::dice::Dice;
use super::message::{Digest, Wired};
use super::plan::{Method, Script};

/// A lane.
pub(crate) struct Lane {
    running: Rc<Running>,
    index: usize,
    dice: Dice,
    connection: Option<Wired>,
    /// When the last answer came, if nothing went wrong since: then the proxy has an idle connection.
    answered: Option<Instant>,
}

struct Request {
    id: u64,
    method: Method,
    body: usize,
    act: bool,
}

/// What a request is sent for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// To have the proxy open a connection.
    Prepares,
    /// To meet what ends the connection.
    Races,
    /// To see what it costs after another has met it.
    Follows,
}

impl Lane {
    /// A lane of a group.
    pub(crate) fn new(running: Rc<Running>, index: usize, dice: Dice) -> Self {
        Self {
            running,
            index,
            dice,
            connection: None,
            answered: None,
        }
    }

    /// Runs until the group has enough.
    pub(crate) async fn run(mut self) {
        // Lanes that start together would aim together, and the wire would carry bursts.
        let spread = self.running.timer.get().from.min(Duration::from_secs(2));
        let start = self.dice.between(0, spread.as_micros() as i64);
        self.pause(Duration::from_micros(start.unsigned_abs())).await;
        while !self.running.is_over() {
            if self.answered.is_none() {
                self.prepare().await;
            } else {
                self.trial().await;
            }
        }
    }

    /// Its endpoint.
    pub(crate) fn endpoint(&self) -> SocketAddrV4 {
        self.running.group.lanes[self.index].1
    }

    /// Gets the proxy an idle connection.
    pub(crate) async fn prepare(&mut self) {
        let request = Request {
            id: next_id(),
            method: Method::Get,
            body: 0,
            act: false,
        };
        self.exchange(&request, Role::Prepares).await;
        if self.answered.is_none() {
            self.pause(PAUSE_AFTER_FAILURE).await;
        }
    }

    async fn trial(&mut self) {
        let script = self.running.group.script;
        self.wait_for_the_moment(script).await;
        let Some(method) = self.dice.one_of(&self.running.wanted()) else {
            return;
        };
        if self.running.is_over() {
            return;
        }
        let act = script == Script::Act;
        let request = Request {
            id: next_id(),
            method,
            body: self.body_of(method),
            act,
        };
        let lane = self.running.group.lanes[self.index].1;
        match script {
            Script::Silence => self.running.flows.with(|flows| flows.silence(lane)),
            Script::Middlebox => self.running.flows.with(|flows| flows.forge_reset(request.id)),
            Script::Aim | Script::Act | Script::Steady | Script::Team(_) => {}
        }
        self.exchange(&request, Role::Races).await;
    }

    /// After a pause, sends a request of its team's; `follows`: after another has met what this one would.
    pub(crate) async fn race(&mut self, pause: Duration, follows: bool) {
        self.pause(pause).await;
        let Some(method) = self.dice.one_of(&self.running.wanted()) else {
            return;
        };
        let request = Request {
            id: next_id(),
            method,
            body: self.body_of(method),
            act: false,
        };
        let role = if follows { Role::Follows } else { Role::Races };
        self.exchange(&request, role).await;
    }

    async fn wait_for_the_moment(&mut self, script: Script) {
        let now = Instant::now();
        let moment = match script {
            Script::Aim => {
                let (timer, (before, after)) = (self.running.timer.get(), self.running.group.aim);
                // Measured from when the backend sent its answer, which was one delay ago when it came here,
                // to when the request reaches the backend, which is one delay after it leaves here.
                let earliest = timer.from.saturating_sub(before + 2 * self.running.delay);
                let latest = (timer.to + timer.late + after).saturating_sub(2 * self.running.delay);
                let aim = self
                    .dice
                    .between(earliest.as_micros() as i64, latest.as_micros() as i64);
                self.answered.unwrap_or(now) + Duration::from_micros(aim.unsigned_abs())
            }
            Script::Steady => now + Duration::from_millis(self.dice.between(10, 250).unsigned_abs()),
            Script::Act | Script::Silence | Script::Middlebox | Script::Team(_) => {
                now + Duration::from_millis(self.dice.between(30, 250).unsigned_abs())
            }
        };
        self.pause(moment.saturating_duration_since(now)).await;
    }

    /// Sleeps, in steps short enough to notice the end of the run.
    async fn pause(&self, pause: Duration) {
        let moment = Instant::now() + pause;
        while !self.running.is_over() {
            let now = Instant::now();
            if now >= moment {
                return;
            }
            sleep_until(moment.min(now + PAUSE_STEP).into()).await;
        }
    }

    fn body_of(&mut self, method: Method) -> usize {
        let bodies: Vec<_> = method
            .bodies()
            .iter()
            .filter(|(bytes, _)| *bytes <= self.running.group.body_bytes_max)
            .collect();
        let weights: u32 = bodies.iter().map(|(_, weight)| weight).sum();
        let mut thrown = self.dice.between(1, i64::from(weights.max(1)));
        for (bytes, weight) in bodies {
            thrown -= i64::from(*weight);
            if thrown <= 0 {
                return *bytes;
            }
        }
        0
    }

    async fn exchange(&mut self, request: &Request, role: Role) {
        let raced = role != Role::Prepares;
        let running = Rc::clone(&self.running);
        let (path, lane) = &running.group.lanes[self.index];
        let bytes = request.bytes(path, &running.group);
        let facts = running.flows.with(|flows| flows.lane(*lane));
        // No wire sees what a Unix socket carries; that path has next to no length.
        let last_answer = facts.last_answer.or(self.answered);
        let sent = Instant::now();
        let outcome = timeout(PATIENCE, self.attempt(request, &bytes))
            .await
            .unwrap_or(Outcome::TimedOut);
        let took = sent.elapsed();
        self.answered = (outcome == Outcome::Answered).then(Instant::now);
        if outcome != Outcome::Answered {
            self.connection = None;
        }
        let idle = last_answer.map(|answered| sent.saturating_duration_since(answered));
        let aimed = running.group.script == Script::Aim;
        let timer = running.timer.get();
        if raced && (!aimed || idle.is_some_and(|idle| timer.is_in_window(idle, running.delay))) {
            *running.raced.borrow_mut().entry(request.method).or_default() += 1;
        }
        running.trials.borrow_mut().push(Trial {
            id: request.id,
            endpoint: *lane,
            method: request.method,
            body: request.body,
            raced,
            follows: role == Role::Follows,
            took,
            outcome,
            idle,
            closes_before: facts.closes,
            seen: Vec::new(),
        });
    }

    async fn attempt(&mut self, request: &Request, bytes: &[u8]) -> Outcome {
        if self.connection.is_none() {
            match TcpStream::connect((Ipv4Addr::LOCALHOST, PROXY_PORT)).await {
                Ok(stream) => self.connection = Some(Wired::new(stream)),
                Err(_) => return Outcome::Closed,
            }
        }
        let Some(connection) = self.connection.as_mut() else {
            return Outcome::Closed;
        };
        // A proxy may answer before it has taken the whole body, and close: the answer is what counts.
        let written = connection.write(bytes).await;
        match read_answer(connection, request, self.running.group.echoes).await {
            Ok((outcome, stays)) => {
                if !stays || written.is_err() {
                    self.connection = None;
                }
                outcome
            }
            Err(_) => Outcome::Closed,
        }
    }
}

impl Request {
    fn bytes(&self, path: &str, group: &Group) -> Vec<u8> {
        let mut bytes = format!(
            "{} {path} HTTP/1.1\r\nHost: race.test\r\nX-Race-Id: {:016x}\r\n",
            self.method.token(),
            self.id
        )
        .into_bytes();
        if let Some(act) = group.act.as_ref().filter(|_| self.act) {
            bytes.extend_from_slice(format!("X-Race-Act: {act}\r\n").as_bytes());
        }
        let body = body(self.body);
        match self.method {
            Method::Get | Method::Delete => bytes.extend_from_slice(b"\r\n"),
            Method::Post | Method::Put => {
                bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
                bytes.extend_from_slice(&body);
            }
            Method::PostChunked => {
                bytes.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
                for chunk in body.chunks(CHUNK_BYTES) {
                    bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                    bytes.extend_from_slice(chunk);
                    bytes.extend_from_slice(b"\r\n");
                }
                bytes.extend_from_slice(b"0\r\n\r\n");
            }
        }
        bytes
    }

    /// The text that a backend answers with: id, length, and (the lab's own only) digest of the body.
    fn is_echoed_by(&self, text: &[u8]) -> bool {
        let text = String::from_utf8_lossy(text);
        let mut words = text.split_ascii_whitespace();
        let digest = Digest::of(&body(self.body));
        words.next() == Some(&format!("{:016x}", self.id))
            && words.next() == Some(&digest.bytes.to_string())
            && words
                .next()
                .is_none_or(|sum| sum == format!("{:016x}", digest.sum))
    }
}

/// The outcome, and whether the connection stays open.
async fn read_answer(connection: &mut Wired, request: &Request, echoes: bool) -> io::Result<(Outcome, bool)> {
    let Some(mut head) = connection.head().await? else {
        return Ok((Outcome::Closed, false));
    };
    while matches!(head.status(), Some(100..=199)) {
        head = connection.head().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    }
    let body = connection.response_body(&head).await?;
    let outcome = match head.status() {
        _ if head.field(UNASKED).is_some() => Outcome::Unasked,
        Some(200..=299) if !echoes || request.is_echoed_by(&body.text) => Outcome::Answered,
        Some(200..=299) | None => Outcome::Wrong,
        Some(status) => Outcome::Status(status),
    };
    Ok((outcome, !head.closes() && !connection.has_unread()))
}

/// A body in which no segment can be taken for a head.
fn body(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| b'a' + (at % 26) as u8).collect()
}

fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// How long the client waits for an answer before it calls the request hung.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(20);
const PAUSE_STEP: Duration = Duration::from_millis(200);
const CHUNK_BYTES: usize = 8 * 1024;
