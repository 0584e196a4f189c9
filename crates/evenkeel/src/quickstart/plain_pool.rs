//! A reverse proxy with a plain keep-alive pool, for `quickstart --compare`: what the demo client meets
//! when nothing is done about the race beyond what stock pools do.
//!
//! It is an honest one: the connection used last is taken first, one whose end has been seen is not
//! used, and a request without a body that dies on a reused connection before any byte of its response
//! is sent once more on a new one, as nginx and Go's `net/http` do. A POST is not, since it may have
//! been applied; its client gets a 502.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::demo::request_length;

/// An answer of the demo upstream comes at once; a later one never comes.
const PATIENCE: Duration = Duration::from_secs(5);
const BAD_GATEWAY: &[u8] = b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n";

/// Idle connections to the upstream, the one used last at the end.
#[derive(Debug)]
struct Pool {
    upstream: SocketAddr,
    idle: Mutex<Vec<TcpStream>>,
}

/// Starts it on a free port of the loopback: one thread with an event loop, which lasts as long as the
/// process.
pub(crate) fn start(upstream: SocketAddr) -> io::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let pool = Arc::new(Pool {
        upstream,
        idle: Mutex::default(),
    });
    thread::Builder::new()
        .name("plain-pool".into())
        .spawn(move || runtime.block_on(pool.accept(listener)))?;
    Ok(address)
}

impl Pool {
    async fn accept(self: Arc<Self>, listener: std::net::TcpListener) -> io::Result<()> {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (client, _) = listener.accept().await?;
            tokio::spawn(self.clone().serve(client));
        }
    }

    /// Serves one client until it leaves.
    async fn serve(self: Arc<Self>, mut client: TcpStream) -> io::Result<()> {
        client.set_nodelay(true)?;
        let mut buffer = Vec::new();
        loop {
            let Some(length) = request_length(&buffer)? else {
                read_more(&mut client, &mut buffer).await?;
                continue;
            };
            let request: Vec<u8> = buffer.drain(..length).collect();
            let response = self.forward(&request).await;
            client
                .write_all(response.as_deref().unwrap_or(BAD_GATEWAY))
                .await?;
        }
    }

    /// The upstream's response to one request.
    async fn forward(&self, request: &[u8]) -> io::Result<Vec<u8>> {
        if let Some(idle) = self.reuse() {
            let sent = self.exchange(idle, request).await;
            if sent.is_ok() || request.starts_with(b"POST ") {
                return sent;
            }
        }
        let fresh = TcpStream::connect(self.upstream).await?;
        fresh.set_nodelay(true)?;
        self.exchange(fresh, request).await
    }

    /// The connection used last whose end the event loop has not seen.
    fn reuse(&self) -> Option<TcpStream> {
        let open = |stream: &TcpStream| {
            let read = stream.try_read(&mut [0]);
            read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
        };
        let mut idle = self.idle();
        std::iter::from_fn(|| idle.pop()).find(open)
    }

    async fn exchange(&self, mut stream: TcpStream, request: &[u8]) -> io::Result<Vec<u8>> {
        stream.write_all(request).await?;
        let mut response = Vec::new();
        // A response with a length has the framing of a request with one.
        while request_length(&response)?.is_none() {
            timeout(PATIENCE, read_more(&mut stream, &mut response)).await??;
        }
        self.idle().push(stream);
        Ok(response)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<TcpStream>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn read_more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<()> {
    match stream.read_buf(buffer).await? {
        0 => Err(ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener as StdListener, TcpStream as StdStream};

    use super::super::demo::{Demo, IDLE_TIMEOUT};
    use super::*;

    /// One message with a length, as far as it comes.
    fn read(stream: &mut StdStream) -> String {
        let (mut message, mut bytes) = (Vec::new(), [0; 1024]);
        while request_length(&message).expect("small").is_none() {
            match stream.read(&mut bytes).expect("open") {
                0 => break,
                count => message.extend_from_slice(&bytes[..count]),
            }
        }
        String::from_utf8(message).expect("text")
    }

    fn ask(client: &mut StdStream, request: &[u8]) -> String {
        client.write_all(request).expect("open");
        read(client)
    }

    const GET: &[u8] = b"GET / HTTP/1.1\r\n\r\n";

    #[test]
    fn a_connection_is_kept_and_one_whose_end_was_seen_is_not_used() {
        let demo = Demo::start().expect("a port");
        let mut client = StdStream::connect(start(demo.address).expect("a port")).expect("listening");
        for _ in 0..3 {
            assert!(ask(&mut client, GET).starts_with("HTTP/1.1 200"));
        }
        thread::sleep(IDLE_TIMEOUT + Duration::from_millis(200));
        let post = b"POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\nab";
        assert!(ask(&mut client, post).starts_with("HTTP/1.1 200"));
    }

    #[test]
    fn what_dies_on_a_reused_connection_is_sent_again_but_for_posts() {
        // An upstream that answers one request of a connection, and closes with the second.
        let listener = StdListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                thread::spawn(move || {
                    read(&mut stream);
                    stream
                        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                        .expect("open");
                    read(&mut stream);
                });
            }
        });
        let mut client = StdStream::connect(start(address).expect("a port")).expect("listening");
        assert!(ask(&mut client, GET).starts_with("HTTP/1.1 200"));
        assert!(ask(&mut client, GET).starts_with("HTTP/1.1 200"), "sent again");
        let post = b"POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n";
        assert!(
            ask(&mut client, post).starts_with("HTTP/1.1 502"),
            "it may have been applied"
        );
    }
}
