//! What an endpoint speaks that does not answer as an HTTP server does: TLS servers commonly close without a
//! byte when they are sent plain text. One ClientHello on a connection of its own makes it a fact. No request waits for
//! it, and the cluster says how often it may be asked.

use std::rc::Rc;
use std::time::Duration;

use policy::cluster::{Address, EndpointId};
use policy::plan::ClusterPlan;
use policy::route::ClusterRef;
use wire::h1::protocol::Protocol;
use wire::tls::CLIENT_HELLO;

use super::connect::connect;
use crate::engine;
use crate::engine::wait::within;
use crate::transport::Transport;
use crate::transport::buffer::ReadBuffer;
use crate::transport::read_write::{fill, write_all};
use crate::worker::context::{Worker, WorkerSnapshot};

/// An answer is waited for this long.
const PATIENCE: Duration = Duration::from_secs(2);

/// Bytes of an answer that are read at most.
const READ_MAX: usize = 64;

/// Asks an endpoint what it speaks, if it was not asked lately, and tells its cluster.
#[cold]
pub(crate) fn ask(
    worker: &Rc<Worker>,
    snapshot: &Rc<WorkerSnapshot>,
    cluster: ClusterRef,
    endpoint: EndpointId,
) {
    #[cfg(feature = "sim")]
    if crate::transport::simulation::is_simulated() {
        return; // Its endpoints speak HTTP and nothing else.
    }
    let doubted =
        |state: &mut crate::cluster::State| state.cluster.doubt_protocol(endpoint, worker.clock.now());
    let Some(address) = snapshot.cluster(cluster).shared.with(doubted) else {
        return;
    };
    let (worker, snapshot) = (worker.clone(), snapshot.clone());
    engine::spawn(async move {
        let handle = snapshot.cluster(cluster);
        if let Some(protocol) = spoken(&worker, &address, &handle.plan).await {
            handle.shared.with(|state| {
                state
                    .cluster
                    .speaks(endpoint, protocol.name(), worker.clock.now())
            });
        }
    });
}

/// What its first bytes are of, on a connection that begins with a ClientHello.
async fn spoken(worker: &Worker, address: &Address, plan: &ClusterPlan) -> Option<Protocol> {
    let transport = connect(worker, address, plan, None).await.ok()?;
    let alarm = engine::alarm_in(PATIENCE);
    let answer = Box::pin(answer(&transport));
    let protocol = within(&alarm, answer).await.ok()??;
    (protocol != Protocol::Unknown).then_some(protocol)
}

async fn answer(transport: &Transport) -> Option<Protocol> {
    write_all(transport, CLIENT_HELLO).await.ok()?;
    let mut input = ReadBuffer::default();
    loop {
        let count = fill(transport, &mut input, READ_MAX).await.ok()?;
        let protocol = Protocol::judge(input.data());
        if count == 0 || protocol != Protocol::Unknown || input.data().len() >= READ_MAX {
            return Some(protocol);
        }
    }
}
