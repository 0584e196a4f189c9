use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use policy::h2_budget::{Behaviour, H2Budget};
use policy::time::Moment;
use wire::field::Fields;
use wire::h2::{Config, Connection, Cost, ErrorCode, Event, Scratch, StreamId, Violation};
use wire::message::{Method, ResponseHead, Size};

/// Accepts connections for ever, each in a thread.
///
/// # Errors
/// The listener's.
pub fn serve_all(listener: &TcpListener, config: Config) -> io::Result<()> {
    loop {
        let (socket, peer) = listener.accept()?;
        thread::spawn(move || {
            if let Err(why) = serve(&socket, config) {
                eprintln!("{peer}: {why}");
            }
        });
    }
}

/// What is answered on a stream.
#[derive(Debug)]
struct Answer {
    /// Content that is yet to be sent.
    left: Left,
    /// Whether it was all said.
    whole: bool,
    /// Trailers follow.
    trailers: bool,
    request_ended: bool,
}

#[derive(Debug)]
enum Left {
    /// So many bytes of no meaning.
    Bytes(usize),
    /// What the client sent.
    Echo(Vec<u8>),
}

/// Serves one connection until either side ends it.
///
/// # Errors
/// The socket's, or what the peer did.
pub fn serve(mut socket: &TcpStream, config: Config) -> io::Result<()> {
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(Duration::from_secs(60)))?;
    let begun = Instant::now();
    let (mut out, mut scratch) = (Vec::new(), Scratch::default());
    let mut served = Served {
        connection: Connection::server(config, &mut out),
        answers: BTreeMap::new(),
        budget: H2Budget::new(Moment::default()),
        head: ResponseHead::default(),
    };
    let (mut input, mut held) = (vec![0; 64 * 1024], 0);
    loop {
        socket.write_all(&out)?;
        out.clear();
        let read = socket.read(&mut input[held..])?;
        if read == 0 {
            return Ok(());
        }
        held += read;
        let now = Moment::from_nanos(begun.elapsed().as_nanos() as u64);
        let end = served.take_in(&input[..held], now, &mut scratch, &mut out);
        match end {
            Ok(taken) => {
                input.copy_within(taken..held, 0);
                held -= taken;
            }
            Err(why) => {
                socket.write_all(&out)?;
                // What is still on its way would make the kernel answer with a reset, before GOAWAY is read.
                socket.shutdown(std::net::Shutdown::Write)?;
                socket.set_read_timeout(Some(Duration::from_millis(200)))?;
                while socket.read(&mut input).is_ok_and(|read| read > 0) {}
                return Err(io::Error::other(why));
            }
        }
    }
}

struct Served {
    connection: Connection,
    answers: BTreeMap<StreamId, Answer>,
    budget: H2Budget,
    head: ResponseHead,
}

impl Served {
    /// Acts on what came; returns how much of it is done with.
    fn take_in(
        &mut self,
        input: &[u8],
        now: Moment,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<usize, String> {
        let mut taken = 0;
        loop {
            let rest = &input[taken..];
            let step = self
                .connection
                .next(rest, scratch, out)
                .map_err(|violation: Violation| violation.to_string())?;
            if let Some(cost) = step.cost
                && let Err(exhausted) = self.budget.on_behaviour(behaviour(cost), now)
            {
                self.connection.close(ErrorCode::ENHANCE_YOUR_CALM, out);
                return Err(exhausted.most.sentence().to_owned());
            }
            if let Some(event) = step.event {
                self.act(event, rest, scratch, out);
            }
            if step.taken == 0 {
                return Ok(taken);
            }
            taken += step.taken;
        }
    }

    fn act(&mut self, event: Event, input: &[u8], scratch: &mut Scratch, out: &mut Vec<u8>) {
        match event {
            Event::Request { stream, end } => self.request(stream, end, scratch, out),
            Event::Data { stream, data, end } => {
                self.connection.consume(stream, data.len(), out);
                if let Some(answer) = self.answers.get_mut(&stream) {
                    if let Left::Echo(echo) = &mut answer.left {
                        echo.extend_from_slice(&input[data]);
                    }
                    answer.request_ended |= end;
                }
                self.go_on(stream, out);
            }
            Event::Trailers { stream } => {
                if let Some(answer) = self.answers.get_mut(&stream) {
                    answer.request_ended = true;
                }
                self.go_on(stream, out);
            }
            Event::WindowOpened { .. } | Event::Settings => {
                let streams: Vec<_> = self.answers.keys().copied().collect();
                for stream in streams {
                    self.go_on(stream, out);
                }
            }
            Event::Broken { stream, why } if why.is_limit() => {
                self.head.start(why.status());
                // The stream was told of by this event alone, so nothing else can have been sent.
                let sent = self.connection.send_response(stream, &self.head, true, out);
                debug_assert!(sent.is_ok(), "{sent:?}");
                self.connection.release(stream, out);
            }
            Event::Broken { stream, .. } | Event::Reset { stream, .. } => {
                self.answers.remove(&stream);
                self.connection.release(stream, out);
            }
            Event::Interim { .. }
            | Event::Response { .. }
            | Event::SettingsAcknowledged
            | Event::Pong { .. }
            | Event::Drained
            | Event::GoAway { .. }
            | Event::Priority { .. } => {}
        }
    }

    fn request(&mut self, stream: StreamId, end: bool, scratch: &Scratch, out: &mut Vec<u8>) {
        let request = &scratch.request;
        let path = request.path();
        let left = match path.strip_prefix("/bytes/").and_then(|count| count.parse().ok()) {
            Some(count) => Left::Bytes(count),
            None if end => Left::Bytes(13),
            None => Left::Echo(Vec::new()),
        };
        self.head.start(200);
        self.head.fields.push(b"server", b"h2lab");
        self.head.size = match left {
            _ if request.method == Method::Head => Size::None,
            Left::Bytes(count) => Size::Known(count as u64),
            Left::Echo(_) => Size::Unknown,
        };
        let only_head = request.method == Method::Head;
        let sent = self
            .connection
            .send_response(stream, &self.head, only_head && end, out);
        debug_assert!(sent.is_ok(), "{sent:?}");
        let answer = Answer {
            left: if only_head { Left::Bytes(0) } else { left },
            whole: only_head && end,
            trailers: path == "/trailers",
            request_ended: end,
        };
        self.answers.insert(stream, answer);
        self.go_on(stream, out);
    }

    /// Sends what can be sent of an answer, and forgets it once all is.
    fn go_on(&mut self, stream: StreamId, out: &mut Vec<u8>) {
        let Some(answer) = self.answers.get_mut(&stream) else {
            return;
        };
        while !answer.whole {
            let (available, ends) = match &answer.left {
                Left::Bytes(count) => (*count, true),
                Left::Echo(echo) => (echo.len(), answer.request_ended),
            };
            let end = ends && !answer.trailers;
            let Ok(len) = self.connection.send_data(stream, available, end, out) else {
                break;
            };
            match &mut answer.left {
                Left::Bytes(count) => {
                    out.resize(out.len() + len, b'x');
                    *count -= len;
                }
                Left::Echo(echo) => out.extend(echo.drain(..len)),
            }
            answer.whole = end && len == available;
            if len == available && ends && answer.trailers {
                let mut trailers = Fields::default();
                trailers.push(b"x-checksum", b"none");
                answer.whole = self.connection.send_trailers(stream, &trailers, out).is_ok();
            }
            if len == 0 || len == available {
                break;
            }
        }
        if answer.whole && answer.request_ended {
            self.answers.remove(&stream);
            self.connection.release(stream, out);
            self.budget.on_finished_request();
        }
    }
}

/// What a cost of the codec is to the budget.
#[must_use]
pub const fn behaviour(cost: Cost) -> Behaviour {
    match cost {
        Cost::PeerReset => Behaviour::PeerReset,
        Cost::OwnReset => Behaviour::OwnReset,
        Cost::Ping => Behaviour::Ping,
        Cost::Settings => Behaviour::Settings,
        Cost::Priority => Behaviour::Priority,
        Cost::SmallWindowUpdate => Behaviour::SmallWindowUpdate,
        Cost::EmptyData => Behaviour::EmptyData,
        Cost::SmallData => Behaviour::SmallData,
        Cost::Continuation => Behaviour::Continuation,
        Cost::Late => Behaviour::Late,
        Cost::Unknown => Behaviour::Unknown,
    }
}
