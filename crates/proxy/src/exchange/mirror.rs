//! Copies of requests whose answers are thrown away.

use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use policy::cluster::{ReplaySafety, Reuse};
use policy::filter::Mirror;
use wire::field::Fields;
use wire::h1::decode::{BodyDecoder, Part};
use wire::h1::framing;
use wire::h1::head::{Limits, Method, ResponseHead, Scan};
use wire::h1::mend;

use crate::cluster::connection::Connection;
use crate::engine;
use crate::engine::wait::within;
use crate::snapshot::Snapshot;
use crate::transport::buffer::READ_SIZE;
use crate::transport::leaving::Waiter;
use crate::transport::read_write::{fill, write_all};
use crate::upstream::checkout::{CheckoutRequest, CheckoutResult, CheckoutTerms};
use crate::upstream::lease::Lease;
use crate::worker::context::{Worker, WorkerSnapshot};

/// A mirrored request may take this long; it must not pile up behind a slow endpoint.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends `request`, whole and encoded, to the cluster of each mirror that the dice choose. Nobody
/// waits for it, and no failure of it is anybody's.
pub(crate) fn send<'a>(
    worker: &Rc<Worker>,
    snapshot: &Rc<WorkerSnapshot>,
    mirrors: impl Iterator<Item = &'a Mirror>,
    request: &[u8],
    method: Method,
) {
    for mirror in mirrors {
        let Some(cluster) = mirror.cluster else { continue };
        if !mirror.strikes(&mut worker.dice.borrow_mut()) {
            continue;
        }
        let (worker, snapshot, request) = (worker.clone(), snapshot.clone(), request.to_vec());
        engine::spawn(async move {
            let alarm = engine::alarm();
            alarm.set(worker.clock.now() + PATIENCE);
            let copy = one(&worker, &snapshot, cluster, &request, method);
            let _ = within(&alarm, pin!(copy)).await;
        });
    }
}

async fn one(
    worker: &Rc<Worker>,
    snapshot: &Snapshot,
    cluster: policy::route::ClusterRef,
    request: &[u8],
    method: Method,
) -> Option<()> {
    let handle = snapshot.cluster(cluster);
    // Losing a copy to the race matters to nobody: no risk is priced, and nothing is sent again.
    let terms = CheckoutTerms {
        replay_safety: ReplaySafety::Safe,
        reuse: Reuse::Allow,
        avoid: &[],
        deadline: worker.clock.now() + PATIENCE,
        hash: None,
    };
    let checkout = CheckoutRequest {
        worker,
        handle,
        terms,
    };
    let mut lease = match checkout.ask() {
        CheckoutResult::Lease(lease) => lease,
        CheckoutResult::Pending(pending) => checkout.carry_out(pending, Waiter::steadfast()).await.ok()?,
        CheckoutResult::Refused(_) => return None,
    };
    write_all(&lease.transport, request).await.ok()?;
    let (mut response, limits) = (ResponseHead::default(), Limits::default());
    loop {
        let mut scan = Scan::mending();
        while response
            .read(lease.input.data(), &mut scan, &limits)
            .ok()?
            .is_none()
        {
            more(&mut lease).await?;
        }
        let length = response
            .read(lease.input.data(), &mut Scan::mending(), &limits)
            .ok()??;
        lease.input.consume(length);
        if response.status >= 200 {
            break;
        }
    }
    let mut decoder = BodyDecoder::new(mend::response_body(&mut response, method).ok()?);
    loop {
        let step = decoder
            .decode(lease.input.data(), &limits, &mut Fields::default())
            .ok()?;
        lease.input.consume(step.consumed);
        match step.part {
            Part::End => break,
            Part::Data(_) => {}
            Part::NeedMore => more(&mut lease).await?,
        }
    }
    let keeps_alive = framing::keeps_alive(response.version, &response.fields);
    if keeps_alive && response.mended.is_none() && lease.input.is_empty() {
        lease.recycle(None);
    }
    Some(())
}

async fn more(lease: &mut Lease<'_>) -> Option<()> {
    let Connection { transport, input, .. } = &mut **lease;
    match fill(transport, input, Limits::default().head_bytes + READ_SIZE).await {
        Ok(count) if count > 0 => Some(()),
        _ => None,
    }
}
