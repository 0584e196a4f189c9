//! Where a scenario plays: one thread with precise alarms, which clients and endpoints share, a proxy on
//! the first core, and everything else on the second.

use std::net::SocketAddrV4;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use super::alarms::Alarms;
use super::endpoint::{Endpoint, Work};
use super::load::Load;
use super::peers::{Care, Peer, Route, Running, Setting};
use crate::Fallible;

/// What a scenario needs.
pub(crate) struct Stage<'a> {
    /// The proxy that is looked at.
    pub(crate) peer: Peer,
    /// How long its acts last.
    pub(crate) pace: Pace,
    /// evenkeel's program.
    pub(crate) evenkeel: &'a Path,
    /// Where the proxy's output goes.
    pub(crate) log: &'a Path,
    /// Where it runs, and where the rest does.
    pub(crate) cores: &'a Cores,
    /// The thread's alarms.
    pub(crate) alarms: Rc<Alarms>,
}

/// How long the acts of a scenario last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Undisturbed, at first.
    pub(crate) before: Duration,
    /// A stall, where the scenario does not say.
    pub(crate) stall: Duration,
    /// An outage, an overflow.
    pub(crate) outage: Duration,
    /// Undisturbed, at last.
    pub(crate) after: Duration,
    /// Answers of which a few are slow.
    pub(crate) hedged: Duration,
}

impl Pace {
    /// As the bars are worded.
    pub(crate) const FULL: Self = Self {
        before: Duration::from_secs(4),
        stall: Duration::from_secs(10),
        outage: Duration::from_secs(5),
        after: Duration::from_secs(4),
        hedged: Duration::from_secs(10),
    };
    /// To see that all of it works; ejections hardly come to rest in it.
    pub(crate) const QUICK: Self = Self {
        before: Duration::from_secs(2),
        stall: Duration::from_secs(4),
        outage: Duration::from_secs(5),
        after: Duration::from_secs(2),
        hedged: Duration::from_secs(4),
    };
}

impl Stage<'_> {
    /// Opens endpoints that take as long as `work` says.
    ///
    /// # Errors
    /// When they can not listen.
    pub(crate) async fn endpoints(&self, count: usize, work: Work) -> Fallible<Vec<Rc<Endpoint>>> {
        Endpoint::open(count, work, &self.alarms).await
    }

    /// Starts the proxy on its core before `routes`.
    ///
    /// # Errors
    /// Why it does not start, with where to read more.
    pub(crate) async fn proxy(&self, routes: &[Route], care: Care, workers: u32) -> Fallible<Running> {
        let setting = Setting {
            routes,
            care,
            workers,
            evenkeel: self.evenkeel,
            log: self.log,
        };
        let mut running = self.cores.on_the_first(|| self.peer.start(&setting))?;
        running.wait_until_it_listens(&self.alarms).await.map_err(|why| {
            format!(
                "{} {why}; its output is in {}",
                self.peer.name(),
                self.log.display()
            )
        })?;
        // What starts up, checks and logs has time to come to rest.
        self.alarms.after(REST).await;
        Ok(running)
    }

    /// Clients of the proxy at `address`.
    pub(crate) fn load(&self, address: SocketAddrV4) -> Rc<Load> {
        Load::new(address, Rc::clone(&self.alarms))
    }

    /// The largest resident memory of `proxy` until `until`, in KiB.
    pub(crate) async fn peak_rss_kib(&self, proxy: &Running, until: Instant) -> u64 {
        let mut peak = proxy.rss_kib();
        while Instant::now() < until {
            self.alarms.after(RSS_STEP).await;
            peak = peak.max(proxy.rss_kib());
        }
        peak
    }
}

/// Routes by path, each to its endpoints.
pub(crate) fn route(path: &'static str, endpoints: &[Rc<Endpoint>]) -> Route {
    Route {
        path,
        endpoints: endpoints.iter().map(|endpoint| endpoint.address()).collect(),
    }
}

/// Plays `act` on a thread with alarms.
///
/// # Errors
/// The act's own, or when the runtime can not be built.
pub(crate) fn on_stage<T>(act: impl AsyncFnOnce(Rc<Alarms>) -> Fallible<T>) -> Fallible<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let alarms = Rc::new(Alarms::new()?);
        let keeper = Rc::clone(&alarms);
        tokio::task::spawn_local(async move { keeper.keep().await });
        act(alarms).await
    })
}

/// The cores that this program may use.
pub(crate) struct Cores(Vec<usize>);

impl Cores {
    /// Asks the kernel.
    ///
    /// # Errors
    /// When it does not say.
    pub(crate) fn find() -> Fallible<Self> {
        let allowed = sched_getaffinity(Pid::from_raw(0))?;
        let all = 0..CpuSet::count();
        Ok(Self(
            all.filter(|core| allowed.is_set(*core).unwrap_or(false))
                .collect(),
        ))
    }

    /// Puts this thread, and children that it starts from now on, on the load's core.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(crate) fn leave_the_first(&self) -> Fallible<()> {
        self.pin(1)
    }

    /// Runs `work` on the proxy's core: children that it starts stay there.
    fn on_the_first<T>(&self, work: impl FnOnce() -> Fallible<T>) -> Fallible<T> {
        self.pin(0)?;
        let done = work();
        self.pin(1)?;
        done
    }

    fn pin(&self, index: usize) -> Fallible<()> {
        // With one core nothing can be kept apart; the report says how many there are.
        let (Some(core), true) = (self.0.get(index), self.0.len() > 1) else {
            return Ok(());
        };
        let mut set = CpuSet::new();
        set.set(*core)?;
        Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
    }
}

const REST: Duration = Duration::from_millis(500);
const RSS_STEP: Duration = Duration::from_millis(20);
