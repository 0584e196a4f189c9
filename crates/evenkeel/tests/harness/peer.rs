//! One end of a TCP connection that a test speaks from, byte by byte.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use super::PATIENCE;
use super::message::{Framing, Message, fields};

/// How the other side ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It did not, for as long as was waited.
    Open,
    /// With a FIN.
    Fin,
    /// With an RST.
    Reset,
}

/// A connection and what was read ahead of it.
#[derive(Debug)]
pub(crate) struct Peer {
    stream: TcpStream,
    /// The TLS session on it.
    tls: Option<Box<rustls::Connection>>,
    ahead: Vec<u8>,
    /// How the connection ended, once it has.
    ended: End,
    /// It ended without TLS saying so.
    was_cut: bool,
}

impl Peer {
    /// Connects.
    #[track_caller]
    pub(crate) fn connect(to: SocketAddr) -> Self {
        Self::over(TcpStream::connect_timeout(&to, PATIENCE).expect("a connection"))
    }

    /// Speaks over an accepted connection.
    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("an open socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("an open socket");
        stream.set_write_timeout(Some(PATIENCE)).expect("an open socket");
        Self {
            stream,
            tls: None,
            ahead: Vec::new(),
            ended: End::Open,
            was_cut: false,
        }
    }

    /// Speaks TLS from now on; the handshake is made with the first byte that is sent or read.
    pub(crate) fn over_tls(mut self, connection: impl Into<rustls::Connection>) -> Self {
        self.tls = Some(Box::new(connection.into()));
        self
    }

    /// Makes the handshake, and gives the certificate that the other side presented.
    #[track_caller]
    pub(crate) fn tls_certificate(&mut self) -> Vec<u8> {
        let tls = self.tls.as_mut().expect("TLS");
        while tls.is_handshaking() {
            tls.complete_io(&mut self.stream).expect("a handshake");
        }
        tls.peer_certificates().expect("a certificate")[0].to_vec()
    }

    /// The version that was agreed on.
    pub(crate) fn tls_version(&self) -> Option<rustls::ProtocolVersion> {
        self.tls.as_ref().and_then(|tls| tls.protocol_version())
    }

    /// Says that no more is sent, by TLS and by nothing else.
    #[track_caller]
    pub(crate) fn close_notify(&mut self) {
        let tls = self.tls.as_mut().expect("TLS");
        tls.send_close_notify();
        tls.complete_io(&mut self.stream).expect("the peer to take it");
    }

    /// Whether the end was told by TLS.
    pub(crate) fn got_close_notify(&self) -> bool {
        self.tls.is_some() && self.ended == End::Fin && !self.was_cut
    }

    fn write_all(&mut self, mut bytes: &[u8]) -> std::io::Result<()> {
        let Some(tls) = &mut self.tls else {
            return self.stream.write_all(bytes);
        };
        while !bytes.is_empty() {
            if tls.is_handshaking() {
                tls.complete_io(&mut self.stream)?;
            }
            let taken = tls.writer().write(bytes)?;
            bytes = &bytes[taken..];
            while tls.wants_write() {
                tls.write_tls(&mut self.stream)?;
            }
        }
        Ok(())
    }

    fn read(&mut self, piece: &mut [u8]) -> std::io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return self.stream.read(piece);
        };
        loop {
            match tls.reader().read(piece) {
                Err(why) if why.kind() == ErrorKind::WouldBlock => {}
                // A FIN without `close_notify`.
                Err(why) if why.kind() == ErrorKind::UnexpectedEof => {
                    self.was_cut = true;
                    return Ok(0);
                }
                done => return done,
            }
            if tls.is_handshaking() {
                tls.complete_io(&mut self.stream)?;
                continue;
            }
            tls.read_tls(&mut self.stream)?;
            let processed = tls.process_new_packets();
            while tls.wants_write() {
                tls.write_tls(&mut self.stream)?;
            }
            processed.map_err(std::io::Error::other)?;
        }
    }

    /// Sends; a closed connection is a failure.
    #[track_caller]
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.write_all(bytes.as_ref()).expect("the peer to take it");
    }

    /// Sends what the other side will take; false if it has closed.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.write_all(bytes.as_ref()).is_ok()
    }

    /// Another hand on the same connection, to send while this one reads.
    pub(crate) fn writer(&self) -> Self {
        assert!(self.tls.is_none(), "a TLS session has one hand");
        Self::over(self.stream.try_clone().expect("a descriptor"))
    }

    /// Sends a FIN; reading goes on.
    pub(crate) fn half_close(&mut self) {
        if self.tls.is_some() {
            self.close_notify();
        }
        self.stream.shutdown(Shutdown::Write).expect("an open socket");
    }

    /// Ends with an RST.
    pub(crate) fn reset(self) {
        socket2::SockRef::from(&self.stream)
            .set_linger(Some(Duration::ZERO))
            .expect("an open socket");
    }

    /// Has the kernel drop whatever comes from now on, as if the machine were gone.
    pub(crate) fn forgets(&self) {
        let nothing = [socket2::SockFilter::new(6, 0, 0, 0)];
        socket2::SockRef::from(&self.stream)
            .attach_filter(&nothing)
            .expect("Linux");
    }

    /// Reads until `enough` finds an end in what has come; false at the connection's end.
    fn fill_until(&mut self, mut enough: impl FnMut(&[u8]) -> bool) -> bool {
        let mut piece = [0; 64 * 1024];
        while !enough(&self.ahead) {
            match self.read(&mut piece) {
                Ok(0) => self.ended = End::Fin,
                Ok(count) => {
                    self.ahead.extend_from_slice(&piece[..count]);
                    continue;
                }
                Err(why) if matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(why) if why.kind() == ErrorKind::Interrupted => continue,
                Err(_) => self.ended = End::Reset,
            }
            return false;
        }
        true
    }

    fn drain(&mut self, count: usize) -> Vec<u8> {
        self.ahead.drain(..count).collect()
    }

    /// Reads a head; `None` if the connection ends, or nothing comes, before it is whole.
    pub(crate) fn try_head(&mut self) -> Option<Message> {
        let mut end = None;
        self.fill_until(|bytes| {
            end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
            end.is_some()
        });
        let head = self.drain(end? + 4);
        Some(Message::parse(&head[..head.len() - 4]))
    }

    /// Reads exactly `count` bytes, or fewer if the connection ends.
    pub(crate) fn take(&mut self, count: usize) -> Vec<u8> {
        self.fill_until(|bytes| bytes.len() >= count);
        self.drain(count.min(self.ahead.len()))
    }

    /// Reads all until the connection ends.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        self.fill_until(|_| false);
        std::mem::take(&mut self.ahead)
    }

    /// Reads a request with its body; `None` at the connection's end.
    pub(crate) fn request(&mut self) -> Option<Message> {
        let mut request = self.try_head()?;
        request.framing = framing(&request).unwrap_or(Framing::None);
        self.body(&mut request);
        Some(request)
    }

    /// Reads a response to a request that was not HEAD, 1xx ones before it included.
    #[track_caller]
    pub(crate) fn response(&mut self) -> Message {
        self.response_to("GET")
    }

    /// Reads a response to a request of this method.
    #[track_caller]
    pub(crate) fn response_to(&mut self, method: &str) -> Message {
        match self.try_response_to(method) {
            Some(response) => response,
            None => panic!(
                "no response: {:?} after {:?}",
                self.ended,
                String::from_utf8_lossy(&self.ahead)
            ),
        }
    }

    /// The same; `None` if the connection ends, or nothing comes, before a head.
    pub(crate) fn try_response_to(&mut self, method: &str) -> Option<Message> {
        let mut interim = Vec::new();
        loop {
            let mut head = self.try_head()?;
            let status = head.status();
            if (100..200).contains(&status) && status != 101 {
                interim.push(head);
                continue;
            }
            head.interim = interim;
            let bodiless = method == "HEAD" || matches!(status, 101 | 204 | 304);
            head.framing = if bodiless {
                Framing::None
            } else {
                framing(&head).unwrap_or(Framing::Close)
            };
            self.body(&mut head);
            return Some(head);
        }
    }

    fn body(&mut self, message: &mut Message) {
        match message.framing {
            Framing::None => {}
            Framing::Length(length) => {
                message.body = self.take(length);
                message.complete = message.body.len() == length;
            }
            Framing::Chunked => self.chunks(message),
            Framing::Close => {
                message.body = self.rest();
                message.complete = self.ended == End::Fin;
            }
        }
    }

    fn chunks(&mut self, message: &mut Message) {
        message.complete = false;
        while let Some(line) = self.line() {
            let digits = line.split(';').next().unwrap_or_default().trim();
            let size =
                usize::from_str_radix(digits, 16).unwrap_or_else(|_| panic!("no chunk size: {line:?}"));
            if size == 0 {
                return self.trailers(message);
            }
            let chunk = self.take(size + 2);
            message.body.extend_from_slice(&chunk[..chunk.len().min(size)]);
            if chunk.len() < size + 2 {
                return;
            }
        }
    }

    fn trailers(&mut self, message: &mut Message) {
        while let Some(line) = self.line() {
            if line.is_empty() {
                message.complete = true;
                return;
            }
            message.trailers.extend(fields([line.as_str()].into_iter()));
        }
    }

    fn line(&mut self) -> Option<String> {
        let mut end = None;
        self.fill_until(|bytes| {
            end = bytes.windows(2).position(|two| two == b"\r\n");
            end.is_some()
        });
        let line = self.drain(end? + 2);
        Some(String::from_utf8_lossy(&line[..line.len() - 2]).into_owned())
    }

    /// Waits up to `span` for the end; bytes that come first are kept.
    pub(crate) fn end_within(&mut self, span: Duration) -> End {
        if self.ended == End::Open {
            self.stream.set_read_timeout(Some(span)).expect("an open socket");
            self.fill_until(|_| false);
            self.stream
                .set_read_timeout(Some(PATIENCE))
                .expect("an open socket");
        }
        self.ended
    }

    /// Whether a byte comes within `span`; it is kept.
    pub(crate) fn hears_within(&mut self, span: Duration) -> bool {
        self.stream.set_read_timeout(Some(span)).expect("an open socket");
        let heard = self.fill_until(|bytes| !bytes.is_empty());
        self.stream
            .set_read_timeout(Some(PATIENCE))
            .expect("an open socket");
        heard
    }

    /// Waits for the end.
    pub(crate) fn end(&mut self) -> End {
        self.end_within(PATIENCE)
    }

    /// Whether nothing at all comes for `span`.
    pub(crate) fn is_quiet_for(&mut self, span: Duration) -> bool {
        self.end_within(span) == End::Open && self.ahead.is_empty()
    }
}

/// The framing that a head announces; `None` if it announces none.
fn framing(head: &Message) -> Option<Framing> {
    if head.field("transfer-encoding").is_some() {
        return Some(Framing::Chunked);
    }
    let length = head.field("content-length")?;
    Some(Framing::Length(
        length.parse().unwrap_or_else(|_| panic!("no length: {length:?}")),
    ))
}
