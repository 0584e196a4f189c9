//! An address that a worker accepts on.

use std::future::poll_fn;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::downstream::clients::Clients;
use crate::downstream::connection::Connection;
use crate::downstream::overflow::{self, Full};
use crate::engine::{self, Source, Spawned};

/// After the process has run out of descriptors, accepting again at once would only spin.
const PAUSE_WHEN_EXHAUSTED: Duration = Duration::from_millis(20);

/// How long a listener that hears no more is kept for the handshakes that it has answered …
const LAST_HANDSHAKES: Duration = Duration::from_millis(200);

/// … and how often it is looked whether there are any left, of clients that say nothing yet.
const LOOK: Duration = Duration::from_millis(50);

/// Connections accepted between two looks at the others' needs.
const BATCH: usize = 64;

/// An address being accepted on.
#[derive(Debug)]
pub(crate) struct Listening {
    clients: Rc<Clients>,
    socket: Rc<Socket>,
    task: Spawned,
}

#[derive(Debug)]
struct Socket {
    source: Source,
    listener: TcpListener,
    address: Rc<SocketAddr>,
    /// The client connections that came to it, over all workers.
    connections: Arc<AtomicUsize>,
}

impl Listening {
    /// Accepts on `listener`, which listens on `address`.
    ///
    /// # Errors
    /// The kernel watches no more sockets.
    pub(crate) fn start(
        clients: &Rc<Clients>,
        address: SocketAddr,
        listener: TcpListener,
    ) -> std::io::Result<Self> {
        let socket = Rc::new(Socket {
            source: Source::of(&listener)?,
            listener,
            address: Rc::new(address),
            connections: clients.connections_everywhere.of(address),
        });
        let task = engine::spawn_vital(accept(clients.clone(), socket.clone()));
        Ok(Self {
            clients: clients.clone(),
            socket,
            task,
        })
    }

    /// Stops without losing whoever is on the way in: new connections are not answered any more,
    /// those that were are let in.
    pub(crate) async fn stop(self) {
        if sys::hear_no_more(&self.socket.listener).is_ok() {
            engine::sleep(LAST_HANDSHAKES).await;
            // The port that was configured may be any.
            let address = self.socket.listener.local_addr();
            silent_clients_are_in(address.unwrap_or(*self.socket.address).port()).await;
        }
        self.task.cancel();
        while let Ok((stream, peer)) = sys::accept(&self.socket.listener) {
            admit(&self.clients, &self.socket, stream, peer);
        }
    }
}

/// Waits until clients that said nothing yet can be accepted, or there are none.
async fn silent_clients_are_in(port: u16) {
    // A simulated network has no handshakes, and its time does not wait for a thread.
    #[cfg(feature = "sim")]
    if crate::engine::simulation::now().is_some() {
        return;
    }
    for _ in 0..sys::SILENCE.div_duration_f32(LOOK) as u32 {
        let (tell, told) = tokio::sync::oneshot::channel();
        // The list may be long, and clients wait for this thread.
        let look = move || drop(tell.send(sys::handshakes(port)));
        if std::thread::Builder::new().spawn(look).is_err() || !matches!(told.await, Ok(Ok(1..))) {
            return;
        }
        engine::sleep(LOOK).await;
    }
}

async fn accept(clients: Rc<Clients>, socket: Rc<Socket>) {
    let mut batch = 0;
    loop {
        match sys::accept(&socket.listener) {
            Ok((stream, peer)) => {
                admit(&clients, &socket, stream, peer);
                batch += 1;
                if batch % BATCH == 0 {
                    engine::yield_now().await;
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                socket.source.forget_readable();
                poll_fn(|cx| socket.source.poll_readable(cx)).await;
            }
            Err(error) if is_about_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(address = %socket.address, %error, "cannot accept; trying again");
                engine::sleep(PAUSE_WHEN_EXHAUSTED).await;
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

fn admit(clients: &Rc<Clients>, socket: &Socket, stream: OwnedFd, peer: SocketAddr) {
    let current = clients.worker.snapshot();
    let configured = current
        .downstream(current.listener(*socket.address))
        .max_connections;
    let full_here =
        configured.is_some_and(|most| socket.connections.load(Ordering::Relaxed) >= most as usize);
    let full = if full_here {
        Some(Full::Address {
            address: *socket.address,
            most: configured.unwrap_or_default(),
        })
    } else if clients.connections_everywhere.all() >= clients.connections_max {
        Some(Full::Process {
            most: clients.connections_max,
        })
    } else {
        None
    };
    if let Some(full) = full {
        clients.worker.stats.cx_overflow();
        overflow::refuse(clients, &full, stream);
        return;
    }
    let connection = Connection::open(clients, &socket.address, &socket.connections, stream, peer);
    match current.server_side(current.listener(*socket.address)) {
        None => clients.idle.on_accept(clients, connection),
        Some(side) => clients.handshakes.begin(clients, connection, side.clone()),
    }
}
