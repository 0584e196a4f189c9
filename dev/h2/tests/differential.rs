//! The codec against the `h2` crate, in both roles: what one sends the other reads as it was meant.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method as HttpMethod, Request, Response, Uri};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use wire::field::Fields;
use wire::h2::hpack::Indexing;
use wire::h2::{Config, Connection, Event, Scratch, StreamId};
use wire::message::{RequestHead, ResponseHead, Scheme, Size};

/// A message as both are to understand it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Message {
    fields: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    trailers: Vec<(String, Vec<u8>)>,
}

type Listed = Vec<(String, Vec<u8>)>;

fn fields() -> impl Strategy<Value = Listed> {
    let name = prop_oneof![
        "x-[a-z]{1,12}",
        Just("accept".to_owned()),
        Just("user-agent".to_owned()),
        Just("server".to_owned())
    ];
    let value = prop_oneof![
        "[!-~]([ -~]{0,30}[!-~])?".prop_map(String::into_bytes),
        Just(Vec::new()),
        Just(vec![b'v'; 3000]),
        Just(vec![0xe9, b' ', 0xff]),
    ];
    prop::collection::vec((name, value), 0..9).prop_map(sorted)
}

fn messages() -> impl Strategy<Value = Vec<Message>> {
    let body = prop_oneof![Just(0_usize), 1..100_usize, 60_000..200_000_usize];
    let trailers = prop_oneof![3 => Just(Vec::new()), 1 => fields()];
    let message = (fields(), body, trailers).prop_map(|(fields, len, trailers)| Message {
        fields,
        body: (0..len).map(|at| at as u8).collect(),
        trailers,
    });
    prop::collection::vec(message, 1..5)
}

/// In an order that does not depend on who read them.
fn sorted(mut fields: Listed) -> Listed {
    fields.sort();
    fields
}

fn of_map(map: &HeaderMap) -> Listed {
    sorted(
        map.iter()
            .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
            .collect(),
    )
}

fn of_fields(fields: &Fields) -> Listed {
    let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    sorted(
        fields
            .iter()
            .map(|(_, name, value)| (text(name), value.to_vec()))
            .collect(),
    )
}

fn map_of(fields: &Listed) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
        map.append(name, HeaderValue::from_bytes(value).expect("a value"));
    }
    map
}

fn push_all(to: &mut Fields, fields: &Listed) {
    fields
        .iter()
        .for_each(|(name, value)| to.push(name.as_bytes(), value));
}

/// Our end, and one message on its way in each direction.
struct Ours {
    connection: Connection,
    scratch: Scratch,
    io: DuplexStream,
    out: Vec<u8>,
    input: Vec<u8>,
    came: Message,
    ended: bool,
    stream: StreamId,
}

impl Ours {
    fn new(io: DuplexStream, make: fn(Config, &mut Vec<u8>) -> Connection, config: Config) -> Self {
        let mut out = Vec::new();
        Self {
            connection: make(config, &mut out),
            scratch: Scratch::default(),
            io,
            out,
            input: Vec::new(),
            came: Message::default(),
            ended: false,
            stream: StreamId::default(),
        }
    }

    /// Sends what there is, and takes in what comes; whether the connection goes on.
    async fn turn(&mut self) -> bool {
        self.io.write_all(&self.out).await.expect("the other end reads");
        self.out.clear();
        let mut chunk = [0; 7000];
        let read = self.io.read(&mut chunk).await.expect("the other end writes");
        self.input.extend_from_slice(&chunk[..read]);
        let mut taken = 0;
        loop {
            let rest = &self.input[taken..];
            let step = self
                .connection
                .next(rest, &mut self.scratch, &mut self.out)
                .expect("no violation");
            match step.event {
                Some(Event::Request { stream, end }) => {
                    (self.stream, self.ended) = (stream, end);
                    self.came = Message {
                        fields: of_fields(&self.scratch.request.fields),
                        ..Message::default()
                    };
                }
                Some(Event::Response { end, .. }) => {
                    self.ended = end;
                    self.came = Message {
                        fields: of_fields(&self.scratch.response.fields),
                        ..Message::default()
                    };
                }
                Some(Event::Data { stream, data, end }) => {
                    self.came.body.extend_from_slice(&rest[data.clone()]);
                    self.connection.consume(stream, data.len(), &mut self.out);
                    self.ended = end;
                }
                Some(Event::Trailers { .. }) => {
                    self.came.trailers = of_fields(&self.scratch.trailers);
                    self.ended = true;
                }
                Some(Event::Broken { why, .. }) => panic!("{why}"),
                _ => {}
            }
            taken += step.taken;
            if step.taken == 0 {
                break;
            }
        }
        self.input.drain(..taken);
        read > 0
    }

    /// Sends a message's content behind its head.
    async fn send_rest(&mut self, message: &Message) {
        let (mut sent, has_trailers) = (0, !message.trailers.is_empty());
        loop {
            let rest = &message.body[sent..];
            let stream = self.stream;
            let len = self
                .connection
                .send_data(stream, rest.len(), !has_trailers, &mut self.out)
                .expect("it is open");
            self.out.extend_from_slice(&rest[..len]);
            sent += len;
            if sent == message.body.len() {
                break;
            }
            if len == 0 {
                assert!(self.turn().await, "credit comes");
            }
        }
        if has_trailers {
            let mut trailers = Fields::default();
            push_all(&mut trailers, &message.trailers);
            self.connection
                .send_trailers(self.stream, &trailers, &mut self.out)
                .expect("it is open");
        }
    }
}

/// Reads a body of the h2 crate to its end.
async fn read_all(body: &mut h2::RecvStream) -> (Vec<u8>, Listed) {
    let mut all = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.expect("data");
        all.extend_from_slice(&data);
        body.flow_control().release_capacity(data.len()).expect("credit");
    }
    let trailers = body.trailers().await.expect("trailers");
    (all, trailers.map(|map| of_map(&map)).unwrap_or_default())
}

fn send_all(stream: &mut h2::SendStream<Bytes>, message: &Message) {
    let has_trailers = !message.trailers.is_empty();
    stream
        .send_data(Bytes::from(message.body.clone()), !has_trailers)
        .expect("it is open");
    if has_trailers {
        stream
            .send_trailers(map_of(&message.trailers))
            .expect("it is open");
    }
}

fn run<F: Future<Output = ()>>(future: F) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    runtime.block_on(future);
}

/// Our client asks the crate's server, which sends each message back.
async fn our_client(messages: Vec<Message>, config: Config) {
    let (io, far) = duplex(20_000);
    tokio::spawn(async move {
        let mut server = h2::server::handshake(far).await.expect("a handshake");
        while let Some(accepted) = server.accept().await {
            let Ok((request, mut respond)) = accepted else {
                return;
            };
            assert_eq!(
                (request.method().as_str(), request.uri().to_string()),
                ("PUT", "http://a:1/p?q".to_owned())
            );
            tokio::spawn(async move {
                let (head, mut body) = request.into_parts();
                let (body, trailers) = read_all(&mut body).await;
                let mut response = Response::new(());
                *response.headers_mut() = head.headers;
                let mut stream = respond.send_response(response, false).expect("it is open");
                send_all(
                    &mut stream,
                    &Message {
                        fields: Vec::new(),
                        body,
                        trailers,
                    },
                );
            });
        }
    });
    let mut ours = Ours::new(io, Connection::client, config);
    for message in &messages {
        let mut head = RequestHead::default();
        head.set_target("PUT", "a:1", "/p?q", "");
        head.scheme = Some(Scheme::Http);
        head.size = Size::Unknown;
        push_all(&mut head.fields, &message.fields);
        let sent = ours
            .connection
            .send_request(&head, false, &mut ours.out)
            .expect("there is room");
        (ours.stream, ours.ended) = (sent.stream, false);
        ours.send_rest(message).await;
        while !ours.ended {
            assert!(ours.turn().await, "a response comes");
        }
        assert_eq!(&ours.came, message);
        ours.connection.release(sent.stream, &mut ours.out);
    }
}

/// The crate's client asks our server, which sends each message back.
async fn our_server(messages: Vec<Message>, config: Config) {
    let (far, io) = duplex(20_000);
    tokio::spawn(async move {
        let mut ours = Ours::new(io, Connection::server, config);
        loop {
            while !std::mem::take(&mut ours.ended) {
                if !ours.turn().await {
                    return;
                }
            }
            let request = &ours.scratch.request;
            assert_eq!(
                (request.method_text(), request.authority(), request.path()),
                ("PUT", "a:1", "/p?q")
            );
            let mut head = ResponseHead::default();
            head.start(200);
            head.size = Size::Unknown;
            let message = std::mem::take(&mut ours.came);
            push_all(&mut head.fields, &message.fields);
            ours.connection
                .send_response(ours.stream, &head, false, &mut ours.out)
                .expect("it is open");
            ours.send_rest(&message).await;
            ours.connection.release(ours.stream, &mut ours.out);
        }
    });
    let (mut client, connection) = h2::client::handshake(far).await.expect("a handshake");
    tokio::spawn(async move {
        let _ = connection.await;
    });
    for message in &messages {
        let mut request = Request::new(());
        *request.method_mut() = HttpMethod::PUT;
        *request.uri_mut() = Uri::from_static("http://a:1/p?q");
        *request.headers_mut() = map_of(&message.fields);
        client = client.ready().await.expect("it is open");
        let (response, mut stream) = client.send_request(request, false).expect("there is room");
        send_all(&mut stream, message);
        let (head, mut body) = response.await.expect("a response").into_parts();
        let (body, trailers) = read_all(&mut body).await;
        let came = Message {
            fields: of_map(&head.headers),
            body,
            trailers,
        };
        assert_eq!(&came, message);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_our_client_says_the_crates_server_hears_and_the_other_way_round(
        messages in messages(), dynamic in any::<bool>()
    ) {
        let indexing = if dynamic { Indexing::Dynamic } else { Indexing::Static };
        run(our_client(messages, Config { indexing, trailer_bytes: 60 * 1024, ..Config::default() }));
    }

    #[test]
    fn what_the_crates_client_says_our_server_hears_and_the_other_way_round(
        messages in messages(), dynamic in any::<bool>()
    ) {
        let indexing = if dynamic { Indexing::Dynamic } else { Indexing::Static };
        run(our_server(messages, Config { indexing, trailer_bytes: 60 * 1024, ..Config::default() }));
    }
}
