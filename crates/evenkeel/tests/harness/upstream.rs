//! Scripted upstreams: each connection is handed to the script, which does what a test wants.

use std::net::{SocketAddr, TcpListener};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use super::{Message, Peer};

/// An upstream on a loopback port of its own.
#[derive(Debug)]
pub(crate) struct Upstream {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    seen: Arc<Seen>,
}

/// What an upstream saw.
#[derive(Debug, Default)]
struct Seen {
    connections: AtomicUsize,
    requests: Mutex<Vec<Message>>,
    bytes: AtomicUsize,
    /// Assertions that failed in its script; they fail the test when the upstream goes.
    complaints: Mutex<Vec<String>>,
}

impl Upstream {
    /// Runs `script` for each connection, with its number from 0, on a thread of its own.
    pub(crate) fn scripted(script: impl Fn(usize, Peer) + Send + Sync + 'static) -> Self {
        Self::with_seen(move |number, peer, _| script(number, peer))
    }

    /// Answers each request with what `answer` makes of it, until the connection ends.
    pub(crate) fn answering(answer: impl Fn(&Message) -> String + Send + Sync + 'static) -> Self {
        Self::with_seen(move |_, mut peer, seen| {
            while let Some(request) = peer.request() {
                let reply = answer(&request);
                seen.requests.lock().expect("no panic").push(request);
                if !peer.try_send(reply) {
                    return;
                }
            }
        })
    }

    /// Answers each request with 200 and this text.
    pub(crate) fn saying(text: &str) -> Self {
        let reply = reply(text);
        Self::answering(move |_| reply.clone())
    }

    /// Counts bytes and answers nothing.
    pub(crate) fn counting() -> Self {
        Self::with_seen(|_, mut peer, seen| {
            loop {
                let byte = peer.take(1);
                if byte.is_empty() {
                    return;
                }
                seen.bytes.fetch_add(1, Ordering::SeqCst);
            }
        })
    }

    /// Answers the first request of each connection with these bytes and keeps it open.
    pub(crate) fn replying(bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref().to_vec();
        Self::scripted(move |_, mut peer| {
            if peer.request().is_some() {
                peer.try_send(&bytes);
                peer.end();
            }
        })
    }

    fn with_seen(script: impl Fn(usize, Peer, &Seen) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (seen, script) = (Arc::<Seen>::default(), Arc::new(script));
        let noted = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let number = noted.connections.fetch_add(1, Ordering::SeqCst);
                let (noted, script) = (Arc::clone(&noted), Arc::clone(&script));
                thread::spawn(move || {
                    let run = AssertUnwindSafe(|| script(number, Peer::over(stream), &noted));
                    if let Err(panic) = catch_unwind(run) {
                        let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
                        noted.complaints.lock().expect("no panic").push(text);
                    }
                });
            }
        });
        Self { address, seen }
    }

    /// Connections accepted so far.
    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// Bytes counted so far.
    pub(crate) fn bytes(&self) -> usize {
        self.seen.bytes.load(Ordering::SeqCst)
    }

    /// Requests that [`Upstream::answering`] has answered so far.
    pub(crate) fn requests(&self) -> Vec<Message> {
        self.seen.requests.lock().expect("no panic").clone()
    }

    /// The only request it has answered.
    #[track_caller]
    pub(crate) fn only_request(&self) -> Message {
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:#?}");
        requests.remove(0)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        let complaints = self.seen.complaints.lock().expect("no panic");
        assert!(
            complaints.is_empty() || thread::panicking(),
            "in the upstream's script: {complaints:?}"
        );
    }
}

/// A 200 with a length.
pub(crate) fn reply(text: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len())
}
