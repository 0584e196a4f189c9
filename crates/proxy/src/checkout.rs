//! A connection for an exchange's next attempt: at once, or waited for while the client stays.

use std::pin::pin;

use policy::cluster::Refusal;
use policy::outcome::Failure;

use crate::downstream::leaving::Waiter;
use crate::exchange::Exchange;
use crate::fault::Fault;
use crate::tried::Limits;
use crate::upstream::connection::name;
use crate::upstream::lease::{Asked, Asker, Lease, NoLease, Unreached, Want};
use crate::upstream::shared::ClusterHandle;
use crate::wait::{Late, within};

impl<'a> Exchange<'a> {
    /// A connection for an attempt; or which endpoint could not be reached.
    ///
    /// # Errors
    /// There is none to be had, or not in time, or the client left.
    pub(crate) async fn lease<'c>(
        &mut self,
        cluster: &'c ClusterHandle,
        want: &Want<'_>,
        limits: &Limits,
    ) -> Result<Result<Lease<'c>, Unreached>, Box<Fault>>
    where
        'a: 'c,
    {
        let asker = Asker {
            worker: self.worker,
            handle: cluster,
            want: *want,
        };
        let later = match asker.ask() {
            Asked::Lease(lease) => return Ok(Ok(lease)),
            Asked::Refused(refusal) => return Err(Failure::Refused(refusal).into()),
            Asked::Later(later) => later,
        };
        self.client.alarm.set(want.deadline);
        let carried_out = {
            let waiter = Waiter::client(&self.client.connection.transport);
            let carrying_out = pin!(asker.carry_out(later, waiter));
            within(&self.client.alarm, carrying_out).await
        };
        self.carried_out(carried_out, want, limits)
    }

    /// What carrying out came to.
    fn carried_out<'c>(
        &mut self,
        carried_out: Result<Result<Lease<'c>, NoLease>, Late>,
        want: &Want<'_>,
        limits: &Limits,
    ) -> Result<Result<Lease<'c>, Unreached>, Box<Fault>> {
        let now = self.worker.clock.now();
        match carried_out {
            Ok(Ok(lease)) => Ok(Ok(lease)),
            Ok(Err(NoLease::Left)) => Err(Failure::DownstreamLeft.into()),
            Ok(Err(NoLease::Refused(Refusal::Shed))) if want.deadline <= now => Err(limits.late(now).into()),
            Ok(Err(NoLease::Refused(refusal))) => Err(Failure::Refused(refusal).into()),
            Ok(Err(NoLease::Connect(unreached))) => {
                self.count_attempt();
                self.record.upstream(&*name(&unreached.address));
                Ok(Err(unreached))
            }
            Err(Late) => Err(limits.late(now).into()),
        }
    }
}
