//! One attempt of an exchange: a connection, the request on it, the response's head.

use policy::cluster::{Refusal, ReplaySafety};
use policy::deadline::Bounds;
use policy::outcome::{Failure, Phase};
use wire::field::Known;

use crate::cluster::ClusterHandle;
use crate::downstream::client::Client;
use crate::engine;
use crate::exchange::Exchange;
use crate::exchange::answer::ExchangeContext;
use crate::exchange::attempt_result::{AttemptResult, AttemptTimes, Until};
use crate::exchange::fault::Fault;
use crate::exchange::hedge::Hedge;
use crate::telemetry::record::SavedBy;
use crate::upstream::attempt::{self, AttemptDeadlines, RequestBodySource};
use crate::upstream::body::Upload;
use crate::upstream::checkout::{CheckoutRequest, CheckoutResult, CheckoutTerms};
use crate::upstream::lease::Lease;
use policy::time::Moment;

impl<'a> Exchange<'a> {
    /// One attempt: lease, send, await the head. With a hedge, another one beside it if it takes long.
    pub(super) async fn attempt<'c>(
        &mut self,
        context: &ExchangeContext<'c>,
        request: &CheckoutRequest<'c, '_>,
        upload: &mut Upload,
        (asked, until): (Moment, Until),
    ) -> Result<AttemptResult<'c>, Box<Fault>>
    where
        'a: 'c,
    {
        let mut lease = match request.ask() {
            CheckoutResult::Lease(lease) => lease,
            CheckoutResult::Refused(refusal) => return Err(refused(request.handle, refusal)),
            CheckoutResult::Pending(pending) => match self.carry_out(request, pending, until).await? {
                Ok(lease) => lease,
                Err(unreached) => {
                    let now = self.worker.clock.now();
                    return Ok(AttemptResult::unconnected(unreached, upload, asked, now));
                }
            },
        };
        self.made_with(&lease);
        let times = AttemptTimes {
            asked,
            leased: self.worker.clock.now(),
        };
        if let Some(hedge) = self.hedge(context, &request.terms, upload) {
            let bounds = self.bounds(context, &request.terms, asked, &lease);
            return Box::pin(hedge.attempt(self, lease, upload, bounds, times)).await;
        }
        let (mut source, mut deadlines) = {
            // Gone before anything is awaited: the deadlines have what it needs of it.
            let bounds = self.bounds(context, &request.terms, asked, &lease);
            let (source, alarm) = body_source(self.client);
            (
                source,
                AttemptDeadlines::begin(self.worker, alarm, bounds, upload),
            )
        };
        let response = &mut self.work.response;
        let attempted = attempt::run(&mut lease, upload, &mut source, response, &mut deadlines).await;
        AttemptResult::after(attempted, lease, upload, self.work.response.status, times)
    }

    /// What bounds an attempt on this connection.
    fn bounds(
        &self,
        context: &ExchangeContext<'_>,
        terms: &CheckoutTerms<'_>,
        asked: Moment,
        lease: &Lease<'_>,
    ) -> Bounds {
        let mut bounds = context.limits.attempt(asked, self.client, context.cluster);
        if terms.replay_safety == ReplaySafety::Safe {
            bounds.heard_within(lease.heard_within());
        }
        bounds
    }

    /// The hedge of an attempt, if its cluster has any, and the request is here whole and may be applied
    /// twice.
    fn hedge<'c, 'w>(
        &mut self,
        context: &ExchangeContext<'c>,
        terms: &CheckoutTerms<'w>,
        upload: &mut Upload,
    ) -> Option<Box<Hedge<'c, 'w>>>
    where
        'a: 'c,
    {
        let plan = context.cluster.plan.hedge.as_ref()?;
        let request = &self.work.request;
        let twice = request.is_idempotent() || request.fields.has(Known::IdempotencyKey);
        if !twice || context.accepted.upgrade {
            return None;
        }
        let now = self.worker.clock.now();
        let limits = self.client.snapshot.limits(self.client.listener);
        let replay_clone = upload.replay_clone(&mut self.client.input, limits, now)?;
        let hedge = Hedge::new(self.worker, context.cluster, plan, *terms, replay_clone);
        Some(Box::new(hedge))
    }

    /// One more attempt was made.
    pub(crate) fn count_attempt(&mut self) {
        self.made += 1;
        self.record.attempts(self.made);
    }

    /// An attempt begins on this connection.
    pub(crate) fn made_with(&mut self, lease: &Lease<'_>) {
        self.phase = Phase::Response;
        self.count_attempt();
        self.record.upstream(&*lease.name);
        // Of a request that is saved the line describes the connection that died, as its sentence does.
        if !self.record.tells_of_a_death() {
            self.record.connection(lease.facts);
        }
        if lease.stale > 0 {
            self.record.saved(Some(SavedBy::Checkout));
        }
    }
}

/// The client as the source of a body, for the only attempt at its time, whose time limits are watched by the
/// client's alarm.
pub(super) fn body_source(client: &mut Client) -> (RequestBodySource<'_>, &engine::Alarm) {
    let source = RequestBodySource {
        transport: &client.connection.transport,
        input: &mut client.input,
        limits: client.snapshot.limits(client.listener),
        takes_interim: !client.http_10,
    };
    (source, &client.alarm)
}

/// Why a checkout that was refused ends its exchange.
#[cold]
pub(super) fn refused(handle: &ClusterHandle, refusal: Refusal) -> Box<Fault> {
    match (&handle.unresolved, refusal) {
        (Some(why), Refusal::NoEndpoint) => Box::new(Fault::from(Failure::Unresolved).with(why.to_string())),
        (_, refusal) => Failure::Refused(refusal).into(),
    }
}
