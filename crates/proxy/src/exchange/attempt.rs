//! One attempt of an exchange: a connection, the request on it, the response's head.

use policy::cluster::Resend;
use policy::deadline::Bounds;
use policy::outcome::Phase;
use wire::field::Known;

use crate::exchange::Exchange;
use crate::exchange::answer::Setting;
use crate::exchange::fault::Fault;
use crate::exchange::hedge::Hedge;
use crate::exchange::tried::{Begun, Tried, Until};
use crate::telemetry::record::SavedBy;
use crate::upstream::ask::{Asked, Asker, Want};
use crate::upstream::attempt::{self, Speaker, Timekeeper};
use crate::upstream::body::Upload;
use crate::upstream::lease::Lease;
use policy::time::Moment;

impl<'a> Exchange<'a> {
    /// One attempt: lease, send, await the head. With a hedge, another one beside it if it takes long.
    pub(super) async fn attempt<'c>(
        &mut self,
        setting: &Setting<'c>,
        asker: &Asker<'c, '_>,
        upload: &mut Upload,
        (asked, until): (Moment, Until),
    ) -> Result<Tried<'c>, Box<Fault>>
    where
        'a: 'c,
    {
        let mut lease = match asker.ask() {
            Asked::Lease(lease) => lease,
            Asked::Refused(refusal) => return Err(asker.handle.refusal(refusal)),
            Asked::Later(later) => match self.carry_out(asker, later, until).await? {
                Ok(lease) => lease,
                Err(unreached) => {
                    let now = self.worker.clock.now();
                    return Ok(Tried::unconnected(unreached, upload, asked, now));
                }
            },
        };
        self.made_with(&lease);
        let begun = Begun {
            asked,
            leased: self.worker.clock.now(),
        };
        if let Some(hedge) = self.hedge(setting, &asker.want, upload) {
            let bounds = self.bounds(setting, &asker.want, asked, &lease);
            return Box::pin(hedge.attempt(self, lease, upload, bounds, begun)).await;
        }
        let (mut speaker, mut timekeeper) = {
            // Gone before anything is awaited: the timekeeper has what it needs of it.
            let bounds = self.bounds(setting, &asker.want, asked, &lease);
            let (speaker, alarm) = Speaker::of(self.client);
            (speaker, Timekeeper::begin(self.worker, alarm, bounds, upload))
        };
        let response = &mut self.work.response;
        let attempted = attempt::run(&mut lease, upload, &mut speaker, response, &mut timekeeper).await;
        Tried::after(attempted, lease, upload, self.work.response.status, begun)
    }

    /// What bounds an attempt on this connection.
    fn bounds(&self, setting: &Setting<'_>, want: &Want<'_>, asked: Moment, lease: &Lease<'_>) -> Bounds {
        let mut bounds = setting.limits.attempt(asked, self.client, setting.cluster);
        if want.resend == Resend::Safe {
            bounds.heard_within(lease.heard_within());
        }
        bounds
    }

    /// The hedge of an attempt, if its cluster has any, and the request is here whole and may be applied
    /// twice.
    fn hedge<'c, 'w>(
        &mut self,
        setting: &Setting<'c>,
        want: &Want<'w>,
        upload: &mut Upload,
    ) -> Option<Box<Hedge<'c, 'w>>>
    where
        'a: 'c,
    {
        let plan = setting.cluster.plan.hedge.as_ref()?;
        let request = &self.work.request;
        let twice = request.is_idempotent() || request.fields.has(Known::IdempotencyKey);
        if !twice || setting.accepted.upgrade {
            return None;
        }
        let now = self.worker.clock.now();
        let limits = self.client.snapshot.limits(self.client.listener);
        let twin = upload.twin(&mut self.client.input, limits, now)?;
        let hedge = Hedge::new(self.worker, setting.cluster, plan, *want, twin);
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
        if lease.found_dead > 0 {
            self.record.saved(Some(SavedBy::Checkout));
        }
    }
}
