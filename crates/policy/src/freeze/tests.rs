use super::*;

const AT: fn(u64) -> Moment = Moment::from_millis;

fn freeze(began: u64, ended: u64) -> Freeze {
    Freeze {
        began: AT(began),
        ended: AT(ended),
    }
}

#[test]
fn a_thread_that_runs_fifty_milliseconds_late_was_frozen() {
    assert_eq!(Freeze::seen(AT(100), AT(149)), None);
    assert_eq!(Freeze::seen(AT(100), AT(150)), Some(freeze(100, 150)));
    assert_eq!(Freeze::seen(AT(100), AT(90)), None);
    assert_eq!(Freeze::seen(Moment::NEVER, AT(90)), None);
}

#[test]
fn a_freeze_of_the_process_counts_once_however_many_threads_tell_of_it() {
    let mut freezes = Freezes::default();
    assert_eq!(freezes.note(freeze(1000, 1300)), Duration::from_millis(300));
    assert_eq!(freezes.note(freeze(980, 1290)), Duration::ZERO);
    assert_eq!(freezes.note(freeze(990, 1310)), Duration::from_millis(10));
    assert_eq!(freezes.ended(), AT(1310));
}

#[test]
fn what_began_before_a_freeze_has_settled_is_touched_by_it() {
    let mut freezes = Freezes::default();
    assert!(!freezes.touches(AT(0)) && !freezes.hides(AT(10)));
    freezes.note(freeze(1000, 1300));
    assert!(freezes.touches(AT(900)) && freezes.touches(AT(1599)));
    assert!(!freezes.touches(AT(1600)));
    assert!(freezes.hides(AT(1349)) && !freezes.hides(AT(1350)));
    freezes.note(freeze(60_000, 90_000));
    assert!(freezes.touches(AT(90_999)) && !freezes.touches(AT(91_000)));
}

#[test]
fn a_process_that_is_stopped_all_the_time_learns_while_it_runs() {
    let mut freezes = Freezes::default();
    for at in (1000..5000).step_by(100) {
        freezes.note(freeze(at, at + 60));
    }
    assert!(freezes.touches(AT(4959)), "before the end of the last one");
    assert!(!freezes.touches(AT(4960)), "after it");
}
