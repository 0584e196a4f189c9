//! Copies of requests whose answers are thrown away.

use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use policy::cluster::{Counters, ReplaySafety, Reuse};
use policy::filter::Filter;
use policy::route::ClusterRef;
use wire::field::Fields;
use wire::h1::decode::{BodyDecoder, Part};
use wire::h1::framing;
use wire::h1::head::{Limits, Method, ResponseHead, Scan};
use wire::h1::mend;

use super::Exchange;
use super::route::ResolvedRoute;
use crate::cluster::ClusterHandle;
use crate::cluster::connection::Connection;
use crate::engine;
use crate::engine::wait::within;
use crate::transport::buffer::READ_SIZE;
use crate::transport::leaving::Waiter;
use crate::transport::read_write::{fill, write_all};
use crate::upstream::body::{NoCopy, Upload};
use crate::upstream::checkout::{CheckoutRequest, CheckoutResult, CheckoutTerms};
use crate::upstream::lease::Lease;
use crate::worker::context::{Worker, WorkerSnapshot};

/// A copy may take this long to be answered; copies must not pile up behind a slow endpoint.
const MIRROR_TIMEOUT: Duration = Duration::from_secs(10);

/// Sends a copy of the request to the cluster of each mirror that the dice choose: at once if it is here whole, otherwise as soon
/// as it is. Nobody waits for a copy, and no failure of it is anybody's.
pub(super) fn send(exchange: &Exchange<'_>, resolved: &ResolvedRoute<'_>, upload: &mut Upload) {
    let mut clusters: Vec<ClusterRef> = Vec::new();
    for filter in resolved.filters() {
        if let Filter::Mirror(mirror) = filter
            && let Some(cluster) = mirror.cluster
            && mirror.strikes(&mut exchange.worker.dice.borrow_mut())
        {
            clusters.push(cluster);
        }
    }
    if clusters.is_empty() {
        return;
    }
    let (worker, snapshot) = (exchange.worker.clone(), exchange.client.snapshot.clone());
    let method = exchange.work.request.method;
    match upload.complete() {
        Some(whole) => send_each(&worker, &snapshot, &clusters, &Rc::from(whole), method),
        None => {
            let copy = upload.promise_copy();
            engine::spawn(async move {
                match copy.receive().await {
                    Ok(whole) => send_each(&worker, &snapshot, &clusters, &whole, method),
                    Err(NoCopy::Ended) => {}
                    Err(NoCopy::TooLarge) => {
                        for &cluster in &clusters {
                            count(snapshot.cluster(cluster), |counters| {
                                &mut counters.rq_mirror_too_large
                            });
                        }
                    }
                }
            });
        }
    }
}

fn send_each(
    worker: &Rc<Worker>,
    snapshot: &Rc<WorkerSnapshot>,
    clusters: &[ClusterRef],
    request: &Rc<[u8]>,
    method: Method,
) {
    for &cluster in clusters {
        let (worker, snapshot, request) = (worker.clone(), snapshot.clone(), request.clone());
        engine::spawn(async move {
            let alarm = engine::alarm();
            alarm.set(worker.clock.now() + MIRROR_TIMEOUT);
            let handle = snapshot.cluster(cluster);
            count(handle, |counters| &mut counters.rq_mirror);
            let copy = one(&worker, handle, &request, method);
            if !matches!(within(&alarm, pin!(copy)).await, Ok(Some(()))) {
                count(handle, |counters| &mut counters.rq_mirror_failed);
            }
        });
    }
}

fn count(handle: &ClusterHandle, counter: impl Fn(&mut Counters) -> &mut u64) {
    handle
        .shared
        .with(|state| *counter(&mut state.cluster.counters) += 1);
}

/// Sends one copy and reads its response to the end; `None` if there is none. Its status and time count for its cluster.
async fn one(worker: &Rc<Worker>, handle: &ClusterHandle, request: &[u8], method: Method) -> Option<()> {
    let asked = worker.clock.now();
    // Losing a copy to the race matters to nobody: no risk is priced, and nothing is sent again.
    let terms = CheckoutTerms {
        replay_safety: ReplaySafety::Safe,
        reuse: Reuse::Allow,
        avoid: &[],
        deadline: asked + MIRROR_TIMEOUT,
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
    let service = worker.clock.now().since(asked);
    handle
        .shared
        .with(|state| state.cluster.on_response(response.status, service));
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
