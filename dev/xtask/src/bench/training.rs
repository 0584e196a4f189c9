//! What a program that counts is put through, so that its profile is one of real traffic: the bench's own load,
//! and a few errors.

use std::io::{Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::endpoint::Endpoint;
use super::line::{EVENKEEL, Line};
use super::message::{self, Body};
use super::open::{self, Schedule};
use super::peers::{AccessLog, Peer, Programs, RunningPeer, SetUp};
use super::plan::{Kind, ROUTES, Scenario, Shape};
use super::proc::LOAD_CORE;
use super::rig::{Pace, Rig, unfailed};
use crate::Fallible;
use crate::race::raise_descriptor_limit;

/// One run of the program, from its start to its end.
struct Lesson {
    name: String,
    line: Line,
    drill: Drill,
}

/// What a run consists of.
enum Drill {
    /// Closed-loop load.
    Load(Shape),
    /// Requests now and then, so that the program often sleeps.
    Trickle,
    /// A request that ends in an error, again and again.
    Error { request: Vec<u8>, status: &'static str },
}

/// Takes `evenkeel` through all lessons, of which each ends it well: only then its counters are written.
///
/// # Errors
/// When it does not start, does not end, or does not answer as it should; or when this machine has one core only.
pub(crate) fn train(evenkeel: &Path) -> Fallible<()> {
    raise_descriptor_limit();
    let mut rig = Rig {
        endpoint: Endpoint::start(&[LOAD_CORE], ROUTES)?,
        programs: Programs {
            evenkeel: evenkeel.to_owned(),
            release: evenkeel.to_owned(),
        },
        pace: Pace::FULL,
    };
    let (lessons, last) = (lessons(), without_endpoint());
    let bar = progress_bar(lessons.len() + 1);
    for lesson in &lessons {
        lesson.take(&rig, &bar)?;
    }
    rig.endpoint.end();
    last.take(&rig, &bar)?;
    bar.finish_and_clear();
    Ok(())
}

/// All that need the endpoint.
fn lessons() -> Vec<Lesson> {
    let scenarios = SCENARIOS.iter().flat_map(|scenario| {
        let mut lines = scenario.lines(&[Peer::Evenkeel]);
        // Of the routes, the line with one of them is `small` once more; and without a proxy nobody learns.
        lines
            .retain(|line| line.set_up.is_some() && (*scenario != Scenario::Routes || line.name != EVENKEEL));
        lines.into_iter().map(|line| Lesson::of(*scenario, line))
    });
    let mut lessons: Vec<Lesson> = scenarios.collect();
    let plain = SetUp::plain(Peer::Evenkeel);
    let with_text = Line::plain(SetUp {
        log: AccessLog::Text,
        ..plain
    });
    lessons.push(Lesson {
        name: "text log".to_owned(),
        ..Lesson::of(Scenario::Log, with_text)
    });
    lessons.push(Lesson::error(
        SetUp { routes: 2, ..plain },
        message::get("/nowhere", true),
        "404",
    ));
    lessons.push(Lesson::error(
        plain,
        b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n".into(),
        "400",
    ));
    lessons
}

/// The one that needs it gone.
fn without_endpoint() -> Lesson {
    Lesson::error(
        SetUp::plain(Peer::Evenkeel),
        message::get("/catalogue/item?id=4711", true),
        "503",
    )
}

impl Lesson {
    fn of(scenario: Scenario, line: Line) -> Self {
        let name = if line.name == EVENKEEL {
            scenario.name()
        } else {
            line.name.clone()
        };
        let drill = match scenario.kind() {
            Kind::Cost(shape) | Kind::Syscalls(shape) => Drill::Load(shape),
            Kind::Latency(_) | Kind::Memory | Kind::Rest | Kind::Fairness => Drill::Trickle,
        };
        Self { name, line, drill }
    }

    fn error(set_up: SetUp, request: Vec<u8>, status: &'static str) -> Self {
        Self {
            name: format!("errors: {status}"),
            line: Line::plain(set_up),
            drill: Drill::Error { request, status },
        }
    }

    fn take(&self, rig: &Rig, bar: &ProgressBar) -> Fallible<()> {
        bar.set_message(self.name.clone());
        let mut left = TRIES;
        let peer = loop {
            left -= 1;
            match self.try_once(rig, bar) {
                Ok(peer) => break peer,
                Err(why) if left == 0 => return Err(format!("training, {}: {why}", self.name).into()),
                // Another program had the cores, most likely.
                Err(why) => bar.println(format!("training, {}: {why}; once more", self.name)),
            }
        };
        bar.inc(1);
        peer.end_well()
    }

    fn try_once(&self, rig: &Rig, bar: &ProgressBar) -> Fallible<RunningPeer> {
        match &self.drill {
            Drill::Load(shape) => self.load(rig, *shape),
            Drill::Trickle => self.trickle(rig, bar),
            Drill::Error { request, status } => self.fail(rig, request, status),
        }
    }

    fn load(&self, rig: &Rig, shape: Shape) -> Fallible<RunningPeer> {
        let run = rig.start(shape, &self.line)?;
        sleep(SPAN);
        if run.load.answered() == 0 {
            return Err("no request was answered".into());
        }
        unfailed(run.load)?;
        Ok(run.peer)
    }

    /// At a rate that this machine bears now: what is learned is how often the program sleeps, and no
    /// time is measured. Where even the lowest rate leaves requests unanswered, the others have taught
    /// enough.
    fn trickle(&self, rig: &Rig, bar: &ProgressBar) -> Fallible<RunningPeer> {
        let body = Body::Length(100);
        rig.endpoint.give(body);
        let peer = rig.peer(&self.line)?.ok_or("nobody to train")?;
        let request = message::get("/catalogue/item?id=4711", false);
        for every in TRICKLES {
            let schedule = Schedule {
                every,
                warm_up: Duration::ZERO,
                span: SPAN,
            };
            match open::run(peer.address(), &request, body, schedule) {
                Ok(_) => break,
                Err(why) => bar.println(format!(
                    "training, {}, a request every {} ms: {why}",
                    self.name,
                    every.as_millis()
                )),
            }
        }
        Ok(peer)
    }

    fn fail(&self, rig: &Rig, request: &[u8], status: &str) -> Fallible<RunningPeer> {
        let peer = rig.peer(&self.line)?.ok_or("nobody to train")?;
        let begin = Instant::now();
        while begin.elapsed() < ERRORS_SPAN {
            ask_for(peer.address(), request, status)?;
        }
        Ok(peer)
    }
}

/// Asks on a connection of its own, and wants to be refused with this status.
fn ask_for(to: SocketAddrV4, request: &[u8], status: &str) -> Fallible<()> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(request)?;
    let mut said = Vec::new();
    stream.read_to_end(&mut said)?;
    if said.starts_with(format!("HTTP/1.1 {status} ").as_bytes()) {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&said);
    Err(format!("{:?}, not {status}", said.lines().next().unwrap_or_default()).into())
}

fn progress_bar(lessons: usize) -> ProgressBar {
    let bar = ProgressBar::new(lessons as u64);
    let style = ProgressStyle::with_template("{msg:30} {bar:30} {pos}/{len} lessons, {elapsed}");
    style.map_or_else(|_| bar.clone(), |style| bar.clone().with_style(style))
}

/// What a program that is shipped meets most, in roughly equal parts.
const SCENARIOS: [Scenario; 9] = [
    Scenario::Small,
    Scenario::Body16k,
    Scenario::Post,
    Scenario::Churn,
    Scenario::Log,
    Scenario::Retry,
    Scenario::Body1m,
    Scenario::Routes,
    Scenario::Latency,
];
/// Of each lesson: some ten thousand requests, which no further ones would change.
const SPAN: Duration = Duration::from_secs(3);
/// Errors are counted so that they are not taken for code that never runs, not so that they are fast.
const ERRORS_SPAN: Duration = Duration::from_millis(500);
/// 500 requests a second, or as many as a busy machine bears.
const TRICKLES: [Duration; 4] = [
    Duration::from_millis(2),
    Duration::from_millis(5),
    Duration::from_millis(20),
    Duration::from_millis(100),
];
/// A lesson that fails is taken so often.
const TRIES: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lesson_runs_one_worker_of_ours_under_a_name_of_its_own() {
        let mut lessons = lessons();
        lessons.push(without_endpoint());
        for lesson in &lessons {
            let set_up = lesson.line.set_up.map(|set_up| (set_up.peer, set_up.workers));
            assert_eq!(set_up, Some((Peer::Evenkeel, 1)), "{}", lesson.name);
        }
        let mut names: Vec<&str> = lessons.iter().map(|lesson| lesson.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), lessons.len(), "{names:?}");
    }

    #[test]
    fn a_trickle_gets_slower_until_a_busy_machine_bears_it() {
        assert!(TRICKLES.is_sorted() && TRICKLES[3] >= TRICKLES[0] * 10);
    }

    #[test]
    fn an_answer_of_another_status_is_told() -> Fallible<()> {
        let endpoint = Endpoint::start(&[LOAD_CORE], 0)?;
        let ask = |status| ask_for(endpoint.address(), &message::get("/", true), status);
        ask("200")?;
        let why = ask("503").expect_err("it is 200").to_string();
        assert_eq!(why, "\"HTTP/1.1 200 OK\", not 503");
        Ok(())
    }
}
