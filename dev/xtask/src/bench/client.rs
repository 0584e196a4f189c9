//! One client connection of the rig.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddrV4, TcpStream};

use super::message::{Body, Incoming};

/// A connection with at most one request under way.
pub(super) struct Client {
    stream: TcpStream,
    incoming: Incoming,
    /// Bytes of the request that are still to be written.
    unsent: usize,
}

/// What came of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// The response is not whole yet.
    Part,
    /// It is.
    Whole,
    /// The connection ended between responses.
    End,
}

impl Client {
    /// Connects. On loopback that takes no wait, so it may block.
    ///
    /// # Errors
    /// When nobody listens.
    pub(super) fn connect(to: SocketAddrV4) -> std::io::Result<Self> {
        let stream = TcpStream::connect(to)?;
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            incoming: Incoming::default(),
            unsent: 0,
        })
    }

    /// The socket, to be watched.
    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Begins a request; whether it was written whole.
    ///
    /// # Errors
    /// When the connection is dead.
    pub(super) fn send(&mut self, request: &[u8]) -> std::io::Result<bool> {
        self.unsent = request.len();
        self.send_on(request)
    }

    /// Writes on in the same request; whether it was written whole now.
    ///
    /// # Errors
    /// When the connection is dead.
    pub(super) fn send_on(&mut self, request: &[u8]) -> std::io::Result<bool> {
        while self.unsent > 0 {
            match self.stream.write(&request[request.len() - self.unsent..]) {
                Ok(count) => self.unsent -= count,
                Err(why) if why.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(why) => return Err(why),
            }
        }
        Ok(true)
    }

    /// Whether part of a request waits for room.
    pub(super) fn is_sending(&self) -> bool {
        self.unsent > 0
    }

    /// Reads once, and checks what came against the body that was agreed.
    ///
    /// # Errors
    /// What is wrong with the response, or with the connection.
    pub(super) fn receive(&mut self, scratch: &mut [u8], body: Body) -> Result<Received, String> {
        match self.stream.read(scratch) {
            Ok(0) if self.incoming.has_begun() => Err("cut off within a response".to_owned()),
            Ok(0) => Ok(Received::End),
            Ok(count) => self
                .incoming
                .take(&scratch[..count], body)
                .map(|whole| if whole { Received::Whole } else { Received::Part }),
            Err(why) if why.kind() == ErrorKind::WouldBlock => Ok(Received::Part),
            Err(why) => Err(why.to_string()),
        }
    }
}
