//! Hedging: a request that waits longer than most is sent a second time, to another endpoint if there
//! is one, and whoever answers first is heard.
//!
//! ```text
//!   first  ---------------------------------+-- answers: the hedge is given up
//!          '-usual wait--> admitted? --.    |-- dies: the hedge takes its place
//!   hedge                              '----+-- answers: the first is given up
//!                                           '-- fails: as if there had been none
//! ```
//! Only for requests that may be applied twice and are here whole: both copies are on the wire at once.

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;

use policy::cluster::{EndpointId, Reuse};
use policy::deadline::{Bounds, Which};
use policy::outcome::{AttemptEnd, Rule};
use policy::plan::HedgePlan;
use policy::time::Moment;
use wire::h1::head::{Limits as HeadLimits, ResponseHead};

use crate::downstream::leaving::Waiter;
use crate::engine;
use crate::engine::wait::{First, first};
use crate::exchange::Exchange;
use crate::exchange::attempt_count;
use crate::exchange::fault::Fault;
use crate::exchange::postmortem::{attempt_on, note, note_lost, sent};
use crate::exchange::tried::{Begun, Tried};
use crate::telemetry::record::SavedBy;
use crate::transport::Transport;
use crate::transport::buffer::ReadBuffer;
use crate::upstream::ask::{Asked, Asker, NoLease, Want};
use crate::upstream::attempt::{self, Attempted, Speaker, Timekeeper};
use crate::upstream::body::Upload;
use crate::upstream::lease::Lease;
use crate::upstream::shared::ClusterHandle;
use crate::worker::Worker;

/// A hedge that may become necessary.
pub(crate) struct Hedge<'a, 'b> {
    worker: &'a Rc<Worker>,
    cluster: &'a ClusterHandle,
    plan: &'a HedgePlan,
    want: Want<'b>,
    twin: Upload,
}

/// A hedge's attempt, made.
struct Second<'a> {
    lease: Lease<'a>,
    attempted: Attempted,
    response: ResponseHead,
    twin: Upload,
    begun: Begun,
    permit: Permit<'a>,
}

/// How it went between the two.
enum Race<'a> {
    /// The first attempt is what counts.
    First(Attempted),
    /// The hedge is what counts; the first attempt may have failed before.
    Second(Box<Second<'a>>, Option<Attempted>),
}

/// How far a hedge has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// It may not be necessary.
    Waiting,
    /// It is to be made.
    Admitted,
    /// It is on the wire.
    Made,
}

impl<'a, 'b> Hedge<'a, 'b> {
    /// For a request of which `twin` is a copy, and an attempt that `want` was asked for.
    pub(crate) fn new(
        worker: &'a Rc<Worker>,
        cluster: &'a ClusterHandle,
        plan: &'a HedgePlan,
        want: Want<'b>,
        twin: Upload,
    ) -> Self {
        Self {
            worker,
            cluster,
            plan,
            want,
            twin,
        }
    }

    /// An attempt on `lease`, with another one beside it if it takes longer than most.
    pub(crate) async fn attempt(
        self: Box<Self>,
        exchange: &mut Exchange<'_>,
        mut lease: Lease<'a>,
        upload: &mut Upload,
        bounds: Bounds,
        begun: Begun,
    ) -> Result<Tried<'a>, Box<Fault>> {
        let cluster = self.cluster;
        let progress = Cell::new(Progress::Waiting);
        let race = self.race(exchange, &mut lease, upload, bounds, begun.leased, &progress);
        match race.await {
            Race::First(attempted) => {
                if progress.get() == Progress::Made {
                    exchange.count_attempt();
                }
                Tried::after(attempted, lease, upload, exchange.work.response.status, begun)
            }
            Race::Second(mut second, failed) => {
                if failed.is_none() {
                    let end = AttemptEnd::GivenUp(sent(&lease));
                    note(exchange, attempt_on(&lease, begun, end));
                }
                match failed {
                    None if lease.endpoint == second.lease.endpoint => {
                        lease.tell(|cluster, now| cluster.on_given_up(lease.endpoint, begun.leased, now));
                        lease.close();
                    }
                    None => lease.outrun(begun.leased, upload.sent_whole()),
                    Some(attempted) => {
                        let status = exchange.work.response.status;
                        let tried = Tried::after(attempted, lease, upload, status, begun)?;
                        note_lost(exchange, tried, cluster);
                    }
                }
                second.permit.won = matches!(second.attempted, Attempted::Response);
                exchange.rule = Rule::Hedge;
                exchange.made_with(&second.lease);
                exchange.record.saved(Some(SavedBy::Hedge));
                std::mem::swap(&mut exchange.work.response, &mut second.response);
                std::mem::swap(upload, &mut second.twin);
                let Second {
                    lease,
                    attempted,
                    begun,
                    ..
                } = *second;
                Tried::after(attempted, lease, upload, exchange.work.response.status, begun)
            }
        }
    }

    /// Waits for both.
    async fn race(
        self: Box<Self>,
        exchange: &mut Exchange<'_>,
        lease: &mut Lease<'a>,
        upload: &mut Upload,
        bounds: Bounds,
        since: Moment,
        progress: &Cell<Progress>,
    ) -> Race<'a> {
        let mut avoid = self.want.avoid.to_vec();
        avoid.push(lease.endpoint);
        let count = exchange.numbered.then_some(exchange.made + 1);
        let worker = self.worker;
        let (mut speaker, alarm) = Speaker::of(exchange.client);
        let (client, limits) = (speaker.transport, speaker.limits);
        let mut timekeeper = Timekeeper::begin(worker, alarm, bounds, upload);
        let response = &mut exchange.work.response;
        let one = attempt::run(lease, upload, &mut speaker, response, &mut timekeeper);
        let other = self.run(&avoid, (client, limits), bounds, (since, count), progress);
        let (mut one, mut other) = (pin!(one), pin!(other));
        match first(one.as_mut(), other.as_mut()).await {
            First::A(attempted) if progress.get() != Progress::Waiting && is_replaceable(&attempted) => {
                match other.await {
                    Some(second) => Race::Second(second, Some(attempted)),
                    None => Race::First(attempted),
                }
            }
            First::A(attempted) => Race::First(attempted),
            First::B(Some(second)) if second.is_better() => Race::Second(second, None),
            First::B(failed) => {
                if let Some(second) = failed {
                    second.let_go();
                }
                Race::First(one.await)
            }
        }
    }

    /// Waits as long as most answers take; then makes the second attempt, if the cluster bears it.
    async fn run(
        mut self: Box<Self>,
        avoid: &[EndpointId],
        (client, limits): (&Transport, &HeadLimits),
        bounds: Bounds,
        (since, count): (Moment, Option<u32>),
        progress: &Cell<Progress>,
    ) -> Option<Box<Second<'a>>> {
        let (worker, cluster) = (self.worker, self.cluster);
        let wait = cluster
            .shared
            .with(|state| state.cluster.hedge_wait(self.plan, since))?;
        engine::sleep(wait).await;
        let permit = Permit::ask(cluster)?;
        progress.set(Progress::Admitted);
        let asked = worker.clock.now();
        let mut lease = self.lease(avoid, asked).await?;
        progress.set(Progress::Made);
        if let Some(count) = count {
            attempt_count::renumber(&mut self.twin, count);
        }
        let begun = Begun {
            asked,
            leased: worker.clock.now(),
        };
        let bounds = Bounds { asked, ..bounds };
        let (alarm, mut input) = (engine::alarm(), ReadBuffer::default());
        let mut response = ResponseHead::default();
        // Interim responses of both would be one answer's twice.
        let mut speaker = Speaker {
            transport: client,
            input: &mut input,
            limits,
            takes_interim: false,
        };
        let mut timekeeper = Timekeeper::begin(worker, &alarm, bounds, &self.twin);
        let attempted = attempt::run(
            &mut lease,
            &mut self.twin,
            &mut speaker,
            &mut response,
            &mut timekeeper,
        )
        .await;
        Some(Box::new(Second {
            lease,
            attempted,
            response,
            twin: self.twin,
            begun,
            permit,
        }))
    }

    /// A connection, if there is one at once or one may be opened: a hedge waits behind nobody.
    async fn lease(&self, avoid: &[EndpointId], now: Moment) -> Option<Lease<'a>> {
        let asker = Asker {
            worker: self.worker,
            handle: self.cluster,
            want: Want {
                reuse: Reuse::Allow,
                avoid,
                deadline: now,
                ..self.want
            },
        };
        let later = match asker.ask() {
            Asked::Lease(lease) => return Some(lease),
            Asked::Refused(_) => return None,
            Asked::Later(later) => later,
        };
        match asker.carry_out(later, Waiter::steadfast()).await {
            Ok(lease) => Some(lease),
            Err(NoLease::Connect(unreached)) => {
                let tried = Tried::unconnected(unreached, &self.twin, now, self.worker.clock.now());
                let shared = &self.cluster.shared;
                shared.with(|state| state.cluster.on_attempt(&tried.summary, now, now));
                None
            }
            Err(NoLease::Refused(_) | NoLease::Left) => None,
        }
    }
}

impl Second<'_> {
    /// Whether it is worth giving the first attempt up for: an error is not, it may still do better.
    fn is_better(&self) -> bool {
        matches!(self.attempted, Attempted::Response) && self.response.status < 500
    }

    /// It has failed, and the first attempt goes on as if there had been none.
    fn let_go(self) {
        let leased = self.begun.leased;
        let (cluster, status) = (self.permit.cluster, self.response.status);
        let tried = Tried::after(self.attempted, self.lease, &self.twin, status, self.begun);
        if let Ok(tried) = tried {
            let now = cluster.clock.now();
            let shared = &cluster.shared;
            shared.with(|state| state.cluster.on_attempt(&tried.summary, leased, now));
        }
    }
}

/// Whether another attempt may still answer where this one has not: not if the exchange is over.
fn is_replaceable(attempted: &Attempted) -> bool {
    match attempted {
        Attempted::Dead(_) | Attempted::NotHttp(_) | Attempted::Late(Which::PerTry | Which::Silence) => true,
        Attempted::Response
        | Attempted::ClientLeft
        | Attempted::BadBody(_)
        | Attempted::Late(Which::Request | Which::Client | Which::ClientIdle | Which::Left | Which::Idle) => {
            false
        }
    }
}

/// A hedge's place among the retries that a cluster bears.
struct Permit<'a> {
    cluster: &'a ClusterHandle,
    /// It answered first.
    won: bool,
}

impl<'a> Permit<'a> {
    fn ask(cluster: &'a ClusterHandle) -> Option<Self> {
        let now = cluster.clock.now();
        let admitted = cluster
            .shared
            .with(|state| state.cluster.admit_hedge(&cluster.plan, now));
        // Made only if it was admitted: what is made is also dropped.
        admitted.then(|| Self { cluster, won: false })
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.cluster
            .shared
            .with(|state| state.cluster.hedge_ended(self.won));
    }
}
