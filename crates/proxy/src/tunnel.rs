//! Bytes both ways after an upgrade, until both sides have ended.

use std::cell::Cell;
use std::io;

use policy::time::Moment;

use crate::buffer::ReadBuffer;
use crate::engine::Alarm;
use crate::io::{fill, write_all};
use crate::transport::Transport;
use crate::wait::{First, first, within};
use crate::worker::Worker;

/// One end of a tunnel: its transport and what was received from it already.
#[derive(Debug)]
pub(crate) struct Mouth<'a> {
    pub(crate) transport: &'a Transport,
    pub(crate) input: &'a mut ReadBuffer,
}

/// How much went through.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Carried {
    pub(crate) up: u64,
    pub(crate) down: u64,
}

/// Carries bytes both ways. An end of one direction is passed on as a FIN; the tunnel ends when
/// both have ended, on an error, or when nothing moved for `idle`.
pub(crate) async fn run(
    worker: &Worker,
    alarm: &Alarm,
    idle: Option<std::time::Duration>,
    client: Mouth<'_>,
    upstream: Mouth<'_>,
) -> Carried {
    // What either side took, to the byte, however it ends.
    let (up, down) = (upstream.transport.sent(), client.transport.sent());
    let (to_client, to_endpoint) = (client.transport, upstream.transport);
    let moved = Cell::new(worker.clock.now());
    let both = async {
        let to_upstream = carry(client.input, client.transport, upstream.transport, &moved, worker);
        let to_client = carry(
            upstream.input,
            upstream.transport,
            client.transport,
            &moved,
            worker,
        );
        let (mut to_upstream, mut to_client) = (std::pin::pin!(to_upstream), std::pin::pin!(to_client));
        match first(to_upstream.as_mut(), to_client.as_mut()).await {
            First::A(Ok(())) => drop(to_client.await),
            First::B(Ok(())) => drop(to_upstream.await),
            First::A(Err(_)) | First::B(Err(_)) => {}
        }
    };
    let mut both = std::pin::pin!(both);
    loop {
        let deadline = idle.map_or(Moment::NEVER, |idle| moved.get() + idle);
        if deadline <= worker.clock.now() {
            break;
        }
        alarm.set(deadline);
        if within(alarm, both.as_mut()).await.is_ok() {
            break;
        }
    }
    Carried {
        up: to_endpoint.sent() - up,
        down: to_client.sent() - down,
    }
}

async fn carry(
    input: &mut ReadBuffer,
    from: &Transport,
    to: &Transport,
    moved: &Cell<Moment>,
    worker: &Worker,
) -> io::Result<()> {
    loop {
        if !input.is_empty() {
            write_all(to, input.data()).await?;
            moved.set(worker.clock.now());
            input.consume(input.data().len());
        }
        input.release();
        if fill(from, input, crate::buffer::READ_SIZE).await? == 0 {
            return to.shut_down_write();
        }
        moved.set(worker.clock.now());
    }
}
