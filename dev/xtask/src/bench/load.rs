//! Closed-loop load: so many connections, each with its next request as soon as it has its answer.

use std::net::SocketAddrV4;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::client::{Client, Received};
use super::message::Body;
use super::poll::{Interest, Poller};
use super::proc::pin;
use crate::Fallible;

/// What is asked, and how.
#[derive(Clone)]
pub(super) struct Workload {
    /// The proxy.
    pub(super) to: SocketAddrV4,
    /// Client connections, of all threads together.
    pub(super) connections: usize,
    /// The requests; at least one.
    pub(super) requests: Arc<[Vec<u8>]>,
    /// Who asks which of them.
    pub(super) turns: Turns,
    /// Each response's body.
    pub(super) body: Body,
    /// How long a connection lives.
    pub(super) life: Life,
}

/// Who asks which of several requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turns {
    /// All ask the last.
    Last,
    /// Each connection has one of its own, spread over all of them.
    Own,
    /// One after the other, whoever is next.
    InTurn,
}

/// How long a client connection lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// For the whole run.
    KeptAlive,
    /// For one request, which says so.
    OneRequest,
}

/// Load under way. Dropping it ends it.
pub(super) struct Load {
    /// One for each core that it was given.
    threads: Vec<LoadThread>,
}

struct LoadThread {
    tally: Arc<Tally>,
    handle: JoinHandle<()>,
}

/// What a thread has done. None has another's, so that counting a request costs no core the other's attention.
#[derive(Default)]
struct Tally {
    answered: AtomicU64,
    failed: AtomicU64,
    first_failure: Mutex<Option<String>>,
    stop: AtomicBool,
}

impl Load {
    /// Begins, with a thread on each of these cores; they share the connections evenly.
    ///
    /// # Errors
    /// When the rig has no thread for it.
    pub(super) fn start(workload: &Workload, cores: &[usize]) -> Fallible<Self> {
        let mut load = Self { threads: Vec::new() };
        for (index, core) in cores.iter().copied().enumerate() {
            let own = Workload {
                connections: share(workload.connections, index, cores.len()),
                ..workload.clone()
            };
            load.threads.push(LoadThread::start(own, core)?);
        }
        Ok(load)
    }

    /// Requests answered as they should be, so far.
    pub(super) fn answered(&self) -> u64 {
        self.tallies()
            .map(|tally| tally.answered.load(Ordering::Relaxed))
            .sum()
    }

    /// Ends it; what went wrong: how many requests, and the first of them in words.
    pub(super) fn finish(mut self) -> (u64, Option<String>) {
        let tallies: Vec<Arc<Tally>> = self.tallies().cloned().collect();
        self.end();
        let failed = tallies.iter().map(|tally| tally.failed.load(Ordering::Relaxed));
        let first = tallies.iter().find_map(|tally| {
            let first = tally.first_failure.lock();
            first.unwrap_or_else(PoisonError::into_inner).clone()
        });
        (failed.sum(), first)
    }

    fn tallies(&self) -> impl Iterator<Item = &Arc<Tally>> {
        self.threads.iter().map(|thread| &thread.tally)
    }

    fn end(&mut self) {
        for tally in self.tallies() {
            tally.stop.store(true, Ordering::Relaxed);
        }
        for thread in self.threads.drain(..) {
            // It notes its own errors; a panic has been printed.
            let _ = thread.handle.join();
        }
    }
}

impl LoadThread {
    fn start(workload: Workload, core: usize) -> Fallible<Self> {
        let tally = Arc::new(Tally::default());
        let own = Arc::clone(&tally);
        let handle = std::thread::Builder::new().name("load".into()).spawn(move || {
            let ran = pin(&[core]).and_then(|()| Crowd::new(workload, &own)?.run());
            if let Err(why) = ran {
                own.fail(&why.to_string());
            }
        })?;
        Ok(Self { tally, handle })
    }
}

/// How many of `all` are the share of number `index` of `count`.
fn share(all: usize, index: usize, count: usize) -> usize {
    (all + index) / count
}

impl Drop for Load {
    fn drop(&mut self) {
        self.end();
    }
}

impl Tally {
    fn fail(&self, why: &str) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        let mut first = self.first_failure.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert_with(|| why.to_owned());
    }
}

/// All connections of a thread; a token is a connection's index.
struct Crowd<'a> {
    workload: Workload,
    tally: &'a Tally,
    poller: Poller,
    members: Vec<Member>,
    /// The next request, where they are taken in turn.
    turn: usize,
}

struct Member {
    client: Client,
    /// Its request under way.
    request: usize,
    /// Whether that one has been answered, and only the connection's end is still to come.
    answered: bool,
}

impl<'a> Crowd<'a> {
    fn new(workload: Workload, tally: &'a Tally) -> Fallible<Self> {
        let mut crowd = Self {
            poller: Poller::new()?,
            members: Vec::with_capacity(workload.connections),
            turn: 0,
            workload,
            tally,
        };
        for index in 0..crowd.workload.connections {
            let client = crowd.connect(index)?;
            let requests = crowd.workload.requests.len();
            crowd.members.push(Member {
                client,
                request: match crowd.workload.turns {
                    Turns::Last => requests - 1,
                    Turns::Own => index * requests / crowd.workload.connections,
                    Turns::InTurn => 0,
                },
                answered: false,
            });
            crowd.ask(index)?;
        }
        Ok(crowd)
    }

    fn run(&mut self) -> Fallible<()> {
        let mut ready = Vec::new();
        let mut scratch = vec![0; SCRATCH_BYTES];
        while !self.tally.stop.load(Ordering::Relaxed) {
            self.poller.wait(&mut ready)?;
            for index in ready.drain(..) {
                if let Err(why) = self.go_on(index, &mut scratch) {
                    self.tally.fail(&why.to_string());
                    if self.tally.failed.load(Ordering::Relaxed) > FAILURES_MAX {
                        return Ok(());
                    }
                    self.begin_anew(index)?;
                }
            }
        }
        Ok(())
    }

    fn go_on(&mut self, index: usize, scratch: &mut [u8]) -> Fallible<()> {
        let member = &mut self.members[index];
        if member.client.is_sending() {
            if member.client.send_on(&self.workload.requests[member.request])? {
                self.poller
                    .change(member.client.stream(), index, Interest::Read)?;
            }
            return Ok(());
        }
        match member.client.receive(scratch, self.workload.body)? {
            Received::Part => Ok(()),
            Received::Whole if member.answered => Err("a response that nobody asked for".into()),
            Received::Whole => match self.workload.life {
                Life::KeptAlive => {
                    self.tally.answered.fetch_add(1, Ordering::Relaxed);
                    self.ask(index)
                }
                Life::OneRequest => {
                    member.answered = true;
                    Ok(())
                }
            },
            Received::End if member.answered => {
                self.tally.answered.fetch_add(1, Ordering::Relaxed);
                self.begin_anew(index)
            }
            Received::End => Err("closed without a response".into()),
        }
    }

    fn begin_anew(&mut self, index: usize) -> Fallible<()> {
        self.members[index].client = self.connect(index)?;
        self.members[index].answered = false;
        self.ask(index)
    }

    fn connect(&self, index: usize) -> Fallible<Client> {
        let client = Client::connect(self.workload.to)?;
        self.poller.watch(client.stream(), index, Interest::Read)?;
        Ok(client)
    }

    fn ask(&mut self, index: usize) -> Fallible<()> {
        let member = &mut self.members[index];
        if self.workload.turns == Turns::InTurn {
            member.request = self.turn;
            self.turn = (self.turn + 1) % self.workload.requests.len();
        }
        if !member.client.send(&self.workload.requests[member.request])? {
            self.poller
                .change(member.client.stream(), index, Interest::Write)?;
        }
        Ok(())
    }
}

const SCRATCH_BYTES: usize = 256 * 1024;
/// Past this a run is lost anyway.
const FAILURES_MAX: u64 = 1_000;

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::bench::endpoint::Endpoint;
    use crate::bench::message;
    use crate::bench::proc::{LOAD_CORE, PROXY_CORE};

    fn answered_by(endpoint: &Endpoint, life: Life, body: Body) -> Fallible<(u64, Option<String>)> {
        let workload = Workload {
            to: endpoint.address(),
            connections: 4,
            requests: Arc::new([
                message::get("/", life == Life::OneRequest),
                message::post("/", 4096),
            ]),
            turns: if life == Life::OneRequest {
                Turns::Own
            } else {
                Turns::InTurn
            },
            body,
            life,
        };
        let load = Load::start(&workload, &[LOAD_CORE, PROXY_CORE])?;
        // Each thread has to come that far: neither is idle.
        let goes_on = |tally: &Arc<Tally>| {
            tally.answered.load(Ordering::Relaxed) < 100 && tally.failed.load(Ordering::Relaxed) == 0
        };
        let deadline = Instant::now() + Duration::from_secs(10);
        while load.tallies().any(goes_on) {
            assert!(Instant::now() < deadline, "nothing comes");
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(load.finish())
    }

    #[test]
    fn connections_ask_again_and_again_and_a_wrong_length_is_an_error() -> Fallible<()> {
        let endpoint = Endpoint::start(&[LOAD_CORE, PROXY_CORE], 0)?;
        let body = Body::Length(16 * 1024);
        endpoint.give(body);
        assert_eq!(answered_by(&endpoint, Life::KeptAlive, body)?, (0, None));
        let (failed, first) = answered_by(&endpoint, Life::KeptAlive, Body::Length(100))?;
        assert!(failed > 0 && first.is_some());
        Ok(())
    }

    #[test]
    fn shares_are_even_and_leave_nobody_out() {
        let shares = |all: usize, count: usize| -> Vec<usize> {
            (0..count).map(|index| share(all, index, count)).collect()
        };
        assert_eq!(shares(64, 2), [32, 32]);
        assert_eq!(shares(5, 2), [2, 3]);
        assert_eq!(shares(16, 1), [16]);
    }
}
