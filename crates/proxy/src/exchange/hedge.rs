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

use crate::cluster::ClusterHandle;
use crate::engine;
use crate::engine::wait::{First, first};
use crate::exchange::Exchange;
use crate::exchange::attempt::body_source;
use crate::exchange::attempt_count;
use crate::exchange::attempt_result::{AttemptResult, AttemptTimes};
use crate::exchange::fault::Fault;
use crate::exchange::record_failure::{attempt_on, note, note_lost, sent};
use crate::telemetry::record::SavedBy;
use crate::transport::Transport;
use crate::transport::buffer::ReadBuffer;
use crate::transport::leaving::Waiter;
use crate::upstream::attempt::{self, AttemptDeadlines, Attempted, RequestBodySource};
use crate::upstream::body::Upload;
use crate::upstream::checkout::{CheckoutRequest, CheckoutResult, CheckoutTerms, NoLease};
use crate::upstream::lease::Lease;
use crate::worker::context::Worker;

/// A hedge that may become necessary.
pub(crate) struct Hedge<'a, 'b> {
    worker: &'a Rc<Worker>,
    cluster: &'a ClusterHandle,
    plan: &'a HedgePlan,
    terms: CheckoutTerms<'b>,
    replay_clone: Upload,
}

/// A hedge's attempt, made.
struct Second<'a> {
    lease: Lease<'a>,
    attempted: Attempted,
    response: ResponseHead,
    replay_clone: Upload,
    times: AttemptTimes,
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
enum ProgressCounter {
    /// It may not be necessary.
    Waiting,
    /// It is to be made.
    Admitted,
    /// It is on the wire.
    Made,
}

impl<'a, 'b> Hedge<'a, 'b> {
    /// For a request of which `replay_clone` is a copy, and an attempt that `terms` was asked for.
    pub(crate) fn new(
        worker: &'a Rc<Worker>,
        cluster: &'a ClusterHandle,
        plan: &'a HedgePlan,
        terms: CheckoutTerms<'b>,
        replay_clone: Upload,
    ) -> Self {
        Self {
            worker,
            cluster,
            plan,
            terms,
            replay_clone,
        }
    }

    /// An attempt on `lease`, with another one beside it if it takes longer than most.
    pub(crate) async fn attempt(
        self: Box<Self>,
        exchange: &mut Exchange<'_>,
        mut lease: Lease<'a>,
        upload: &mut Upload,
        bounds: Bounds,
        times: AttemptTimes,
    ) -> Result<AttemptResult<'a>, Box<Fault>> {
        let cluster = self.cluster;
        let progress = Cell::new(ProgressCounter::Waiting);
        let race = self.race(exchange, &mut lease, upload, bounds, times.leased, &progress);
        match race.await {
            Race::First(attempted) => {
                if progress.get() == ProgressCounter::Made {
                    exchange.count_attempt();
                }
                AttemptResult::after(attempted, lease, upload, exchange.work.response.status, times)
            }
            Race::Second(mut second, failed) => {
                if failed.is_none() {
                    let end = AttemptEnd::GivenUp(sent(&lease));
                    note(exchange, attempt_on(&lease, times, end));
                }
                match failed {
                    None if lease.endpoint == second.lease.endpoint => {
                        lease.tell(|cluster, now| cluster.on_given_up(lease.endpoint, times.leased, now));
                        lease.close();
                    }
                    None => lease.outrun(times.leased, upload.sent_whole()),
                    Some(attempted) => {
                        let status = exchange.work.response.status;
                        let result = AttemptResult::after(attempted, lease, upload, status, times)?;
                        note_lost(exchange, result, cluster);
                    }
                }
                second.permit.won = matches!(second.attempted, Attempted::Response);
                exchange.rule = Rule::Hedge;
                exchange.made_with(&second.lease);
                exchange.record.saved(Some(SavedBy::Hedge));
                std::mem::swap(&mut exchange.work.response, &mut second.response);
                std::mem::swap(upload, &mut second.replay_clone);
                let Second {
                    lease,
                    attempted,
                    times,
                    ..
                } = *second;
                AttemptResult::after(attempted, lease, upload, exchange.work.response.status, times)
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
        progress: &Cell<ProgressCounter>,
    ) -> Race<'a> {
        let mut avoid = self.terms.avoid.to_vec();
        avoid.push(lease.endpoint);
        let count = exchange.numbered.then_some(exchange.made + 1);
        let worker = self.worker;
        let (mut source, alarm) = body_source(exchange.client);
        let (client, limits) = (source.transport, source.limits);
        let mut deadlines = AttemptDeadlines::begin(worker, alarm, bounds, upload);
        let response = &mut exchange.work.response;
        let one = attempt::run(lease, upload, &mut source, response, &mut deadlines);
        let other = self.run(&avoid, (client, limits), bounds, (since, count), progress);
        let (mut one, mut other) = (pin!(one), pin!(other));
        match first(one.as_mut(), other.as_mut()).await {
            First::A(attempted)
                if progress.get() != ProgressCounter::Waiting && is_replaceable(&attempted) =>
            {
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
        progress: &Cell<ProgressCounter>,
    ) -> Option<Box<Second<'a>>> {
        let (worker, cluster) = (self.worker, self.cluster);
        let wait = cluster
            .shared
            .with(|state| state.cluster.hedge_wait(self.plan, since))?;
        engine::sleep(wait).await;
        let permit = Permit::ask(cluster)?;
        progress.set(ProgressCounter::Admitted);
        let asked = worker.clock.now();
        let mut lease = self.lease(avoid, asked).await?;
        progress.set(ProgressCounter::Made);
        if let Some(count) = count {
            attempt_count::renumber(&mut self.replay_clone, count);
        }
        let times = AttemptTimes {
            asked,
            leased: worker.clock.now(),
        };
        let bounds = Bounds { asked, ..bounds };
        let (alarm, mut input) = (engine::alarm(), ReadBuffer::default());
        let mut response = ResponseHead::default();
        // Interim responses of both would be one answer's twice.
        let mut source = RequestBodySource {
            transport: client,
            input: &mut input,
            limits,
            takes_interim: false,
        };
        let mut deadlines = AttemptDeadlines::begin(worker, &alarm, bounds, &self.replay_clone);
        let attempted = attempt::run(
            &mut lease,
            &mut self.replay_clone,
            &mut source,
            &mut response,
            &mut deadlines,
        )
        .await;
        Some(Box::new(Second {
            lease,
            attempted,
            response,
            replay_clone: self.replay_clone,
            times,
            permit,
        }))
    }

    /// A connection, if there is one at once or one may be opened: a hedge waits behind nobody.
    async fn lease(&self, avoid: &[EndpointId], now: Moment) -> Option<Lease<'a>> {
        let request = CheckoutRequest {
            worker: self.worker,
            handle: self.cluster,
            terms: CheckoutTerms {
                reuse: Reuse::Allow,
                avoid,
                deadline: now,
                ..self.terms
            },
        };
        let pending = match request.ask() {
            CheckoutResult::Lease(lease) => return Some(lease),
            CheckoutResult::Refused(_) => return None,
            CheckoutResult::Pending(pending) => pending,
        };
        match request.carry_out(pending, Waiter::steadfast()).await {
            Ok(lease) => Some(lease),
            Err(NoLease::Connect(unreached)) => {
                let result =
                    AttemptResult::unconnected(unreached, &self.replay_clone, now, self.worker.clock.now());
                let shared = &self.cluster.shared;
                shared.with(|state| state.cluster.on_attempt(&result.summary, now, now));
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
        let leased = self.times.leased;
        let (cluster, status) = (self.permit.cluster, self.response.status);
        let result = AttemptResult::after(self.attempted, self.lease, &self.replay_clone, status, self.times);
        if let Ok(result) = result {
            let now = cluster.clock.now();
            let shared = &cluster.shared;
            shared.with(|state| state.cluster.on_attempt(&result.summary, leased, now));
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
