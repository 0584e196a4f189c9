//! The rig's endpoint: a thread on each core that it is given, which answers whatever it is asked with the response
//! of the hour.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use memchr::memmem;
use socket2::{Domain, Socket, Type};

use super::message::{self, Body};
use super::poll::{Interest, Poller};
use super::proc::pin;
use crate::Fallible;

/// The endpoint under way. Dropping it ends it.
pub(super) struct Endpoint {
    port: u16,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// Which of the responses is given.
    given: AtomicUsize,
    stop: AtomicBool,
}

impl Endpoint {
    /// Listens at 127.0.0.1, and at as many further loopback addresses as clusters may want.
    ///
    /// # Errors
    /// When it can not listen.
    pub(super) fn start(cores: &[usize], addresses: usize) -> Fallible<Self> {
        let mut endpoint = Self {
            port: 0,
            shared: Arc::default(),
            threads: Vec::new(),
        };
        for core in cores {
            endpoint.add_thread(*core, addresses)?;
        }
        Ok(endpoint)
    }

    fn add_thread(&mut self, core: usize, addresses: usize) -> Fallible<()> {
        // The first thread's port is any that is free, the others share it.
        let first = listener(self.address())?;
        self.port = first.local_addr()?.port();
        let mut listeners = vec![first];
        for index in 0..addresses {
            listeners.push(listener(self.address_of_cluster(index))?);
        }
        let mut room = Room::new(listeners, Arc::clone(&self.shared))?;
        let thread = std::thread::Builder::new()
            .name("endpoint".into())
            .spawn(move || {
                // The room goes with the thread, and its listeners with it.
                if let Err(why) = pin(&[core]).and_then(|()| room.run()) {
                    eprintln!("the endpoint ended: {why}");
                }
            })?;
        self.threads.push(thread);
        Ok(())
    }

    /// Where it is.
    pub(super) fn address(&self) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::LOCALHOST, self.port)
    }

    /// Where it is for the cluster of this index.
    pub(super) fn address_of_cluster(&self, index: usize) -> SocketAddrV4 {
        SocketAddrV4::new(address(index), self.port)
    }

    /// From now on responses have this body.
    ///
    /// # Panics
    /// When the rig asks for a body that is not in `BODIES`.
    pub(super) fn give(&self, body: Body) {
        let given = BODIES.iter().position(|known| *known == body);
        let given = given.expect("a body that the endpoint has prepared");
        self.shared.given.store(given, Ordering::Relaxed);
    }

    /// Ends it. From now on connections to its addresses are refused.
    pub(super) fn end(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // It has said itself why it failed, if it did.
            let _ = thread.join();
        }
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.end();
    }
}

fn address(index: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 1, (index / 250) as u8, (index % 250) as u8 + 1)
}

/// Every thread has listeners of its own at the same addresses, among which the kernel deals out connections.
fn listener(at: SocketAddrV4) -> Fallible<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&at.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// All connections of a thread; a token is a listener's index, or a connection's behind those.
struct Room {
    poller: Poller,
    listeners: Vec<TcpListener>,
    peers: Vec<Option<Peer>>,
    free: Vec<usize>,
    responses: Vec<Vec<u8>>,
    shared: Arc<Shared>,
}

struct Peer {
    stream: TcpStream,
    /// The part of a request's head that has come.
    head: Vec<u8>,
    /// Bytes of the request's body still to come.
    body_left: usize,
    /// Whether the request that is coming wants the connection closed after it.
    close: bool,
    /// The response that is being written, and how far.
    writing: Option<(usize, usize)>,
}

impl Room {
    fn new(listeners: Vec<TcpListener>, shared: Arc<Shared>) -> Fallible<Self> {
        let poller = Poller::new()?;
        for (token, listener) in listeners.iter().enumerate() {
            listener.set_nonblocking(true)?;
            poller.watch(listener, token, Interest::Read)?;
        }
        Ok(Self {
            poller,
            listeners,
            peers: Vec::new(),
            free: Vec::new(),
            responses: BODIES.map(message::response).into(),
            shared,
        })
    }

    fn run(&mut self) -> Fallible<()> {
        let mut ready = Vec::new();
        let mut scratch = vec![0; SCRATCH_BYTES];
        while !self.shared.stop.load(Ordering::Relaxed) {
            self.poller.wait(&mut ready)?;
            for token in ready.drain(..) {
                match token.checked_sub(self.listeners.len()) {
                    None => self.accept(token)?,
                    Some(index) => self.serve(index, &mut scratch)?,
                }
            }
        }
        Ok(())
    }

    fn accept(&mut self, listener: usize) -> Fallible<()> {
        loop {
            let stream = match self.listeners[listener].accept() {
                Ok((stream, _)) => stream,
                Err(why) if why.kind() == ErrorKind::WouldBlock => return Ok(()),
                // Gone again before it was let in.
                Err(why) if why.kind() == ErrorKind::ConnectionAborted => continue,
                Err(why) => return Err(why.into()),
            };
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let index = self.free.pop().unwrap_or(self.peers.len());
            if index == self.peers.len() {
                self.peers.push(None);
            }
            self.poller
                .watch(&stream, self.listeners.len() + index, Interest::Read)?;
            self.peers[index] = Some(Peer {
                stream,
                head: Vec::new(),
                body_left: 0,
                close: false,
                writing: None,
            });
        }
    }

    fn serve(&mut self, index: usize, scratch: &mut [u8]) -> Fallible<()> {
        // An event of this batch may have ended it already.
        let Some(peer) = self.peers[index].as_mut() else {
            return Ok(());
        };
        let was_writing = peer.writing.is_some();
        let given = self.shared.given.load(Ordering::Relaxed);
        let done = peer.go_on(scratch, given, &self.responses);
        let is_writing = peer.writing.is_some();
        match done {
            Ok(true) if was_writing != is_writing => {
                let interest = if is_writing {
                    Interest::Write
                } else {
                    Interest::Read
                };
                let token = self.listeners.len() + index;
                self.poller.change(&peer.stream, token, interest)?;
            }
            Ok(true) => {}
            // Proxies are killed at a run's end, with requests under way: no error of ours.
            Ok(false) | Err(_) => {
                self.peers[index] = None;
                self.free.push(index);
            }
        }
        Ok(())
    }
}

impl Peer {
    /// Writes on, or reads and answers; whether the connection goes on.
    fn go_on(&mut self, scratch: &mut [u8], given: usize, responses: &[Vec<u8>]) -> std::io::Result<bool> {
        if self.writing.is_none() {
            let count = match self.stream.read(scratch) {
                Ok(0) => return Ok(false),
                Ok(count) => count,
                Err(why) if why.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(why) => return Err(why),
            };
            if self.take(&scratch[..count]) {
                self.writing = Some((given, 0));
            }
        }
        while let Some((which, from)) = self.writing {
            let rest = &responses[which][from..];
            match self.stream.write(rest) {
                Ok(count) if count == rest.len() => {
                    self.writing = None;
                    return Ok(!self.close);
                }
                Ok(count) => self.writing = Some((which, from + count)),
                Err(why) if why.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(why) => return Err(why),
            }
        }
        Ok(true)
    }

    /// Takes bytes of a request; whether it is whole. Nobody pipelines towards an endpoint here.
    fn take(&mut self, bytes: &[u8]) -> bool {
        if self.body_left > 0 {
            self.body_left = self.body_left.saturating_sub(bytes.len());
            return self.body_left == 0;
        }
        let mut kept = std::mem::take(&mut self.head);
        let whole = if kept.is_empty() {
            bytes
        } else {
            kept.extend_from_slice(bytes);
            &kept
        };
        let Some(end) = message::head_end(whole) else {
            self.head = whole.to_vec();
            return false;
        };
        let (head, body) = whole.split_at(end);
        self.close = memmem::find(head, b"onnection: close").is_some();
        let length = if head.starts_with(b"POST") {
            message::content_length(head).unwrap_or(0)
        } else {
            0
        };
        self.body_left = length.saturating_sub(body.len());
        self.body_left == 0
    }
}

/// The bodies that scenarios ask for.
pub(super) const BODIES: [Body; 5] = [
    Body::Length(100),
    Body::Length(16 * 1024),
    Body::Length(1024 * 1024),
    CHUNKS_OF_100,
    CHUNKS_OF_1K,
];
/// As a template engine or an event stream writes.
pub(super) const CHUNKS_OF_100: Body = Body::Chunked {
    length: 64 * 1024,
    chunk: 100,
};
/// As a JSON encoder with a small buffer does.
pub(super) const CHUNKS_OF_1K: Body = Body::Chunked {
    length: 64 * 1024,
    chunk: 1024,
};
const SCRATCH_BYTES: usize = 64 * 1024;
/// More than connect at once in any scenario.
const BACKLOG: i32 = 1_024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::proc::{LOAD_CORE, PROXY_CORE};

    #[test]
    fn every_request_gets_the_response_of_the_hour() -> Fallible<()> {
        let endpoint = Endpoint::start(&[LOAD_CORE], 2)?;
        let ask = |to: SocketAddrV4, request: &[u8], body: Body| -> Fallible<()> {
            let mut stream = TcpStream::connect(to)?;
            let mut incoming = message::Incoming::default();
            let mut bytes = vec![0; 4096];
            for part in request.chunks(1000) {
                stream.write_all(part)?;
            }
            loop {
                let count = stream.read(&mut bytes)?;
                if count == 0 || incoming.take(&bytes[..count], body)? {
                    assert!(count > 0, "ended early");
                    return Ok(());
                }
            }
        };
        for body in BODIES {
            endpoint.give(body);
            ask(endpoint.address(), &message::get("/", false), body)?;
            ask(endpoint.address_of_cluster(1), &message::post("/", 4096), body)?;
        }
        Ok(())
    }

    #[test]
    fn an_endpoint_that_ended_refuses_connections() -> Fallible<()> {
        let mut endpoint = Endpoint::start(&[PROXY_CORE, LOAD_CORE], 1)?;
        endpoint.end();
        assert!(TcpStream::connect(endpoint.address()).is_err());
        assert!(TcpStream::connect(endpoint.address_of_cluster(0)).is_err());
        Ok(())
    }

    #[test]
    fn a_request_that_wants_so_is_the_last_of_its_connection() -> Fallible<()> {
        let endpoint = Endpoint::start(&[LOAD_CORE], 0)?;
        endpoint.give(Body::Length(100));
        let mut stream = TcpStream::connect(endpoint.address())?;
        stream.write_all(&message::get("/", true))?;
        let mut all = Vec::new();
        stream.read_to_end(&mut all)?;
        assert_eq!(all, message::response(Body::Length(100)));
        Ok(())
    }
}
