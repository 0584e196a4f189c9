//! One check: a connection of its own, a question, a look at the answer.

use std::fmt;
use std::io;
use std::pin::{Pin, pin};
use std::time::{Duration, Instant};

use policy::cluster::Address;
use policy::freeze;
use policy::health::{self, CheckResult, Failure, HttpAnswer};
use policy::plan::{HealthPlan, HealthProbe};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use wire::field::Fields;
use wire::h1::decode::{BodyDecoder, Part};
use wire::h1::encode::{self, OutboundHead, Persistence};
use wire::h1::framing::BodyLength;
use wire::h1::head::{Limits, Method, RequestHead, ResponseHead, Scan};
use wire::h1::mend;

/// What is read of an answer's body, or of an answer to a check of TCP; what was asked for must be
/// in it.
const BODY_MAX: usize = 64 * 1024;

/// What a check found. Its `Display` is the reason for its result.
#[derive(Debug)]
pub(super) enum Finding {
    /// A connection opened, and no more was asked for.
    Opened,
    /// An answer came; the probe decides by `result`.
    Answered {
        status: u16,
        result: CheckResult,
        /// What would have been good.
        wanted: Vec<u16>,
    },
    /// Bytes came: those that were asked for, or not.
    Received { wanted: bool },
    /// No connection.
    NoConnection(io::Error),
    /// The connection ended before the answer did.
    Ended,
    /// An answer that is no HTTP/1 response.
    Malformed(&'static str),
    /// Not so far within this time.
    Late(Duration),
}

impl Finding {
    /// What it says of the endpoint.
    pub(super) fn result(&self) -> CheckResult {
        match self {
            Self::Opened | Self::Received { wanted: true } => CheckResult::Good,
            Self::Answered { result, .. } => *result,
            Self::Received { wanted: false } | Self::Malformed(_) => CheckResult::Failed(Failure::Answer),
            Self::NoConnection(_) | Self::Ended => CheckResult::Failed(Failure::Network),
            Self::Late(_) => CheckResult::Failed(Failure::Timeout),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opened => out.write_str("it took a connection"),
            Self::Answered { status, wanted, .. } if wanted.contains(status) => match self.result() {
                CheckResult::Good => write!(out, "it answered {status}, as expected"),
                CheckResult::Failed(_) | CheckResult::Refused => {
                    write!(out, "it answered {status} without the body that is expected")
                }
            },
            Self::Answered { status, wanted, .. } => {
                let wanted: Vec<String> = wanted.iter().map(u16::to_string).collect();
                write!(out, "it answered {status}, expected is {}", wanted.join(" or "))
            }
            Self::Received { wanted: true } => out.write_str("it sent the bytes that are expected"),
            Self::Received { wanted: false } => out.write_str("it sent other bytes than are expected"),
            Self::NoConnection(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                out.write_str("it refused the connection")
            }
            Self::NoConnection(error) => write!(out, "no connection: {error}"),
            Self::Ended => out.write_str("the connection ended before the answer did"),
            Self::Malformed(sentence) => write!(out, "its answer is no HTTP/1.1 response: {sentence}"),
            Self::Late(limit) => write!(out, "no answer within {} ms", limit.as_millis()),
        }
    }
}

/// Makes a check of an endpoint, for no longer than `limit`. The connection is closed in any case.
pub(super) async fn make(address: &Address, plan: &HealthPlan, limit: Duration) -> Finding {
    let found = async {
        match address {
            Address::Ip(address) => {
                let mut address = *address;
                address.set_port(plan.port.unwrap_or(address.port()));
                let stream = TcpStream::connect(address).await;
                let stream = stream.and_then(|stream| stream.set_nodelay(true).map(|()| stream));
                let stream = stream.map_err(Finding::NoConnection)?;
                ask(stream, &address.to_string(), &plan.probe).await
            }
            Address::Unix(path) => {
                let stream = UnixStream::connect(path).await.map_err(Finding::NoConnection)?;
                ask(stream, "localhost", &plan.probe).await
            }
        }
    };
    match within(limit, pin!(found)).await {
        Some(Ok(finding) | Err(finding)) => finding,
        None => Finding::Late(plan.timeout),
    }
}

/// Waits for `work` for as long, in which this process has to run: the time is given once more where it was frozen.
async fn within<T>(limit: Duration, mut work: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    for last in [false, true] {
        let due = Instant::now() + limit;
        if let Ok(done) = tokio::time::timeout_at(due.into(), &mut work).await {
            return Some(done);
        }
        if last || due.elapsed() < freeze::NOTICED {
            return None;
        }
    }
    None
}

/// Asks what the probe asks over an open connection. Both sides of the result are findings; the
/// error is one that ends the check early.
async fn ask(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    authority: &str,
    probe: &HealthProbe,
) -> Result<Finding, Finding> {
    match probe {
        HealthProbe::Tcp { send, receive } => ask_tcp(stream, send, receive).await,
        HealthProbe::Http {
            host, path, method, ..
        } => {
            let host = host.as_deref().unwrap_or(authority);
            ask_http(stream, &request(host, path, method), probe).await
        }
    }
}

async fn ask_tcp(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    send: &[u8],
    receive: &[u8],
) -> Result<Finding, Finding> {
    stream.write_all(send).await.map_err(|_| Finding::Ended)?;
    if receive.is_empty() {
        return Ok(Finding::Opened);
    }
    let mut input = Vec::new();
    while input.len() < BODY_MAX {
        let known = input.len().saturating_sub(receive.len() - 1);
        if !read_more(&mut stream, &mut input).await? {
            return Err(Finding::Ended);
        }
        if health::contains(&input[known..], receive) {
            return Ok(Finding::Received { wanted: true });
        }
    }
    Ok(Finding::Received { wanted: false })
}

fn request(host: &str, path: &str, method: &str) -> Vec<u8> {
    let mut head = RequestHead::default();
    head.set_method(method);
    head.set_target(path);
    head.fields.push(b"host", host.as_bytes());
    head.fields.push(b"user-agent", b"evenkeel-health-check");
    head.fields.push(b"accept", b"*/*");
    // Endpoints tend to wait for the body of these unless they are told that there is none.
    let bodied = matches!(
        Method::of(method.as_bytes()),
        Method::Post | Method::Put | Method::Patch
    );
    let outbound = OutboundHead {
        body: if bodied {
            BodyLength::Length(0)
        } else {
            BodyLength::None
        },
        persistence: Persistence::Close,
        ..OutboundHead::default()
    };
    let mut bytes = Vec::new();
    encode::request(&mut bytes, &head, &outbound);
    bytes
}

async fn ask_http(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    request: &[u8],
    probe: &HealthProbe,
) -> Result<Finding, Finding> {
    let HealthProbe::Http {
        method,
        statuses,
        receive,
        ..
    } = probe
    else {
        return Ok(Finding::Opened);
    };
    stream.write_all(request).await.map_err(|_| Finding::Ended)?;
    let (mut input, mut head) = (Vec::new(), ResponseHead::default());
    read_head(&mut stream, &mut input, &mut head).await?;
    let body = if receive.is_empty() {
        Vec::new()
    } else {
        let length = mend::response_body(&mut head, Method::of(method.as_bytes()));
        let length = length.map_err(|error| Finding::Malformed(error.sentence()))?;
        read_body(&mut stream, &mut input, length).await?
    };
    let answer = HttpAnswer {
        status: head.status,
        body: &body,
    };
    Ok(Finding::Answered {
        status: head.status,
        result: health::judge_http(probe, answer),
        wanted: statuses.clone(),
    })
}

/// Reads the head of the final response; `input` keeps what follows it.
async fn read_head(
    stream: &mut (impl AsyncRead + Unpin),
    input: &mut Vec<u8>,
    head: &mut ResponseHead,
) -> Result<(), Finding> {
    let (limits, mut scan) = (Limits::default(), Scan::mending());
    loop {
        match head.read(input, &mut scan, &limits) {
            Ok(Some(length)) => {
                input.drain(..length);
                // Interim responses may come before it (RFC 9110, 15.2), but a 101 is final.
                if head.status >= 200 || head.status == 101 {
                    return Ok(());
                }
            }
            Ok(None) => {
                if !read_more(stream, input).await? {
                    return Err(Finding::Ended);
                }
            }
            Err(error) => return Err(Finding::Malformed(error.sentence())),
        }
    }
}

/// Reads a body to its end, or as much of it as is looked at.
async fn read_body(
    stream: &mut (impl AsyncRead + Unpin),
    input: &mut Vec<u8>,
    length: BodyLength,
) -> Result<Vec<u8>, Finding> {
    let (mut decoder, limits) = (BodyDecoder::new(length), Limits::default());
    let (mut body, mut trailers) = (Vec::new(), Fields::default());
    while body.len() < BODY_MAX {
        let step = decoder.decode(input, &limits, &mut trailers);
        let step = step.map_err(|error| Finding::Malformed(error.sentence()))?;
        match step.part {
            Part::End => return Ok(body),
            Part::Data(range) => body.extend_from_slice(&input[range]),
            Part::NeedMore => {
                input.drain(..step.consumed);
                if !read_more(stream, input).await? {
                    return decoder.finish_at_eof().map(|()| body).map_err(|_| Finding::Ended);
                }
                continue;
            }
        }
        input.drain(..step.consumed);
    }
    body.truncate(BODY_MAX);
    Ok(body)
}

/// Reads what has come; false at the connection's end.
async fn read_more(stream: &mut (impl AsyncRead + Unpin), input: &mut Vec<u8>) -> Result<bool, Finding> {
    input.reserve(READ);
    let count = stream.read_buf(input).await.map_err(|_| Finding::Ended)?;
    Ok(count > 0)
}

/// Most answers to checks are smaller.
const READ: usize = 4096;
