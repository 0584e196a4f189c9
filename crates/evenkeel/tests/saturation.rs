//! An endpoint that is offered a multiple of what it bears, and no limit that anybody configured.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Gateway, Upstream, free_port, reply, yaml};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// A server whose workers take requests from one queue, each for `service`.
fn server(workers: usize, service: Duration) -> Upstream {
    let (give, take) = channel::<Sender<()>>();
    let take = Arc::new(Mutex::new(take));
    for _ in 0..workers {
        let take: Arc<Mutex<Receiver<Sender<()>>>> = take.clone();
        thread::spawn(move || {
            loop {
                let Ok(asker) = take.lock().expect("no panic").recv() else {
                    return;
                };
                thread::sleep(service);
                // Whoever asked may have gone.
                let _ = asker.send(());
            }
        });
    }
    let give = Mutex::new(give);
    Upstream::scripted(move |_, mut peer| {
        while peer.request().is_some() {
            let (done, wait) = channel();
            give.lock().expect("no panic").send(done).expect("workers");
            wait.recv().expect("a worker");
            if !peer.try_send(reply("ok")) {
                return;
            }
        }
    })
}

/// When each request was sent, its status (0 if nothing came), and how long it took.
type Shots = Vec<(Instant, u16, Duration)>;

/// Sends requests at an even rate, whether or not others are answered.
fn offer(gateway: &Gateway, per_second: u32, span: Duration) -> Shots {
    let begun = Instant::now();
    let count = per_second * span.as_millis() as u32 / 1000;
    thread::scope(|scope| {
        let mut asked = Vec::new();
        for number in 0..count {
            let due = begun + Duration::from_secs(1) * number / per_second;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let ask = move || {
                let mut client = gateway.connect();
                client.send(GET);
                let status = client.try_response_to("GET").map_or(0, |head| head.status());
                (due, status, due.elapsed())
            };
            asked.push(scope.spawn(ask));
        }
        asked
            .into_iter()
            .map(|one| one.join().expect("a client"))
            .collect()
    })
}

#[test]
#[ignore = "asks for a machine of its own: cargo test -p evenkeel --test blackbox saturation -- --ignored"]
fn an_endpoint_at_three_times_its_capacity_goes_on_answering_in_time() {
    let upstream = server(8, Duration::from_millis(100));
    let guard = "  saturationGuard: true\n  queue: {maxWait: 300ms}\n";
    let gateway = Gateway::configured(&yaml::simple(free_port(), upstream.address, guard));
    let begun = Instant::now();
    let shots = offer(&gateway, 240, Duration::from_secs(8));
    let (from, until) = (begun + Duration::from_secs(4), begun + Duration::from_secs(8));
    let late_half = shots.iter().filter(|(sent, ..)| (from..until).contains(sent));
    let useful: Vec<Duration> = late_half
        .filter(|&&(_, status, took)| status == 200 && took < Duration::from_secs(1))
        .map(|&(.., took)| took)
        .collect();
    let late = shots
        .iter()
        .filter(|(_, _, took)| *took >= Duration::from_secs(2))
        .count();
    // It bears 320 in four seconds.
    assert!(
        useful.len() >= 160,
        "{} answers in time, {late} late",
        useful.len()
    );
}

/// How long the answer to a request takes that comes so long after the first, as the nth.
type Takes = fn(Duration, usize) -> Duration;

/// An endpoint without a queue, that is slow in one way or another.
fn slow(takes: Takes) -> Upstream {
    let (begun, count) = (Instant::now(), AtomicUsize::new(0));
    Upstream::scripted(move |_, mut peer| {
        while peer.request().is_some() {
            thread::sleep(takes(begun.elapsed(), count.fetch_add(1, Ordering::Relaxed)));
            if !peer.try_send(reply("ok")) {
                return;
            }
        }
    })
}

#[test]
fn what_is_slow_without_a_queue_is_given_all_that_comes() {
    let slow_ones: [(&str, Takes); 5] = [
        ("two seconds each", |_, _| Duration::from_secs(2)),
        ("every other one two seconds", |_, nth| {
            Duration::from_millis([10, 2_000][nth % 2])
        }),
        ("long polls among quick ones", |_, nth| {
            Duration::from_millis([20, 20, 20, 4_000][nth % 4])
        }),
        ("slower and slower", |since, _| {
            Duration::from_millis(50) + since / 8
        }),
        ("cold at first", |since, _| {
            Duration::from_secs(1).saturating_sub(since / 3) + Duration::from_millis(20)
        }),
    ];
    thread::scope(|scope| {
        for (name, takes) in slow_ones {
            scope.spawn(move || {
                let upstream = slow(takes);
                let guard = "  saturationGuard: true\n";
                let gateway = Gateway::configured(&yaml::simple(free_port(), upstream.address, guard));
                let shots = offer(&gateway, 50, Duration::from_secs(6));
                let refused = shots.iter().filter(|(_, status, _)| *status != 200).count();
                assert_eq!(refused, 0, "{name}");
            });
        }
    });
}
