//! The attempts of an exchange, one after the other, until there is an answer.

use policy::cluster::Reuse;
use policy::outcome::{Before, Cause, Failure, Phase, Stop};
use policy::retry::attempts::{Attempts, NextStep, RetryTraits};
use policy::time::Moment;
use wire::field::Known;

use super::{Exchange, Next, answer, attempt_count, record_failure};
use crate::cluster::ClusterHandle;
use crate::engine::wait::within;
use crate::exchange::answer::{Answered, ExchangeContext};
use crate::exchange::attempt_result::{AttemptOutcome, AttemptResult, RetryPermit};
use crate::exchange::fault::Fault;
use crate::upstream::body::Upload;
use crate::upstream::checkout::{CheckoutRequest, CheckoutTerms};

impl Exchange<'_> {
    /// Attempts until there is an answer, and relays it.
    pub(super) async fn attempts(
        &mut self,
        context: &ExchangeContext<'_>,
        upload: &mut Upload,
    ) -> Result<Next, Box<Fault>> {
        let ExchangeContext { cluster, limits, .. } = context;
        let own_plan = context.resolved.route.retry.as_ref();
        let plan = own_plan.unwrap_or(&cluster.plan.retry);
        let mut attempts = Attempts::new(plan, self.traits(context));
        let mut reuse = Reuse::Allow;
        let mut before = Before::default();
        let mut retry: Option<RetryPermit<'_>> = None;
        loop {
            let asked = self.worker.clock.now();
            let until = limits.until(upload, asked);
            let request = CheckoutRequest {
                worker: self.worker,
                handle: cluster,
                terms: CheckoutTerms {
                    replay_safety: attempts.replay_safety(),
                    reuse,
                    avoid: attempts.avoid(),
                    deadline: until.first(),
                    hash: context.affinity.hash,
                },
            };
            self.phase = Phase::Connection;
            let result = self.attempt(context, &request, upload, (asked, until)).await;
            let result = result.map_err(|fault| self.ended(fault, before))?;
            if let Some(time) = result.connect_time() {
                context.times.cx_connect_ms.record(time);
            }
            let now = self.worker.clock.now();
            let after = attempts.on_result(&result.summary, now, &mut self.worker.dice.borrow_mut());
            let again = self.may_retry(after, cluster, &mut retry);
            let Some(NextStep::Again { reuse: how, at, why }) = again else {
                before.limit_exceeded = attempts.limit_exceeded();
                self.note_last(&result, &attempts, retry.as_mut());
                let answer = answer::conclude(self, result, before, context)?;
                let next = match answer::respond(self, answer, context, upload)? {
                    Answered::Whole(next) => next,
                    Answered::Pending(pending) => return pending.await,
                };
                return Ok(answer::send(self, context, next).await);
            };
            let rule = attempts.rule(why);
            record_failure::note_again(self, result, (why, rule), (cluster, upload));
            (reuse, before.made_again) = (how, true);
            let latest = limits.until(upload, now).request();
            self.rewind(upload);
            if at > now {
                self.phase = Phase::Pause;
                self.pause(at.min(latest)).await;
            }
            if latest <= self.worker.clock.now() {
                return Err(Failure::RequestTimeout.into());
            }
        }
    }

    /// What of the request says whether it may be sent again.
    fn traits(&self, context: &ExchangeContext<'_>) -> RetryTraits {
        let replay_bytes = context.cluster.plan.keep_alive.replay_bytes;
        RetryTraits {
            idempotent: self.work.request.is_idempotent(),
            keyed: self.work.request.fields.has(Known::IdempotencyKey),
            fits_copy: context.accepted.fits(replay_bytes),
        }
    }

    /// What the last attempt says: of the retry that it was, and of why there is no other one.
    fn note_last(
        &mut self,
        result: &AttemptResult<'_>,
        attempts: &Attempts<'_>,
        retry: Option<&mut RetryPermit<'_>>,
    ) {
        let is_response = matches!(result.end, AttemptOutcome::Response(_));
        if let (Some(permit), true) = (retry, is_response) {
            permit.succeeded = true;
        }
        if attempts.limit_exceeded() || !is_response {
            self.stopped(attempts.stop());
        }
    }

    /// The request is sent again from its beginning.
    fn rewind(&self, upload: &mut Upload) {
        upload.rewind();
        if self.numbered {
            attempt_count::renumber(upload, self.made + 1);
        }
    }

    /// What is to be done next, if the cluster bears another retry where it is one.
    fn may_retry<'c>(
        &mut self,
        after: NextStep,
        cluster: &'c ClusterHandle,
        permit: &mut Option<RetryPermit<'c>>,
    ) -> Option<NextStep> {
        if !matches!(after, NextStep::Again { why, .. } if why.needs_budget()) {
            return Some(after);
        }
        // Its own place is not to be in its way.
        drop(permit.take());
        match RetryPermit::ask(cluster) {
            Ok(admitted) => {
                *permit = Some(admitted);
                Some(after)
            }
            Err(stop) => {
                self.record.flags(Cause::RetryBudgetSpent.flags());
                self.stopped(Some(stop));
                None
            }
        }
    }

    /// There is no other attempt.
    #[cold]
    pub(crate) fn stopped(&mut self, why: Option<Stop>) {
        let history = self.history();
        history.stop = why.or(history.stop);
    }

    /// The exchange is over inside an attempt.
    #[cold]
    fn ended(&mut self, mut fault: Box<Fault>, before: Before) -> Box<Fault> {
        if let Some(attempt) = fault.attempt.take() {
            record_failure::note(self, attempt);
        }
        fault.after(before)
    }

    async fn pause(&self, until: Moment) {
        self.client.alarm.set(until);
        let _ = within(&self.client.alarm, std::future::pending::<()>()).await;
    }
}
