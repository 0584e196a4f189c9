use std::cell::Cell;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use config::model::LogFormat;
use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;
use crate::telemetry::stats::WorkerStats;

/// 2016-04-15T20:17:00.310Z.
const WALL: u64 = 1_460_751_420_310_000_000;

/// What a log would have in its file.
#[derive(Clone, Debug, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A worker's log, a clock that stands still until it is told otherwise, and the page.
struct Desk {
    writer: LogWriter,
    log: Rc<WorkerLog>,
    stats: Arc<WorkerStats>,
    time: Rc<Cell<Moment>>,
    page: Page,
}

impl Desk {
    fn new(format: LogFormat) -> Self {
        let (page, stats, time) = (Page::default(), Arc::default(), Rc::new(Cell::new(at(0))));
        let out = page.clone();
        let writer = LogWriter::write_to(
            move || Ok(Box::new(out.clone())),
            format,
            std::sync::Arc::default(),
        )
        .unwrap();
        let clock = Rc::clone(&time);
        let log = WorkerLog::new(writer.handle(), Arc::clone(&stats), move || clock.get(), || ());
        Self {
            writer,
            log,
            stats,
            time,
            page,
        }
    }

    fn open(&self) -> Record {
        Record::open(&self.log, self.time.get(), WALL)
    }

    /// Everything that was written.
    fn read(self) -> String {
        self.log.flush();
        self.writer.finish();
        String::from_utf8(self.page.0.lock().unwrap().clone()).unwrap()
    }
}

fn at(millis: u64) -> Moment {
    Moment::from_millis(millis)
}

/// The line of one record.
fn line(format: LogFormat, tell: impl FnOnce(&mut Record)) -> String {
    let desk = Desk::new(format);
    tell(&mut desk.open());
    desk.read()
}

fn flags(list: &[Flag]) -> FlagSet {
    list.iter().copied().fold(FlagSet::NONE, FlagSet::with)
}

fn usual(record: &mut Record) {
    record.request(
        "POST",
        "/api/v1/locations?page=2",
        Some(Version::Http11),
        "locations.example",
    );
    record.user_agent("curl/8.5.0");
    record.x_forwarded_for("10.0.35.28");
    record.request_id("cc21d9b0-cf5c-432b-8c7e-98aeb7988cd2");
    record.route("httproute/default/locations/rule/0");
    record.cluster("default/locations");
    record.upstream("10.0.2.1:80");
    record.downstream(([10, 0, 35, 28], 40_001).into(), ([10, 0, 0, 1], 8080).into());
    record.status(204);
    record.details("via_upstream");
    record.bytes_received(154);
    record.bytes_sent(0);
    record.upstream_service_time(Duration::from_micros(99_900));
    record.attempts(1);
    record.connection(ConnectionFacts {
        idle_age: Duration::from_millis(1250),
        age: Duration::from_secs(61),
        uses: 17,
        limit: Some(Duration::from_millis(4900)),
    });
    record.finish(at(226));
}

fn saved(record: &mut Record) {
    usual(record);
    record.attempts(2);
    record.saved(Some(SavedBy::Proof));
    record.evidence(Evidence {
        grade: Some(Grade::Unreceived),
        closed_by: Some(ClosedBy::UpstreamFin),
        acknowledged: Some(0),
        written: Some(512),
    });
    record.sentence("the backend closed after 5.001 s idle, as 41 of 41 closes before; sent again");
}

#[test]
fn a_log_that_is_off_keeps_no_text_and_counts_as_ever() {
    let off = config::model::AccessLog {
        format: LogFormat::Text,
        sink: config::model::LogSink::Off,
    };
    let (writer, stats) = (LogWriter::start(&off).unwrap(), Arc::<WorkerStats>::default());
    let log = WorkerLog::new(writer.handle(), Arc::clone(&stats), || at(226), || ());
    let mut record = Record::open(&log, at(0), WALL);
    usual(&mut record);
    assert_eq!(record.facts.texts.len(), 0);
    drop(record);
    let mut late = Record::open(&log, at(0), WALL);
    late.details("request_header_timeout");
    drop(late);
    assert_eq!((stats.rq_total.get(), stats.rq_completed.get()), (2, 1));
    assert_eq!(stats.rq_header_timeout.get(), 1);
    assert_eq!(stats.rq_rx_reset.get(), 1, "the second one was abandoned");
}

#[test]
fn the_text_line_is_envoys() {
    assert_snapshot!(line(LogFormat::Text, usual), @r#"[2016-04-15T20:17:00.310Z] "POST /api/v1/locations?page=2 HTTP/1.1" 204 - 154 0 226 99 "10.0.35.28" "curl/8.5.0" "cc21d9b0-cf5c-432b-8c7e-98aeb7988cd2" "locations.example" "10.0.2.1:80""#);
}

#[test]
fn a_saved_request_has_its_sentence_at_the_end_of_the_text_line() {
    assert_snapshot!(line(LogFormat::Text, saved), @r#"[2016-04-15T20:17:00.310Z] "POST /api/v1/locations?page=2 HTTP/1.1" 204 - 154 0 226 99 "10.0.35.28" "curl/8.5.0" "cc21d9b0-cf5c-432b-8c7e-98aeb7988cd2" "locations.example" "10.0.2.1:80" "the backend closed after 5.001 s idle, as 41 of 41 closes before; sent again" attempts=2"#);
}

#[test]
fn what_is_not_known_is_a_dash_in_the_text_line() {
    let bad_head = |record: &mut Record| {
        record.status(400);
        record.flags(flags(&[Flag::DPE]));
        record.finish(at(0));
    };
    assert_snapshot!(line(LogFormat::Text, bad_head), @r#"[2016-04-15T20:17:00.310Z] "- - -" 400 DPE 0 0 0 - "-" "-" "-" "-" "-""#);
}

#[test]
fn flags_add_up() {
    let both = |record: &mut Record| {
        record.status(503);
        record.flags(flags(&[Flag::UC]));
        record.flags(flags(&[Flag::URX]));
        record.finish(at(0));
    };
    let text = line(LogFormat::Text, both);
    let field = text.split(' ').nth(5).unwrap();
    let mut names: Vec<_> = field.split(',').collect();
    names.sort_unstable();
    assert_eq!(names, ["UC", "URX"], "{text}");
}

#[test]
fn the_json_line_has_every_fact_under_its_name() {
    assert_snapshot!(line(LogFormat::Json, saved).replace(",\"", ",\n\""), @r#"
    {"start_time":"2016-04-15T20:17:00.310Z",
    "method":"POST",
    "path":"/api/v1/locations?page=2",
    "protocol":"HTTP/1.1",
    "authority":"locations.example",
    "http_response_status_code":204,
    "envoy_response_flags":"-",
    "envoy_response_code_details":"via_upstream",
    "bytes_received":154,
    "bytes_sent":0,
    "http_request_duration_ms":226,
    "upstream_service_time_ms":99,
    "x_forwarded_for":"10.0.35.28",
    "user_agent":"curl/8.5.0",
    "request_id":"cc21d9b0-cf5c-432b-8c7e-98aeb7988cd2",
    "upstream_host":"10.0.2.1:80",
    "upstream_cluster":"default/locations",
    "route_name":"httproute/default/locations/rule/0",
    "downstream_remote_address":"10.0.35.28:40001",
    "downstream_local_address":"10.0.0.1:8080",
    "upstream_request_attempt_count":2,
    "evenkeel_grade":"unreceived",
    "evenkeel_idle_age_ms":1250,
    "evenkeel_connection_age_ms":61000,
    "evenkeel_uses":17,
    "evenkeel_reuse_limit_ms":4900,
    "evenkeel_closed_by":"upstream_fin",
    "evenkeel_bytes_acknowledged":0,
    "evenkeel_bytes_written":512,
    "evenkeel_saved_by":"proof",
    "evenkeel_sentence":"the backend closed after 5.001 s idle, as 41 of 41 closes before; sent again"}
    "#);
}

#[test]
fn the_json_line_says_null_for_envoys_words_and_leaves_ours_out_when_nothing_is_known() {
    assert_snapshot!(line(LogFormat::Json, |record| record.finish(at(3))), @r#"{"start_time":"2016-04-15T20:17:00.310Z","method":null,"path":null,"protocol":null,"authority":null,"http_response_status_code":0,"envoy_response_flags":"-","envoy_response_code_details":null,"bytes_received":0,"bytes_sent":0,"http_request_duration_ms":3,"upstream_service_time_ms":null,"x_forwarded_for":null,"user_agent":null,"request_id":null,"upstream_host":null,"upstream_cluster":null,"route_name":null,"downstream_remote_address":null,"downstream_local_address":null,"upstream_request_attempt_count":0}"#);
}

#[test]
fn no_client_can_break_or_forge_a_line() {
    let forged = |record: &mut Record| {
        record.request(
            "GET / HTTP/1.1\" 200",
            "/a b\\",
            Some(Version::Http11),
            b"caf\xc3\xa9\xff",
        );
        record.user_agent("x\" \"y\"\n[2016-04-15T20:17:00.310Z] \x1b[31m\u{85}\u{2028}");
        record.finish(at(0));
    };
    assert_snapshot!(line(LogFormat::Text, forged), @r#"[2016-04-15T20:17:00.310Z] "GET\x20/\x20HTTP/1.1\x22\x20200 /a\x20b\x5c HTTP/1.1" 0 - 0 0 0 - "-" "x\x22 \x22y\x22\x0a[2016-04-15T20:17:00.310Z] \x1b[31m\xc2\x85\xe2\x80\xa8" "-" "caf\xc3\xa9\xff" "-""#);
    let json = line(LogFormat::Json, forged);
    let read: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        read["user_agent"],
        "x\" \"y\"\n[2016-04-15T20:17:00.310Z] \x1b[31m\u{85}\u{2028}"
    );
    assert_eq!(read["authority"], "caf\u{e9}\\xff");
    assert_eq!(json.matches(['\u{85}', '\u{2028}', '\x1b']).count(), 0, "{json}");
}

#[test]
fn a_record_that_nobody_finished_says_that_the_client_left_and_when() {
    let desk = Desk::new(LogFormat::Json);
    let record = desk.open();
    desk.time.set(at(1234));
    drop(record);
    let stats = Arc::clone(&desk.stats);
    let read: serde_json::Value = serde_json::from_str(&desk.read()).unwrap();
    assert_eq!(read["http_response_status_code"], 0);
    assert_eq!(read["envoy_response_flags"], "DC");
    assert_eq!(
        read["envoy_response_code_details"],
        "downstream_remote_disconnect"
    );
    assert_eq!(read["http_request_duration_ms"], 1234);
    assert_eq!((stats.rq_rx_reset.get(), stats.rq_completed.get()), (1, 0));
}

#[test]
fn a_panic_of_ours_is_not_blamed_on_the_client() {
    let desk = Desk::new(LogFormat::Json);
    let record = desk.open();
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        let _record = record;
        std::panic::resume_unwind(Box::new("a bug"));
    }));
    assert!(caught.is_err());
    let read: serde_json::Value = serde_json::from_str(&desk.read()).unwrap();
    assert_eq!(read["envoy_response_flags"], "LR");
    assert_eq!(read["envoy_response_code_details"], "internal_error");
    assert_eq!(read["evenkeel_closed_by"], "local");
    let sentence = read["evenkeel_sentence"].as_str().unwrap_or_default();
    assert!(
        sentence.starts_with("A bug of evenkeel's ended this exchange."),
        "{read}"
    );
}

#[test]
fn a_panic_inside_a_response_is_told_as_one() {
    let desk = Desk::new(LogFormat::Json);
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut record = desk.open();
        record.status(200);
        record.details("via_upstream");
        std::panic::resume_unwind(Box::new("a bug"));
    }));
    assert!(caught.is_err());
    let read: serde_json::Value = serde_json::from_str(&desk.read()).unwrap();
    assert_eq!(read["http_response_status_code"], 200);
    assert_eq!(read["envoy_response_flags"], "LR");
    assert_eq!(read["envoy_response_code_details"], "internal_error");
}

#[test]
fn an_abandoned_record_keeps_what_was_said_of_its_end() {
    let desk = Desk::new(LogFormat::Text);
    desk.open().status(200);
    desk.open().flags(flags(&[Flag::UT]));
    let text = desk.read();
    let ends: Vec<_> = text
        .lines()
        .map(|line| line.split("\" ").nth(1).unwrap().split(" 0 ").next().unwrap())
        .collect();
    assert_eq!(ends, ["200 -", "0 UT"]);
}

#[test]
fn a_value_that_is_too_long_is_cut_and_says_so() {
    let long = |record: &mut Record| {
        record.user_agent("a".repeat(SHORT_BYTES_MAX + 1));
        record.request_id("b".repeat(SHORT_BYTES_MAX));
        record.finish(at(0));
    };
    let read: serde_json::Value = serde_json::from_str(&line(LogFormat::Json, long)).unwrap();
    let agent = read["user_agent"].as_str().unwrap();
    assert_eq!(agent.len(), SHORT_BYTES_MAX);
    assert!(agent.ends_with("aaa..."));
    assert_eq!(read["request_id"], "b".repeat(SHORT_BYTES_MAX));
}

#[test]
fn a_request_is_counted_when_it_begins_and_when_it_ends() {
    let desk = Desk::new(LogFormat::Text);
    let mut record = desk.open();
    assert_eq!((desk.stats.rq_total.get(), desk.stats.rq_active.get()), (1, 1));
    record.status(503);
    record.finish(at(7));
    drop(record);
    assert_eq!((desk.stats.rq_total.get(), desk.stats.rq_active.get()), (1, 0));
    assert_eq!(
        (desk.stats.rq_completed.get(), desk.stats.rq_class(500).get()),
        (1, 1)
    );
    let totals = crate::telemetry::stats::downstream(&[Arc::clone(&desk.stats)]);
    assert_eq!(totals.rq_time.at_most(Duration::from_millis(7)), 1);
}

#[test]
fn how_a_request_ended_is_counted_by_what_its_line_says() {
    let desk = Desk::new(LogFormat::Text);
    let end = |flag, details| {
        let mut record = desk.open();
        record.flags(flags(&[flag]));
        record.details(details);
        record.finish(at(0));
    };
    end(Flag::DPE, "http1.codec_error");
    end(Flag::SI, "stream_idle_timeout");
    end(Flag::UT, "response_timeout");
    end(Flag::UT, "upstream_per_try_timeout");
    let stats = &desk.stats;
    assert_eq!((stats.rq_rejected.get(), stats.cx_protocol_error.get()), (1, 1));
    assert_eq!(
        (
            stats.rq_idle_timeout.get(),
            stats.rq_timeout.get(),
            stats.rq_header_timeout.get()
        ),
        (1, 1, 0)
    );
    let mut tunnel = desk.open();
    tunnel.status(101);
    assert_eq!(
        (stats.cx_upgrades_total.get(), stats.cx_upgrades_active.get()),
        (1, 1)
    );
    drop(tunnel);
    assert_eq!(
        (stats.cx_upgrades_total.get(), stats.cx_upgrades_active.get()),
        (1, 0)
    );
}

#[test]
fn a_second_record_writes_into_the_first_ones_memory() {
    let desk = Desk::new(LogFormat::Text);
    let address_of_memory = || {
        let mut record = desk.open();
        usual(&mut record);
        record.facts.texts.from(Span::default()).as_ptr()
    };
    // The first one makes it grow.
    address_of_memory();
    let first = address_of_memory();
    assert_eq!(address_of_memory(), first);
}

#[test]
fn every_json_field_is_in_the_manual() {
    let manual = include_str!("../../../../../docs/access-log.md");
    let read: serde_json::Value = serde_json::from_str(&line(LogFormat::Json, saved)).unwrap();
    for name in read.as_object().unwrap().keys() {
        assert!(
            manual.contains(&format!("| `{name}` |")),
            "{name} is not in docs/access-log.md"
        );
    }
}

proptest! {
    #[test]
    fn whatever_a_client_sends_the_text_line_is_one_line_of_fourteen_fields(
        method: Vec<u8>, path: Vec<u8>, agent: Vec<u8>, authority: Vec<u8>,
    ) {
        let text = line(LogFormat::Text, |record| {
            record.request(&method, &path, Some(Version::Http11), &authority);
            record.user_agent(&agent);
            record.finish(at(0));
        });
        let shape = regex::Regex::new(
            r#"^\[[^\]]+\] "[^" ]+ [^" ]+ HTTP/1.1" 0 - 0 0 0 - "-" "[^"]+" "-" "[^"]+" "-"\n$"#,
        ).unwrap();
        prop_assert!(shape.is_match(&text), "{text:?}");
        prop_assert!(text.trim_end_matches('\n').bytes().all(|byte| (b' '..0x7f).contains(&byte)));
    }

    #[test]
    fn whatever_a_client_sends_the_json_line_reads_back_as_it(agent: String, path: Vec<u8>) {
        let json = line(LogFormat::Json, |record| {
            record.user_agent(&agent);
            record.request("GET", &path, Some(Version::Http11), "");
            record.finish(at(0));
        });
        prop_assert_eq!(json.lines().count(), 1);
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(read["user_agent"].as_str().unwrap_or_default(), agent);
        if let Ok(path) = std::str::from_utf8(&path) {
            prop_assert_eq!(read["path"].as_str().unwrap_or_default(), path);
        }
    }
}
