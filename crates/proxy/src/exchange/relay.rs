//! A response on its way to the client, while the rest of the request may still be on its own.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;

use policy::deadline::{Bounds, Deadlines, Turn, Which};

use crate::cluster::connection::Connection;
use crate::downstream::client::Client;
use crate::engine::Alarm;
use crate::engine::clock;
use crate::engine::wait::{First, first};
use crate::transport::Transport;
use crate::transport::leaving::{Ended, Waiter};
use crate::transport::progress::ProgressCounter;
use crate::upstream::body::{BadBody, Download, DownloadEnd, Sender, Upload, UploadEnd};
use crate::upstream::lease::Lease;
use crate::worker::context::Worker;

/// Why a relay ended early.
#[derive(Debug)]
pub(crate) enum RelayEnd {
    /// The endpoint's side: cut, or malformed.
    Upstream(DownloadEnd),
    /// The client left.
    ClientLeft,
    /// The client's request body is not one to forward.
    BadBody(BadBody),
    /// The client has not taken or sent a byte for too long.
    ClientStuck,
    /// Nothing moved for too long.
    Idle,
    /// The whole request's time is up, and it was the endpoint's turn.
    Late,
    /// The whole request's time is up, and the client was to take more of its response.
    ClientSlow,
}

/// Relays a response's body to its end. What is left in the client's buffer is the caller's to flush.
///
/// # Errors
/// Why it ended before that; then nothing is left in the client's buffer.
pub(crate) async fn run(
    worker: &Worker,
    lease: &mut Lease<'_>,
    upload: &mut Upload,
    download: &mut Download,
    client: &mut Client,
    bounds: Bounds,
) -> Result<(), RelayEnd> {
    let progress = ProgressCounter::new(worker.clock, upload.finished_at());
    let sent_before = client.connection.transport.sent();
    let Client {
        connection,
        input: client_input,
        out,
        alarm,
        snapshot,
        listener,
        ..
    } = client;
    let head_limits = snapshot.limits(*listener);
    let client_transport = &connection.transport;
    let Connection {
        transport,
        input,
        written_before,
        ..
    } = &mut **lease;
    let sender = Sender {
        transport,
        written_before: *written_before,
    };
    let work = async {
        let sending = async {
            if upload.sent_whole() {
                return client_leaves(client_transport, &progress).await;
            }
            let sent = poll_fn(|cx| {
                let from = (client_transport, &mut *client_input, head_limits);
                upload.poll_run(cx, &sender, from, &progress)
            });
            match sent.await {
                // The endpoint may have heard enough; its answer says what it thinks.
                Ok(()) | Err(UploadEnd::Upstream(_)) => client_leaves(client_transport, &progress).await,
                Err(UploadEnd::ClientLeft) => RelayEnd::ClientLeft,
                Err(UploadEnd::Bad(why)) => RelayEnd::BadBody(why),
            }
        };
        let relaying = download.run(transport, input, client_transport, out, head_limits, &progress);
        match first(pin!(sending), pin!(relaying)).await {
            First::A(ended) => Err(ended),
            First::B(Err(DownloadEnd::ClientLeft)) => Err(RelayEnd::ClientLeft),
            First::B(Err(ended)) => Err(RelayEnd::Upstream(ended)),
            First::B(Ok(())) => Ok(()),
        }
    };
    let done = until_done(worker, alarm, bounds, &progress, pin!(work)).await;
    if done.is_err() {
        if let Err(RelayEnd::Upstream(_)) = done
            && client_transport.sent() > sent_before
            && let Ok(count) = client_transport.try_write(out)
        {
            // What came before the end is the client's, as far as it takes it at once.
            download.note_taken((&out[..count], &[]));
        }
        out.clear();
    }
    done
}

/// Sends the rest of a request whose response's head is there already.
pub(crate) async fn finish_upload(
    worker: &Worker,
    lease: &Lease<'_>,
    upload: &mut Upload,
    client: &mut Client,
    bounds: Bounds,
) -> Result<(), RelayEnd> {
    let progress = ProgressCounter::new(worker.clock, upload.finished_at());
    let Client {
        connection,
        input,
        alarm,
        snapshot,
        listener,
        ..
    } = client;
    let limits = snapshot.limits(*listener);
    let sender = Sender {
        transport: &lease.transport,
        written_before: lease.written_before,
    };
    let sending = poll_fn(|cx| {
        let from = (&connection.transport, &mut *input, limits);
        upload
            .poll_run(cx, &sender, from, &progress)
            .map_err(|end| match end {
                UploadEnd::Upstream(_) => RelayEnd::Upstream(DownloadEnd::Upstream),
                UploadEnd::ClientLeft => RelayEnd::ClientLeft,
                UploadEnd::Bad(why) => RelayEnd::BadBody(why),
            })
    });
    until_done(worker, alarm, bounds, &progress, pin!(sending)).await
}

/// Ends once the client has reset its connection; an end of its sending side is noted.
async fn client_leaves(client: &Transport, progress: &ProgressCounter) -> RelayEnd {
    if Waiter::client(client).ends().await == Ended::Whole {
        return RelayEnd::ClientLeft;
    }
    progress.client_ends();
    std::future::pending().await
}

/// Waits for the relay, as long as something moves and the request's time is not up.
async fn until_done(
    worker: &Worker,
    alarm: &Alarm,
    bounds: Bounds,
    progress: &ProgressCounter,
    mut work: Pin<&mut impl Future<Output = Result<(), RelayEnd>>>,
) -> Result<(), RelayEnd> {
    let mut deadlines = Deadlines::begin(bounds, worker.clock.now());
    loop {
        alarm.set(deadlines.next(&progress.signs()));
        let relayed = poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(Some(done));
            }
            if progress.has_changed() {
                if progress.client_has_ended() {
                    deadlines.client_ended(worker.clock.now());
                }
                alarm.set(deadlines.next(&progress.signs()));
            }
            alarm.poll_due(cx).map(|()| None)
        });
        if let Some(done) = relayed.await {
            return done;
        }
        let (signs, now) = (progress.signs(), worker.clock.now());
        deadlines.excuse(clock::last_freeze());
        match deadlines.passed(&signs, now) {
            // It runs once the request is whole: what a client is waited for then is its response.
            Some(Which::Request) if signs.turn == Turn::Client => return Err(RelayEnd::ClientSlow),
            Some(Which::Request) => return Err(RelayEnd::Late),
            Some(Which::Client | Which::ClientIdle) => return Err(RelayEnd::ClientStuck),
            Some(Which::Left) => return Err(RelayEnd::ClientLeft),
            Some(Which::Idle) => return Err(RelayEnd::Idle),
            Some(Which::PerTry | Which::Silence) | None => {}
        }
    }
}
