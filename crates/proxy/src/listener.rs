//! An address that a worker accepts on.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::downstream::h1;
use crate::worker::Worker;

/// After the process has run out of descriptors, accepting again at once would only spin.
const PAUSE_WHEN_EXHAUSTED: Duration = Duration::from_millis(20);

/// How long a listener that hears no more is kept for the handshakes that it has answered.
const LAST_HANDSHAKES: Duration = Duration::from_millis(200);

/// An address being accepted on.
#[derive(Debug)]
pub(crate) struct Listening {
    worker: Rc<Worker>,
    address: SocketAddr,
    listener: Rc<TcpListener>,
    task: JoinHandle<()>,
}

impl Listening {
    /// Accepts on `socket`, which listens on `address`.
    pub(crate) fn start(
        worker: &Rc<Worker>,
        address: SocketAddr,
        socket: std::net::TcpListener,
    ) -> std::io::Result<Self> {
        let listener = Rc::new(TcpListener::from_std(socket)?);
        let task = tokio::task::spawn_local(accept(worker.clone(), address, listener.clone()));
        Ok(Self {
            worker: worker.clone(),
            address,
            listener,
            task,
        })
    }

    /// Stops without losing whoever is on the way in: new connections are not answered any more,
    /// those that were are let in.
    pub(crate) async fn stop(self) {
        if sys::hear_no_more(&self.listener).is_ok() {
            tokio::time::sleep(LAST_HANDSHAKES).await;
        }
        self.task.abort();
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        while let std::task::Poll::Ready(Ok((stream, peer))) = self.listener.poll_accept(&mut context) {
            admit(&self.worker, self.address, stream, peer);
        }
    }
}

async fn accept(worker: Rc<Worker>, address: SocketAddr, listener: Rc<TcpListener>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => admit(&worker, address, stream, peer),
            Err(error) if is_about_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%address, %error, "cannot accept; trying again");
                tokio::time::sleep(PAUSE_WHEN_EXHAUSTED).await;
            }
        }
    }
}

/// Errors of `accept` that belong to the connection that was to be accepted (accept(2)).
fn is_about_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{
        ConnectionAborted, ConnectionReset, HostUnreachable, Interrupted, NetworkUnreachable,
    };
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted | NetworkUnreachable | HostUnreachable
    )
}

fn admit(worker: &Rc<Worker>, address: SocketAddr, stream: TcpStream, peer: SocketAddr) {
    let configured = worker.snapshot().downstream().max_connections;
    let most = configured.map_or(worker.connections_max, |most| most as usize);
    if worker.connections_everywhere.load(Ordering::Relaxed) >= most {
        worker.stats.cx_overflow();
        return;
    }
    tokio::task::spawn_local(h1::serve(worker.clone(), address, stream, peer));
}
