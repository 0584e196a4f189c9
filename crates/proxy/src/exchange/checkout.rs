//! A connection for an exchange's next attempt that is waited for, while the client stays.

use std::pin::pin;

use policy::cluster::Refusal;
use policy::outcome::Failure;

use crate::cluster::connection::name;
use crate::engine::wait::{Late, within};
use crate::exchange::Exchange;
use crate::exchange::attempt::refused;
use crate::exchange::attempt_result::Until;
use crate::exchange::fault::Fault;
use crate::transport::leaving::Waiter;
use crate::upstream::checkout::{CheckoutRequest, NoLease, PendingCheckout, Unreached};
use crate::upstream::lease::Lease;

impl Exchange<'_> {
    /// What is asked for, where there is no connection at once: opened or waited for. Or which endpoint
    /// could not be reached.
    ///
    /// # Errors
    /// There is none to be had, or not in time, or the client left.
    pub(crate) async fn carry_out<'c>(
        &mut self,
        request: &CheckoutRequest<'c, '_>,
        pending: PendingCheckout,
        until: Until,
    ) -> Result<Result<Lease<'c>, Unreached>, Box<Fault>> {
        self.client.alarm.set(until.first());
        let carried_out = {
            let waiter = Waiter::client(&self.client.connection.transport);
            let carrying_out = pin!(request.carry_out(pending, waiter));
            within(&self.client.alarm, carrying_out).await
        };
        self.carried_out(carried_out, request, until)
    }

    /// What carrying out came to.
    fn carried_out<'c>(
        &mut self,
        carried_out: Result<Result<Lease<'c>, NoLease>, Late>,
        request: &CheckoutRequest<'c, '_>,
        until: Until,
    ) -> Result<Result<Lease<'c>, Unreached>, Box<Fault>> {
        let now = self.worker.clock.now();
        match carried_out {
            Ok(Ok(lease)) => Ok(Ok(lease)),
            Ok(Err(NoLease::Left)) => Err(Failure::DownstreamLeft.into()),
            Ok(Err(NoLease::Refused(Refusal::Shed))) if until.first() <= now => Err(until.late(now).into()),
            Ok(Err(NoLease::Refused(refusal))) => Err(refused(request.handle, refusal)),
            Ok(Err(NoLease::Connect(unreached))) => {
                self.count_attempt();
                self.record.upstream(&*name(&unreached.address));
                Ok(Err(unreached))
            }
            Err(Late) => Err(until.late(now).into()),
        }
    }
}
