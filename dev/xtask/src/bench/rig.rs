//! One run: a proxy is started, loaded, looked at, and ended.

use std::io::{Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::endpoint::Endpoint;
use super::fairness::{self, BulkEndpoint};
use super::line::Line;
use super::load::{Load, Workload};
use super::message::{self, Body, Incoming};
use super::open::{self, Quantiles, Schedule};
use super::peers::{Programs, RunningPeer, SetUp, Site};
use super::plan::{IDLE_CONNECTIONS, Kind, Shape};
use super::proc::{CoreTime, CpuTime, LOAD_CORE, PROXY_CORE, Resident, Wakeups};
use super::report::{Cost, Fairness, Latency, Measured, Memory, Rest, Spread, rounded};
use super::strace;
use crate::Fallible;

/// What all runs have in common.
pub(super) struct Rig {
    /// What proxies forward to.
    pub(super) endpoint: Endpoint,
    /// Our programs.
    pub(super) programs: Programs,
    /// How long runs take.
    pub(super) pace: Pace,
}

/// How long runs take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Load before it counts.
    pub(super) warm_up: Duration,
    /// Load that counts.
    pub(super) span: Duration,
    /// The same of an open-loop run.
    pub(super) open_span: Duration,
    /// Idle client connections.
    pub(super) idle_connections: usize,
    /// How long memory may settle.
    pub(super) settle: Duration,
    /// How long nobody asks for anything.
    pub(super) rest: Duration,
    /// Small requests without, and as many with, a bulk transfer beside them.
    pub(super) small_requests: usize,
}

impl Pace {
    /// For figures.
    pub(super) const FULL: Self = Self {
        warm_up: Duration::from_millis(500),
        span: Duration::from_secs(2),
        open_span: Duration::from_millis(2_500),
        idle_connections: IDLE_CONNECTIONS,
        settle: Duration::from_millis(1_500),
        rest: Duration::from_secs(10),
        small_requests: 2_000,
    };

    /// To see that everything works.
    pub(super) const QUICK: Self = Self {
        warm_up: Duration::from_millis(200),
        span: Duration::from_millis(600),
        open_span: Duration::from_millis(800),
        idle_connections: 1_000,
        settle: Duration::from_millis(500),
        rest: Duration::from_secs(1),
        small_requests: 300,
    };
}

impl Rig {
    /// Measures one line once. `direct` is what this round measured without a proxy, where it did.
    ///
    /// # Errors
    /// When the proxy does not start, or a request fails.
    pub(super) fn measure(&self, kind: Kind, line: &Line, direct: Option<Quantiles>) -> Fallible<Measured> {
        match kind {
            Kind::Cost(shape) => self.cost(shape, line).map(Measured::Cost),
            Kind::Latency(every) => self.latency(line, direct, every).map(Measured::Latency),
            Kind::Fairness => self.fairness(line).map(Measured::Fairness),
            Kind::Rest => self.rest(line).map(Measured::Rest),
            Kind::Memory => self.memory(line).map(Measured::Memory),
            Kind::Syscalls(shape) => {
                let run = self.start(shape, line)?;
                sleep(self.pace.warm_up);
                let calls = strace::calls_per_request(run.peer.pid(), &run.load, self.pace.span)?;
                unfailed(run.load)?;
                Ok(Measured::Calls(calls))
            }
        }
    }

    fn cost(&self, shape: Shape, line: &Line) -> Fallible<Cost> {
        let run = self.start(shape, line)?;
        sleep(self.pace.warm_up);
        let mut looks = vec![Look::at(&run)?];
        for _ in 0..SLICES {
            sleep(self.pace.span / SLICES);
            looks.push(Look::at(&run)?);
        }
        unfailed(run.load)?;
        let slices = looks
            .windows(2)
            .filter_map(|pair| pair[1].cost_since(&pair[0], shape));
        let slices: Vec<f64> = slices.map(rounded).collect();
        let cost = Spread::of(slices.clone())
            .ok_or("no request was answered")?
            .median;
        let (before, after) = (&looks[0], &looks[looks.len() - 1]);
        let requests = after.answered - before.answered;
        let spent = after.proxy.since(before.proxy);
        let seconds = after.when.duration_since(before.when).as_secs_f64();
        let cpu = spent.total.as_secs_f64();
        let others = |core: Duration, ours: f64| rounded((core.as_secs_f64() - ours) / seconds);
        let own = after.rig.since(before.rig).total.as_secs_f64();
        // Where the proxy shares a core with the load, nobody can tell whose time it was.
        let is_apart = line.is_apart();
        Ok(Cost {
            cost: rounded(cost),
            user: rounded(cost * spent.user_share),
            system: rounded(cost * (1.0 - spent.user_share)),
            requests,
            per_second: rounded(requests as f64 / seconds),
            busy: rounded(cpu / seconds),
            others: is_apart.then(|| others(after.proxy_core.since(before.proxy_core), cpu)),
            slices,
            others_beside_load: is_apart.then(|| others(after.load_core.since(before.load_core), own)),
        })
    }

    fn latency(&self, line: &Line, direct: Option<Quantiles>, every: Duration) -> Fallible<Latency> {
        let body = Body::Length(100);
        self.endpoint.give(body);
        let peer = self.peer(line)?;
        let to = peer
            .as_ref()
            .map_or_else(|| self.endpoint.address(), RunningPeer::address);
        let look = || -> Fallible<(Instant, CoreTime, Duration)> {
            let spent = peer.as_ref().map(|peer| CpuTime::of(peer.pid())).transpose()?;
            let spent = spent.map_or(Duration::ZERO, CpuTime::total);
            Ok((Instant::now(), CoreTime::of(PROXY_CORE)?, spent))
        };
        let schedule = Schedule {
            every,
            warm_up: self.pace.warm_up,
            span: self.pace.open_span,
        };
        let before = look()?;
        let seen = open::run(
            to,
            &message::get("/catalogue/item?id=4711", false),
            body,
            schedule,
        )?;
        let after = look()?;
        let ours = (after.2 - before.2).as_secs_f64();
        let others = (after.1.since(before.1).as_secs_f64() - ours) / (after.0 - before.0).as_secs_f64();
        Ok(Latency::new(seen, direct, rounded(others)))
    }

    /// The same requests without, then with a bulk transfer beside them, through one process.
    fn fairness(&self, line: &Line) -> Fallible<Fairness> {
        let bulk = line.bulk.ok_or("nothing beside it")?;
        let set_up = line.set_up.ok_or("nobody to be fair")?;
        let endpoint = BulkEndpoint::start()?;
        let site = Site {
            endpoint: &self.endpoint,
            elsewhere: Some(endpoint.address()),
            programs: &self.programs,
            cores: line.cores,
        };
        let peer = RunningPeer::start(set_up, &site)?;
        fairness::run(peer.address(), bulk, self.pace.small_requests)
    }

    fn rest(&self, line: &Line) -> Fallible<Rest> {
        self.endpoint.give(Body::Length(100));
        let peer = self.peer(line)?.ok_or("nobody rests")?;
        // It has served once, and has a connection in its pool, as any gateway at rest does.
        let _client = ask_once(peer.address(), &message::get("/", false))?;
        sleep(self.pace.settle * 2);
        let (wakeups, cpu) = (Wakeups::of(peer.pid())?, CpuTime::of(peer.pid())?);
        sleep(self.pace.rest);
        let seconds = self.pace.rest.as_secs_f64();
        let woken = Wakeups::of(peer.pid())?.since(wakeups) as f64;
        let spent = CpuTime::of(peer.pid())?.since(cpu).total;
        Ok(Rest {
            wakeups_per_second: rounded(woken / seconds),
            cpu_ms_per_second: rounded(spent.as_secs_f64() * 1e3 / seconds),
        })
    }

    fn memory(&self, line: &Line) -> Fallible<Memory> {
        self.endpoint.give(Body::Length(100));
        let peer = self.peer(line)?.ok_or("nothing to look at")?;
        sleep(self.pace.settle);
        let rest = Resident::of(peer.pid())?;
        let request = message::get("/catalogue/item?id=4711", false);
        let ask = |count: usize| -> Fallible<Vec<TcpStream>> {
            (0..count).map(|_| ask_once(peer.address(), &request)).collect()
        };
        // What the first requests bring in (code, tables, one upstream connection) is no connection's.
        let _first = ask(FIRST_CONNECTIONS)?;
        sleep(self.pace.settle);
        let before = Resident::of(peer.pid())?;
        let count = self.pace.idle_connections;
        let _held = ask(count)?;
        sleep(self.pace.settle);
        let after = Resident::of(peer.pid())?;
        let each = |after: u64, before: u64| (after as f64 - before as f64) / count as f64;
        Ok(Memory {
            rest_mib: rounded(rest.all_kib as f64 / 1024.0),
            idle_kib: rounded(each(after.all_kib, before.all_kib)),
            idle_anonymous_kib: rounded(each(after.anonymous_kib, before.anonymous_kib)),
            connections: count,
        })
    }

    /// A proxy and its load, both under way.
    ///
    /// # Errors
    /// When one of them does not start.
    pub(super) fn start(&self, shape: Shape, line: &Line) -> Fallible<Run> {
        let own = match line.load_cores {
            [LOAD_CORE] => None,
            cores => Some(Endpoint::start(cores, 0)?),
        };
        let endpoint = own.as_ref().unwrap_or(&self.endpoint);
        endpoint.give(shape.body);
        let set_up = line.set_up.ok_or("load needs a proxy")?;
        let peer = self.peer_of(set_up, line, endpoint)?;
        let workload = Workload {
            to: peer.address(),
            connections: shape.connections,
            requests: shape.requests(set_up).into(),
            turns: line.turns,
            body: shape.body,
            life: shape.life,
        };
        Ok(Run {
            load: Load::start(&workload, line.load_cores)?,
            peer,
            _endpoint: own,
        })
    }

    /// A proxy without load; none for a line that has none.
    ///
    /// # Errors
    /// When it does not start.
    pub(super) fn peer(&self, line: &Line) -> Fallible<Option<RunningPeer>> {
        line.set_up
            .map(|set_up| self.peer_of(set_up, line, &self.endpoint))
            .transpose()
    }

    fn peer_of(&self, set_up: SetUp, line: &Line, endpoint: &Endpoint) -> Fallible<RunningPeer> {
        let site = Site {
            endpoint,
            elsewhere: None,
            programs: &self.programs,
            cores: line.cores,
        };
        RunningPeer::start(set_up, &site)
    }
}

/// A proxy under load. What is dropped first is the load, last the endpoint.
pub(super) struct Run {
    pub(super) load: Load,
    pub(super) peer: RunningPeer,
    /// Where the rig's own is not on the cores that it should be on.
    _endpoint: Option<Endpoint>,
}

/// Everything that is counted, at one time.
struct Look {
    when: Instant,
    answered: u64,
    proxy: CpuTime,
    rig: CpuTime,
    proxy_core: CoreTime,
    load_core: CoreTime,
}

impl Look {
    fn at(run: &Run) -> Fallible<Self> {
        Ok(Self {
            when: Instant::now(),
            answered: run.load.answered(),
            proxy: CpuTime::of(run.peer.pid())?,
            rig: CpuTime::of(std::process::id())?,
            proxy_core: CoreTime::of(PROXY_CORE)?,
            load_core: CoreTime::of(LOAD_CORE)?,
        })
    }

    /// What a request took since then: microseconds of CPU time, or milliseconds a GiB. `None` if none was
    /// answered.
    fn cost_since(&self, before: &Self, shape: Shape) -> Option<f64> {
        let cpu = self.proxy.since(before.proxy).total.as_secs_f64();
        let answered = self.answered - before.answered;
        let cost = if shape.counts_bytes() {
            cpu * 1e3 / ((answered as usize * shape.body.length()) as f64 / GIB)
        } else {
            cpu * 1e6 / answered as f64
        };
        (answered > 0).then_some(cost)
    }
}

/// Ends the load.
///
/// # Errors
/// When a request failed.
pub(super) fn unfailed(load: Load) -> Fallible<()> {
    match load.finish() {
        (0, _) => Ok(()),
        (failed, first) => {
            let first = first.unwrap_or_default();
            Err(format!("{failed} requests failed, the first: {first}").into())
        }
    }
}

/// A connection that has had one request, and its answer.
fn ask_once(to: SocketAddrV4, request: &[u8]) -> Fallible<TcpStream> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(request)?;
    let (mut incoming, mut bytes) = (Incoming::default(), [0; 4096]);
    loop {
        let count = stream.read(&mut bytes)?;
        if count == 0 {
            return Err("closed without a response".into());
        }
        if incoming.take(&bytes[..count], Body::Length(100))? {
            return Ok(stream);
        }
    }
}

/// A run is looked at in so many parts, and the middle one counts: what disturbs a shared machine comes in bursts,
/// which last for some tenths of a second.
const SLICES: u32 = 10;
const GIB: f64 = (1024 * 1024 * 1024) as f64;
const FIRST_CONNECTIONS: usize = 100;
