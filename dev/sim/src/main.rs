//! Lives worlds until the time is up, or the one of a given seed, and tells what broke.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use sim::{Story, live};

/// One world lives this long.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// How long worlds are lived where nobody says.
const FOR: Duration = Duration::from_secs(60);

const USAGE: &str = "usage: sim [SEED] [--for SECONDS]";

/// What was asked for.
struct Asked {
    seed: Option<u64>,
    span: Duration,
}

fn main() -> ExitCode {
    let Some(asked) = asked() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let broken = match asked.seed {
        Some(seed) => one(seed),
        None => many(asked.span),
    };
    match broken {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn asked() -> Option<Asked> {
    let mut asked = Asked {
        seed: None,
        span: FOR,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        if word == "--for" {
            asked.span = Duration::from_secs(words.next()?.parse().ok()?);
        } else {
            asked.seed = Some(number(&word)?);
        }
    }
    Some(asked)
}

/// A seed, as it is printed or in decimal.
fn number(word: &str) -> Option<u64> {
    match word.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => word.parse().ok(),
    }
}

/// Lives one world twice: it must tell the same story.
fn one(seed: u64) -> usize {
    let begin = Instant::now();
    let story = live(seed, DAY);
    tell(seed, &story);
    let lasted = story.lasted.as_secs_f64();
    println!("{:#?}", story.tally);
    println!(
        "{lasted:.0} simulated seconds in {:.1} s, story {:#x}",
        begin.elapsed().as_secs_f64(),
        story.hash
    );
    let again = live(seed, DAY);
    if again.hash != story.hash {
        println!(
            "seed {seed:#x} told another story the second time: {:#x}",
            again.hash
        );
        return 1;
    }
    usize::from(!story.violations.is_empty())
}

/// Lives worlds of chance on all processors until `span` is over; how many broke.
fn many(span: Duration) -> usize {
    let (begin, chance) = (Instant::now(), RandomState::new());
    let bar = ProgressBar::new(span.as_secs());
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} s  {msg}") {
        bar.set_style(style);
    }
    let (count, broken) = (AtomicU64::new(0), AtomicU64::new(0));
    let lived = Mutex::new(Duration::ZERO);
    let live_some = || {
        while begin.elapsed() < span {
            let mut hasher = chance.build_hasher();
            hasher.write_u64(count.fetch_add(1, Ordering::Relaxed));
            let seed = hasher.finish();
            let story = live(seed, DAY);
            bar.suspend(|| tell(seed, &story));
            broken.fetch_add(u64::from(!story.violations.is_empty()), Ordering::Relaxed);
            *lived.lock().unwrap_or_else(PoisonError::into_inner) += story.lasted;
            bar.set_position(begin.elapsed().as_secs().min(span.as_secs()));
            bar.set_message(format!("{} worlds", count.load(Ordering::Relaxed)));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(live_some))));
    bar.finish_and_clear();
    let lived = lived.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!(
        "{} worlds, {:.1} simulated days, {:.0} simulated seconds a second, {} broke",
        count.load(Ordering::Relaxed),
        lived.as_secs_f64() / DAY.as_secs_f64(),
        lived.as_secs_f64() / begin.elapsed().as_secs_f64(),
        broken.load(Ordering::Relaxed)
    );
    broken.load(Ordering::Relaxed) as usize
}

/// Tells what broke, and how to see it again.
fn tell(seed: u64, story: &Story) {
    if !story.violations.is_empty() {
        println!("seed {seed:#x}:");
        story.violations.iter().for_each(|what| println!("  {what}"));
        println!("  again: cargo xtask sim {seed:#x}");
    }
}
