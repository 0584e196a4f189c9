//! A response on its way to the client, while the rest of the request may still be on its own.

use std::cell::Cell;
use std::time::Duration;

use policy::time::Moment;

use crate::body::{Download, DownloadEnd, Sender, Upload, UploadEnd};
use crate::downstream::client::Client;
use crate::timers::Alarm;
use crate::upstream::lease::Lease;
use crate::wait::within;
use crate::worker::Worker;

/// Why a relay ended early.
#[derive(Debug)]
pub(crate) enum RelayEnd {
    /// The endpoint's side: cut, or malformed.
    Upstream(DownloadEnd),
    /// The client left.
    ClientLeft,
    /// Nothing moved for too long.
    Idle,
    /// The whole request's time is up.
    Late,
}

/// Relays a response's body to its end. What is left in the client's buffer is the caller's to
/// flush.
pub(crate) async fn run(
    worker: &Worker,
    lease: &mut Lease,
    upload: &mut Upload,
    download: &mut Download,
    client: &mut Client,
    idle: Option<Duration>,
    request_deadline: Moment,
) -> Result<(), RelayEnd> {
    let progress = Cell::new(false);
    let written = Cell::new(lease.written);
    let limits = client.limits;
    let Client {
        transport: client_transport,
        input: client_input,
        out,
        alarm,
        ..
    } = client;
    let Lease {
        transport,
        input,
        written_before,
        ..
    } = &mut *lease;
    let sender = Sender {
        transport,
        written_before: *written_before,
        written: &written,
    };
    let work = async {
        let sending = async {
            if upload.sent_whole() {
                return std::future::pending().await;
            }
            match upload
                .run(&sender, client_transport, client_input, &limits, &progress)
                .await
            {
                // The endpoint may have heard enough; its answer says what it thinks.
                Ok(()) | Err(UploadEnd::Upstream(_)) => std::future::pending().await,
                Err(UploadEnd::ClientLeft | UploadEnd::Malformed(_)) => RelayEnd::ClientLeft,
            }
        };
        let relaying = download.run(transport, input, client_transport, out, &limits, &progress);
        match crate::wait::first(sending, relaying).await {
            crate::wait::First::A(ended) => Err(ended),
            crate::wait::First::B(Err(DownloadEnd::ClientLeft)) => Err(RelayEnd::ClientLeft),
            crate::wait::First::B(Err(ended)) => Err(RelayEnd::Upstream(ended)),
            crate::wait::First::B(Ok(())) => Ok(()),
        }
    };
    let outcome = until_done(worker, alarm, idle, request_deadline, &progress, work).await;
    lease.written = written.get();
    outcome
}

/// Waits for the relay, as long as something moves and the request's time is not up.
async fn until_done(
    worker: &Worker,
    alarm: &Alarm,
    idle: Option<Duration>,
    request_deadline: Moment,
    progress: &Cell<bool>,
    work: impl Future<Output = Result<(), RelayEnd>>,
) -> Result<(), RelayEnd> {
    let mut work = std::pin::pin!(work);
    loop {
        let now = worker.clock.now();
        alarm.set(
            idle.map_or(Moment::NEVER, |idle| now + idle)
                .min(request_deadline),
        );
        progress.set(false);
        match within(alarm, work.as_mut()).await {
            Ok(done) => return done,
            Err(_) if worker.clock.now() >= request_deadline => return Err(RelayEnd::Late),
            Err(_) if !progress.get() => return Err(RelayEnd::Idle),
            Err(_) => {}
        }
    }
}
