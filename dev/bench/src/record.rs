//! One exchange's record, from its opening to its line, and the measuring of durations.

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use config::model::{AccessLog, LogFormat, LogSink};
use policy::cluster::ConnectionFacts;
use policy::time::Moment;
use proxy::telemetry::record::{LogWriter, Record, WorkerLog};
use proxy::telemetry::stats::Histogram;
use wire::field::Known;
use wire::h1::head::RequestHead;

use crate::{Step, heads};

/// 2016-04-15T20:17:00.310Z.
const WALL_NANOS: u64 = 1_460_751_420_310_000_000;

/// A worker's log; lines of the other formats go to `/dev/null`.
pub(crate) struct Desk {
    log: Rc<WorkerLog>,
    _writer: LogWriter,
}

impl Desk {
    /// A log that is off.
    pub(crate) fn off() -> Self {
        Self::new(LogFormat::Text, LogSink::Off)
    }

    /// A log in this format.
    pub(crate) fn writing(format: LogFormat) -> Self {
        Self::new(format, LogSink::File("/dev/null".into()))
    }

    fn new(format: LogFormat, sink: LogSink) -> Self {
        let writer = LogWriter::start(&AccessLog { format, sink }).expect("/dev/null can be opened");
        Self {
            log: WorkerLog::new(writer.handle(), Arc::default(), || Moment::from_millis(1), || ()),
            _writer: writer,
        }
    }

    /// Opens a record and tells it all that is known of an answered request.
    pub(crate) fn tell(&self, head: &RequestHead, sent: &Sent<'_>) {
        let mut record = Record::open(&self.log, Moment::from_millis(1), WALL_NANOS);
        record.downstream(
            SocketAddr::from((Ipv4Addr::new(10, 0, 35, 28), 40_001)),
            SocketAddr::from((Ipv4Addr::new(10, 0, 0, 1), 8080)),
        );
        record.head(head);
        record.route(sent.route);
        record.cluster("default/shop");
        record.x_forwarded_for(sent.forwarded_for);
        record.request_id(head.fields.get(Known::XRequestId).unwrap_or_default());
        record.upstream(sent.upstream);
        record.connection(ConnectionFacts {
            idle_age: Duration::from_millis(1250),
            age: Duration::from_secs(61),
            uses: 17,
            limit: Some(Duration::from_millis(4900)),
        });
        record.attempts(1);
        record.upstream_service_time(Duration::from_micros(99_900));
        record.status(200);
        record.details("via_upstream");
        record.bytes_received(0);
        record.bytes_sent(100);
        record.finish(Moment::from_millis(100));
    }
}

/// What the record is told of the request as it was sent.
pub(crate) struct Sent<'a> {
    pub(crate) route: &'a str,
    pub(crate) forwarded_for: &'a [u8],
    pub(crate) upstream: &'a [u8],
}

/// A record without a line.
pub(crate) fn off() -> Step {
    step(Desk::off())
}

/// A record and its line of text.
pub(crate) fn text() -> Step {
    step(Desk::writing(LogFormat::Text))
}

/// A record and its line of JSON.
pub(crate) fn json() -> Step {
    step(Desk::writing(LogFormat::Json))
}

fn step(desk: Desk) -> Step {
    let mut head = heads::request();
    head.fields
        .push(b"x-request-id", b"cc21d9b0-cf5c-432b-8c7e-98aeb7988cd2");
    let sent = Sent {
        route: "httproute/default/route-0/rule/0",
        forwarded_for: b"10.0.35.28",
        upstream: b"10.0.2.1:80",
    };
    Box::new(move || desk.tell(black_box(&head), black_box(&sent)))
}

/// A duration is recorded.
pub(crate) fn histogram() -> Step {
    let histogram = Histogram::default();
    Box::new(move || histogram.record(black_box(Duration::from_micros(12_345))))
}
