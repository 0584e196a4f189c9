//! Open-loop load: requests at their times, whether or not earlier ones have been answered. Latency counts
//! from the time a request was due, so that a stall is felt by all that it kept waiting.

use std::collections::VecDeque;
use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use nix::sys::time::TimeSpec;
use nix::sys::timer::Expiration;
use nix::sys::timerfd::{ClockId, TimerFd, TimerFlags, TimerSetTimeFlags};
use serde::Serialize;

use super::client::{Client, Received};
use super::message::Body;
use super::poll::{Interest, Poller};
use super::report::rounded;
use crate::Fallible;

/// When to ask, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    /// Between two requests.
    pub(super) every: Duration,
    /// Until it counts.
    pub(super) warm_up: Duration,
    /// How long it counts.
    pub(super) span: Duration,
}

/// Quantiles of latency, in microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Quantiles {
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) p999: f64,
}

/// Asks `to` for what `request` names, on the calling thread, until the schedule ends.
///
/// # Errors
/// The first request that fails.
pub(super) fn run(to: SocketAddrV4, request: &[u8], body: Body, schedule: Schedule) -> Fallible<Quantiles> {
    let mut poller = Poller::new()?;
    let mut waiting: Vec<Option<Instant>> = vec![None; CONNECTIONS];
    let mut clients = Vec::with_capacity(CONNECTIONS);
    for token in 0..CONNECTIONS {
        let client = Client::connect(to)?;
        poller.watch(client.stream(), token, Interest::Read)?;
        clients.push(client);
    }
    let timer = TimerFd::new(
        ClockId::CLOCK_MONOTONIC,
        TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC,
    )?;
    timer.set(
        Expiration::Interval(TimeSpec::from(schedule.every)),
        TimerSetTimeFlags::empty(),
    )?;
    poller.watch(&timer, CONNECTIONS, Interest::Read)?;

    let begin = Instant::now();
    let last = ((schedule.warm_up + schedule.span).as_nanos() / schedule.every.as_nanos()) as u32;
    let (mut idle, mut due) = ((0..CONNECTIONS).collect::<VecDeque<_>>(), 1_u32);
    let mut took = Vec::with_capacity(last as usize);
    let (mut ready, mut scratch) = (Vec::new(), vec![0; SCRATCH_BYTES]);
    while took.len() < last as usize {
        if begin.elapsed() > schedule.warm_up + schedule.span + PATIENCE {
            return Err(format!("{} of {last} requests unanswered", last as usize - took.len()).into());
        }
        poller.wait(&mut ready)?;
        for token in ready.drain(..) {
            let Some(client) = clients.get_mut(token) else {
                timer.wait()?;
                continue;
            };
            match client.receive(&mut scratch, body)? {
                Received::Part => {}
                Received::End => return Err("a connection was closed between requests".into()),
                Received::Whole => {
                    let asked = waiting[token].take().ok_or("a response that nobody asked for")?;
                    took.push((asked, asked.elapsed()));
                    idle.push_back(token);
                }
            }
        }
        while due <= last && begin + schedule.every * due <= Instant::now() {
            let Some(token) = idle.pop_front() else { break };
            waiting[token] = Some(begin + schedule.every * due);
            if !clients[token].send(request)? {
                return Err("a small request was not taken at once".into());
            }
            due += 1;
        }
    }
    let counted = took
        .iter()
        .filter(|(asked, _)| *asked >= begin + schedule.warm_up)
        .map(|(_, took)| *took);
    Ok(quantiles(counted.collect()))
}

fn quantiles(mut of: Vec<Duration>) -> Quantiles {
    of.sort_unstable();
    let at = |share: f64| {
        let index = ((of.len() as f64 * share) as usize).min(of.len().saturating_sub(1));
        of.get(index)
            .map_or(0.0, |took| rounded(took.as_secs_f64() * 1e6))
    };
    Quantiles {
        p50: at(0.5),
        p99: at(0.99),
        p999: at(0.999),
    }
}

/// More than are ever under way at once, as long as nothing stalls.
const CONNECTIONS: usize = 64;
const SCRATCH_BYTES: usize = 64 * 1024;
/// How long answers may come in after the last request.
const PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_sorted_times() {
        let of = (1..=1000).rev().map(Duration::from_micros).collect();
        let quantiles = quantiles(of);
        assert_eq!(
            (quantiles.p50, quantiles.p99, quantiles.p999),
            (501.0, 991.0, 1000.0)
        );
    }
}
