//! Simulated days with every run of the tests: a few of their own, and the seeds that once failed.

use std::time::Duration;

use sim::live;
use sim::regressions::REGRESSIONS;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn keeps_its_promises(seed: u64, span: Duration) {
    let story = live(seed, span);
    assert!(
        story.violations.is_empty(),
        "seed {seed:#x}: {:#?}\nagain: cargo xtask sim {seed:#x}",
        story.violations
    );
    assert!(story.lasted >= span, "it ended early, after {:?}", story.lasted);
    let tally = story.tally;
    assert!(tally.good > 100 && tally.timers > 0, "a dull world: {tally:?}");
    assert_eq!(tally.sent, tally.ended);
}

#[test]
fn a_day_of_faults_breaks_no_promise() {
    keeps_its_promises(0x0e1e, DAY);
}

#[test]
fn another_day_breaks_none_either() {
    keeps_its_promises(0x5ca1e, DAY);
}

#[test]
fn hours_of_many_worlds_break_none() {
    for seed in 1..=6 {
        let story = live(seed, DAY / 16);
        assert!(
            story.violations.is_empty(),
            "seed {seed:#x}: {:#?}",
            story.violations
        );
    }
}

#[test]
fn the_same_seed_tells_the_same_story_and_another_does_not() {
    let span = DAY / 8;
    let story = live(0xbee, span);
    assert_eq!(story, live(0xbee, span));
    assert_ne!(story.hash, live(0xcafe, span).hash);
}

#[test]
fn what_once_failed_fails_no_more() {
    for regression in REGRESSIONS {
        let story = live(regression.seed, Duration::from_secs(regression.hours * 3600));
        assert!(
            story.violations.is_empty(),
            "seed {:#x}, which was {}: {:#?}",
            regression.seed,
            regression.was,
            story.violations
        );
    }
}
