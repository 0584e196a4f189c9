//! THE ROOM TO READ FIRST: one exchange, start to end.
//!
//! ```text
//! request head -> accepted, routed, encoded -> attempts, one after the other -> answered
//!                                                ^------ again: replay or retry
//! ```
//! Nothing is decided here: routes, connections, retries and what each party is told come from
//! `policy`; this room asks, waits, and moves bytes.

use std::rc::Rc;

use policy::attempts::{After, Attempts, Nature, Why};
use policy::cluster::Reuse;
use policy::filter::Filter;
use policy::outcome::{Before, Failure, Flag, FlagSet};
use policy::plan::{HedgePlan, RetryPlan};
use policy::time::Moment;
use wire::field::Known;
use wire::h1::framing::{self, BodyLength};
use wire::h1::head::{RequestHead, ResponseHead, Version};

use crate::affinity::Affinity;
use crate::answer::{self, Setting};
use crate::attempt_count;
use crate::body::Upload;
use crate::downstream::client::Client;
use crate::fault::Fault;
use crate::forward::{self, Outbound, Scratch};
use crate::hedge::Hedge;
use crate::postmortem;
use crate::record::{Record, SavedBy};
use crate::reply;
use crate::routing::{self, Accepted, Routed, Way};
use crate::stats::ClusterTimes;
use crate::tried::{Begun, Limits, RetryPermit, Tried, TriedEnd};
use crate::upstream::attempt::{self, Speaker};
use crate::upstream::lease::{Lease, Unreached, Want};
use crate::upstream::shared::ClusterHandle;
use crate::wait::within;
use crate::worker::Worker;

/// What becomes of the client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// It may carry another request.
    Request,
    /// It is closed, well.
    Close,
    /// It is closed at once: the client must see that its answer was cut, or is not there any more.
    Drop,
}

/// Memory of one exchange, lent by the worker and used again.
#[derive(Debug, Default)]
pub(crate) struct Workspace {
    pub(crate) request: RequestHead,
    pub(crate) response: ResponseHead,
    pub(crate) scratch: Scratch,
    /// The target as it goes onward: path and query.
    pub(crate) target: String,
    /// What the client asked for: host, and port if it said one.
    pub(crate) authority: String,
    pub(crate) outgoing: Vec<u8>,
}

/// What one exchange works with.
pub(crate) struct Exchange<'a> {
    pub(crate) worker: &'a Rc<Worker>,
    pub(crate) client: &'a mut Client,
    pub(crate) work: &'a mut Workspace,
    pub(crate) record: &'a mut Record,
    pub(crate) start: Moment,
    /// Whether the request's body was read to its end, so that another request may follow.
    pub(crate) body_read: bool,
    /// Attempts made so far, hedges included.
    pub(crate) made: u32,
}

/// Serves the request whose head is in `work`.
pub(crate) async fn run(
    worker: &Rc<Worker>,
    client: &mut Client,
    work: &mut Workspace,
    record: &mut Record,
    start: Moment,
) -> Next {
    let mut exchange = Exchange {
        worker,
        client,
        work,
        record,
        start,
        body_read: false,
        made: 0,
    };
    match exchange.serve().await {
        Ok(next) => next,
        Err(fault) => reply::refuse(&mut exchange, &fault).await,
    }
}

/// Answers a request whose head is not in order.
pub(crate) async fn refuse(
    worker: &Rc<Worker>,
    client: &mut Client,
    work: &mut Workspace,
    record: &mut Record,
    fault: &Fault,
) -> Next {
    let start = worker.clock.now();
    let mut exchange = Exchange {
        worker,
        client,
        work,
        record,
        start,
        body_read: false,
        made: 0,
    };
    reply::refuse(&mut exchange, fault).await
}

impl<'a> Exchange<'a> {
    async fn serve(&mut self) -> Result<Next, Fault> {
        let accepted = routing::accept(self.work, self.record)?;
        let request = &self.work.request;
        self.client.http_10 = request.version == Version::Http10;
        self.client.expects_close = !framing::keeps_alive(request.version, &request.fields);
        self.body_read = accepted.body == BodyLength::None;
        // Whoever waits for an endpoint holds no buffer for it.
        self.client.input.release();
        let snapshot = self.client.snapshot.clone();
        let way = routing::find(
            self.worker,
            &snapshot,
            self.client,
            self.work,
            &accepted,
            self.record,
        )?;
        let routed = match way {
            Way::Forward(routed) => routed,
            Way::Redirect { status, location } => {
                return Ok(reply::local(self, status, &[("location", &location)], b"").await);
            }
            Way::Preflight(fields) => {
                let fields: Vec<_> = fields
                    .iter()
                    .map(|(name, value)| (*name, value.as_str()))
                    .collect();
                return Ok(reply::local(self, 200, &fields, b"").await);
            }
        };
        let cluster = snapshot.cluster(routed.cluster);
        self.record.cluster(&cluster.shared.name);
        let affinity = Affinity::of(
            &cluster.plan,
            &self.work.request.fields,
            self.client,
            &mut self.worker.dice.borrow_mut(),
        );
        let mut upload = self.encode(&accepted, &routed, cluster);
        let result = self
            .attempts(
                &accepted,
                &routed,
                cluster,
                &affinity,
                snapshot.times(routed.cluster),
                &mut upload,
            )
            .await;
        if let Err(fault) = &result {
            cluster.shared.with(|state| {
                state
                    .cluster
                    .on_failure(&fault.failure, fault.before, fault.raced)
            });
        }
        self.record.bytes_received(upload.received);
        self.body_read = upload.received_whole();
        if let Some(whole) = upload.complete() {
            let mirrors = routed.filters().filter_map(|filter| match filter {
                Filter::Mirror(mirror) => Some(mirror),
                _ => None,
            });
            crate::mirror::send(self.worker, &snapshot, mirrors, whole, self.work.request.method);
        }
        self.work.outgoing = upload.into_buffer();
        result
    }

    /// The request as the endpoint gets it, head first; its body follows as it comes.
    fn encode(&mut self, accepted: &Accepted, routed: &Routed<'_>, cluster: &ClusterHandle) -> Upload {
        let Workspace {
            request,
            scratch,
            authority,
            outgoing,
            ..
        } = &mut *self.work;
        if !request.fields.has(Known::XRequestId) {
            let id = forward::request_id(&mut self.worker.dice.borrow_mut());
            request.fields.push(b"x-request-id", &id);
        }
        attempt_count::announce(&mut request.fields);
        let outbound = Outbound {
            body: accepted.body,
            upgrade: accepted.upgrade,
            host: routed.host.as_deref(),
            asked_host: authority,
            trusted_hops: self.client.snapshot.downstream().trusted_hops,
            max_forwards: accepted.max_forwards,
        };
        let mut outgoing = std::mem::take(outgoing);
        outgoing.clear();
        forward::request(&mut outgoing, request, &outbound, self.client, scratch);
        self.record.x_forwarded_for(&scratch.forwarded_for);
        self.record
            .request_id(request.fields.get(Known::XRequestId).unwrap_or_default());
        Upload::new(outgoing, accepted.body, cluster.plan.keep_alive.replay_bytes)
    }

    /// Attempts until there is an answer, and relays it.
    async fn attempts(
        &mut self,
        accepted: &Accepted,
        routed: &Routed<'_>,
        cluster: &ClusterHandle,
        affinity: &Affinity,
        times: &ClusterTimes,
        upload: &mut Upload,
    ) -> Result<Next, Fault> {
        let nature = Nature {
            idempotent: self.work.request.is_idempotent(),
            keyed: self.work.request.fields.has(Known::IdempotencyKey),
            fits_copy: fits(accepted.body, cluster.plan.keep_alive.replay_bytes),
        };
        let plan: &RetryPlan = routed.route.retry.as_ref().unwrap_or(&cluster.plan.retry);
        let mut attempts = Attempts::new(plan, nature);
        let limits = Limits::of(routed, cluster, self.start);
        let hedge = cluster.plan.hedge.as_ref();
        let hedge = hedge.filter(|_| (nature.idempotent || nature.keyed) && !accepted.upgrade);
        let mut reuse = Reuse::Allow;
        let mut before = Before::default();
        let mut retry: Option<RetryPermit<'_>> = None;
        loop {
            let want = Want {
                resend: attempts.resend(),
                reuse,
                avoid: attempts.avoid(),
                deadline: limits.request,
                hash: affinity.hash,
            };
            let attempt = self.attempt(cluster, want, hedge, upload, &limits);
            let tried = attempt.await.map_err(|fault| Fault { before, ..fault })?;
            if let Some(time) = tried.connect_time() {
                times.cx_connect_ms.record(time);
            }
            let now = self.worker.clock.now();
            let after = attempts.on_result(&tried.summary, now, &mut self.worker.dice.borrow_mut());
            let again = match after {
                After::Again { why: Why::Retry, .. } => {
                    // Its own place is not to be in its way.
                    drop(retry.take());
                    retry = RetryPermit::ask(cluster);
                    if retry.is_none() {
                        self.record.flags(FlagSet::NONE.with(Flag::UO));
                    }
                    retry.is_some().then_some(after)
                }
                other => Some(other),
            };
            let Some(After::Again { reuse: how, at, why }) = again else {
                if let (Some(permit), TriedEnd::Response(_)) = (&mut retry, &tried.end) {
                    permit.succeeded = true;
                }
                let setting = Setting {
                    accepted,
                    routed,
                    cluster,
                    affinity,
                    limits: &limits,
                    times,
                };
                before.limit_exceeded = attempts.limit_exceeded();
                return answer::settle(self, tried, before, &setting, upload).await;
            };
            postmortem::note_again(self, tried, why, cluster);
            (reuse, before.made_again) = (how, true);
            upload.rewind();
            attempt_count::renumber(upload, self.made + 1);
            if at > now {
                self.pause(at.min(limits.request)).await;
            }
            if limits.request <= self.worker.clock.now() {
                return Err(Failure::RequestTimeout.into());
            }
        }
    }

    async fn pause(&self, until: Moment) {
        self.client.alarm.set(until);
        let _ = within(&self.client.alarm, std::future::pending::<()>()).await;
    }

    /// One attempt: lease, send, await the head. With a hedge, another one beside it if it takes long.
    async fn attempt<'c>(
        &mut self,
        cluster: &'c ClusterHandle,
        want: Want<'_>,
        hedge: Option<&HedgePlan>,
        upload: &mut Upload,
        limits: &Limits,
    ) -> Result<Tried<'c>, Fault>
    where
        'a: 'c,
    {
        let asked = self.worker.clock.now();
        let per_try = limits.per_try.map_or(Moment::NEVER, |limit| asked + limit);
        let want = Want {
            deadline: per_try.min(limits.request),
            ..want
        };
        let mut lease = match self.lease(cluster, want, limits).await? {
            Ok(lease) => lease,
            Err(Unreached { endpoint, error, .. }) => {
                return Ok(Tried::unconnected(endpoint, error, upload, asked));
            }
        };
        self.made_with(&lease);
        let begun = Begun {
            asked,
            leased: self.worker.clock.now(),
        };
        let bounds = limits.attempt(per_try, self.client, cluster);
        if let Some(plan) = hedge
            && let Some(twin) = upload.twin(&mut self.client.input, &self.client.limits)
        {
            let hedge = Hedge::new(self.worker, cluster, plan, want, twin, limits);
            return Box::pin(hedge.attempt(self, lease, upload, bounds, begun)).await;
        }
        let attempted = attempt::run(
            self.worker,
            &mut lease,
            upload,
            Speaker::of(self.client),
            &mut self.work.response,
            bounds,
        )
        .await;
        Tried::after(attempted, lease, upload, self.work.response.status, begun)
    }

    /// One more attempt was made.
    pub(crate) fn count_attempt(&mut self) {
        self.made += 1;
        self.record.attempts(self.made);
    }

    /// An attempt begins on this connection.
    pub(crate) fn made_with(&mut self, lease: &Lease<'_>) {
        self.count_attempt();
        self.record.upstream(&*lease.name);
        self.record.connection(lease.facts);
        if lease.found_dead > 0 {
            self.record.saved(Some(SavedBy::Checkout));
        }
    }
}

/// Whether a body is known to fit the replay copy.
fn fits(body: BodyLength, replay_bytes: usize) -> bool {
    match body {
        BodyLength::None => true,
        BodyLength::Length(length) => length <= replay_bytes as u64,
        BodyLength::Chunked | BodyLength::UntilClose => false,
    }
}
