//! Bytes both ways after an upgrade, until both sides have ended.

use std::cell::Cell;

use policy::outcome::Cause;
use policy::time::Moment;

use crate::engine::Alarm;
use crate::engine::clock::Clock;
use crate::engine::wait::{First, first, within};
use crate::transport::Transport;
use crate::transport::buffer::ReadBuffer;
use crate::transport::read_write::{fill, write_all};

/// One end of a tunnel: its transport and what was received from it already.
#[derive(Debug)]
pub(crate) struct TunnelSide<'a> {
    pub(crate) transport: &'a Transport,
    pub(crate) input: &'a mut ReadBuffer,
}

/// Which end a copy failed at.
enum Broken {
    From,
    To,
}

/// Carries bytes both ways. An end of one direction is passed on as a FIN; the tunnel ends when
/// both have ended, on an error, or when nothing moved for `idle`. Says who ended it first, and how.
pub(crate) async fn run(
    clock: Clock,
    alarm: &Alarm,
    idle: Option<std::time::Duration>,
    client: TunnelSide<'_>,
    upstream: TunnelSide<'_>,
) -> Cause {
    let ended = Cell::new(None);
    let moved = Cell::new(clock.now());
    let both = async {
        let to_upstream = carry(client.input, client.transport, upstream.transport, &moved, clock);
        let to_client = carry(
            upstream.input,
            upstream.transport,
            client.transport,
            &moved,
            clock,
        );
        let (mut to_upstream, mut to_client) = (std::pin::pin!(to_upstream), std::pin::pin!(to_client));
        match first(to_upstream.as_mut(), to_client.as_mut()).await {
            First::A(Ok(())) => {
                ended.set(Some(Cause::TunnelClosedByClient));
                drop(to_client.await);
            }
            First::B(Ok(())) => {
                ended.set(Some(Cause::TunnelClosedByEndpoint));
                drop(to_upstream.await);
            }
            First::A(Err(Broken::From)) | First::B(Err(Broken::To)) => {
                ended.set(Some(Cause::TunnelResetByClient));
            }
            First::A(Err(Broken::To)) | First::B(Err(Broken::From)) => {
                ended.set(Some(Cause::TunnelResetByEndpoint));
            }
        }
    };
    let mut both = std::pin::pin!(both);
    loop {
        let deadline = idle.map_or(Moment::NEVER, |idle| moved.get() + idle);
        if deadline <= clock.now() {
            return Cause::TunnelIdle;
        }
        alarm.set(deadline);
        if within(alarm, both.as_mut()).await.is_ok() {
            return ended.get().unwrap_or(Cause::TunnelIdle);
        }
    }
}

async fn carry(
    input: &mut ReadBuffer,
    from: &Transport,
    to: &Transport,
    moved: &Cell<Moment>,
    clock: Clock,
) -> Result<(), Broken> {
    loop {
        if !input.is_empty() {
            write_all(to, input.data()).await.map_err(|_| Broken::To)?;
            moved.set(clock.now());
            input.consume(input.data().len());
        }
        input.release();
        let filled = fill(from, input, crate::transport::buffer::READ_SIZE).await;
        if filled.map_err(|_| Broken::From)? == 0 {
            return to.shut_down_write().map_err(|_| Broken::To);
        }
        moved.set(clock.now());
    }
}
