use super::*;
use crate::race::client::Timer;
use crate::race::flows::Closing;

fn sighting(fresh: bool, met: Option<Closing>, cut: Option<Closing>) -> Sighting {
    Sighting {
        fresh,
        met,
        whole: true,
        cut,
    }
}

fn trial(id: u64, outcome: Outcome, seen: Vec<Sighting>) -> Trial {
    Trial {
        id,
        endpoint: std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 80),
        method: Method::Post,
        body: 100,
        raced: true,
        follows: false,
        took: Duration::from_millis(if seen.len() > 1 { 36 } else { 20 }),
        outcome,
        idle: Some(Duration::from_millis(398)),
        closes_before: 0,
        seen,
    }
}

fn report(trials: Vec<Trial>, ledger: &[(u64, u32)]) -> MethodReport {
    run_of(trials, ledger).methods.remove(0)
}

fn run_of(trials: Vec<Trial>, ledger: &[(u64, u32)]) -> RunReport {
    let timer = Timer {
        from: Duration::from_millis(400),
        to: Duration::from_millis(401),
        late: Duration::ZERO,
    };
    let facts = Facts {
        script: Script::Aim,
        delay: Duration::from_millis(5),
        ran: Ran { trials, timer },
        ledger: ledger.iter().copied().collect(),
        lanes: vec![LaneFacts {
            two_steps: 0,
            opened: 3,
            closes: 2,
            last_answer: None,
            ..LaneFacts::default()
        }],
    };
    RunReport::new("peer", "w1", "close()", Duration::from_secs(1), facts)
}

#[test]
fn a_saved_request_is_met_replayed_and_no_error() {
    let undisturbed = trial(1, Outcome::Answered, vec![sighting(false, None, None)]);
    let saved = trial(
        2,
        Outcome::Answered,
        vec![
            sighting(false, Some(Closing::Fin), None),
            sighting(true, None, None),
        ],
    );
    let report = report(vec![undisturbed, saved], &[(1, 1), (2, 1)]);
    assert_eq!(
        (
            report.in_window,
            report.met,
            report.replayed,
            report.error_count()
        ),
        (2, 1, 1, 0)
    );
    assert_eq!((report.duplicates, report.lost), (0, 0));
    assert_eq!(report.added_ms, Some((16.0, 16.0)));
}

#[test]
fn applied_twice_is_a_duplicate_and_answered_unapplied_is_lost() {
    let twice = trial(1, Outcome::Answered, vec![sighting(false, None, None); 2]);
    let unapplied = trial(2, Outcome::Answered, vec![sighting(false, None, None)]);
    let report = report(vec![twice, unapplied], &[(1, 2)]);
    assert_eq!((report.duplicates, report.lost), (1, 1));
}

#[test]
fn a_request_unread_at_the_close_is_told_apart_from_one_that_met_it() {
    let unread = trial(
        1,
        Outcome::Status(502),
        vec![sighting(false, None, Some(Closing::Reset))],
    );
    let report = report(vec![unread], &[]);
    assert_eq!(
        (
            report.met,
            report.unread,
            report.unread_errors,
            report.error_count()
        ),
        (0, 1, 1, 1)
    );
    assert_eq!(report.errors.get("502"), Some(&1));
}

#[test]
fn a_request_sent_well_before_the_close_is_not_in_the_window() {
    let mut early = trial(1, Outcome::Answered, vec![sighting(false, None, None)]);
    early.idle = Some(Duration::from_millis(390));
    assert_eq!(report(vec![early], &[(1, 1)]).in_window, 0);
}

#[test]
fn a_real_server_may_leave_few_posts_without_proof() {
    use crate::race::bar;
    let failed = |unread: usize, met: usize| -> RunReport {
        let of = |closing: (Option<Closing>, Option<Closing>)| {
            move |id| {
                trial(
                    id,
                    Outcome::Status(503),
                    vec![sighting(false, closing.0, closing.1)],
                )
            }
        };
        let trials = (0..unread as u64).map(of((None, Some(Closing::Reset))));
        let trials = trials.chain((100..100 + met as u64).map(of((Some(Closing::Fin), None))));
        run_of(trials.collect(), &[])
    };
    let missed = |unread, met| bar::of_real().missed_by(&failed(unread, met)).len();
    assert_eq!(missed(2, 0), 0);
    assert_eq!(missed(3, 0), 1, "of three in the window");
    assert_eq!(missed(1, 1), 0);
    assert_eq!(missed(1, 2), 1);
}

#[test]
fn what_was_handed_on_is_counted_but_for_what_was_unread() {
    let met = trial(
        1,
        Outcome::Unasked,
        vec![sighting(false, Some(Closing::Unasked), None)],
    );
    let unread = trial(
        2,
        Outcome::Unasked,
        vec![sighting(false, None, Some(Closing::Unasked))],
    );
    let report = report(vec![met, unread], &[]);
    assert_eq!((report.met, report.handed_on, report.error_count()), (1, 1, 2));
}

#[test]
fn the_first_three_that_meet_a_close_may_teach() {
    let failed = |id| {
        trial(
            id,
            Outcome::Status(503),
            vec![sighting(false, Some(Closing::Reset), None)],
        )
    };
    let report = report((1..=5).map(failed).collect(), &[]);
    assert_eq!((report.later_met, report.later_errors), (2, 2));
}

#[test]
fn a_post_bears_a_repetition_while_its_head_has_no_end() {
    let silent = |id, whole| {
        let seen = Sighting {
            whole,
            ..sighting(false, Some(Closing::Silence), None)
        };
        trial(id, Outcome::Status(503), vec![seen])
    };
    let report = report(vec![silent(1, true), silent(2, false)], &[]);
    assert_eq!(
        (report.met, report.repeatable, report.repeatable_errors),
        (2, 1, 1)
    );
}
