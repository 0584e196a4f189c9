use proptest::prelude::*;

use super::*;

const WRITTEN: [Written; 3] = [Written::Nothing, Written::PartOfHead, Written::WholeHead];
const ENDS: [End; 7] = [
    End::ConnectFailed,
    End::Eof,
    End::BrokenPipe,
    End::Reset,
    End::Silent,
    End::TimedOut,
    End::Other,
];
const HEAD: u64 = 400;
const ACKED: [Option<u64>; 5] = [None, Some(0), Some(HEAD - 1), Some(HEAD), Some(4096)];

/// Every combination of facts there is, with a few acknowledged counts for all of them.
fn domain() -> impl Iterator<Item = Facts> {
    WRITTEN.into_iter().flat_map(|written| {
        ENDS.into_iter().flat_map(move |end| {
            ACKED.into_iter().flat_map(move |acknowledged| {
                [(false, false), (false, true), (true, false), (true, true)]
                    .into_iter()
                    .map(move |(ended_before_write, response_begun)| Facts {
                        written,
                        end,
                        ended_before_write,
                        head_bytes: HEAD,
                        acknowledged,
                        response_begun,
                    })
            })
        })
    })
}

#[test]
fn every_combination_of_facts_has_the_grade_that_its_row_says() {
    let mut seen = std::collections::BTreeMap::<Grade, usize>::new();
    for facts in domain() {
        let fin = matches!(facts.end, End::Eof | End::BrokenPipe);
        let partly = facts.acknowledged.is_some_and(|count| count < HEAD);
        let expected = match (facts.response_begun, facts.written, facts.ended_before_write) {
            (true, _, _) => Grade::Begun,
            (false, Written::Nothing, _) => Grade::Unsent,
            (false, _, true) => Grade::Stillborn,
            (false, Written::PartOfHead, false) => Grade::Incomplete,
            (false, Written::WholeHead, false) if fin && partly => Grade::Unreceived,
            (false, Written::WholeHead, false) => Grade::Unknown,
        };
        assert_eq!(grade(&facts), expected, "{facts:?}");
        *seen.entry(expected).or_default() += 1;
    }
    assert_eq!(seen.values().sum::<usize>(), 3 * 7 * 5 * 4);
    assert_eq!(seen.len(), 6, "every grade occurs");
}

#[test]
fn a_bare_reset_with_the_whole_head_written_is_never_proof() {
    for facts in domain().filter(|f| f.end == End::Reset && f.written == Written::WholeHead) {
        if !facts.ended_before_write {
            assert!(!grade(&facts).proves_unapplied(), "{facts:?}");
        }
    }
}

#[test]
fn a_response_byte_forbids_every_replay() {
    assert!(
        domain()
            .filter(|f| f.response_begun)
            .all(|f| !grade(&f).proves_unapplied())
    );
}

#[test]
fn a_missing_count_proves_no_more_than_a_whole_head() {
    for facts in domain() {
        let none = grade(&Facts {
            acknowledged: None,
            ..facts
        });
        let some = grade(&Facts {
            acknowledged: Some(HEAD),
            ..facts
        });
        assert_eq!(none, some, "{facts:?}");
    }
}

fn facts() -> impl Strategy<Value = Facts> {
    let parts = (
        prop::sample::select(WRITTEN.to_vec()),
        prop::sample::select(ENDS.to_vec()),
        any::<bool>(),
        prop::option::of(any::<u64>()),
        any::<bool>(),
    );
    parts.prop_map(
        |(written, end, ended_before_write, acknowledged, response_begun)| Facts {
            written,
            end,
            ended_before_write,
            head_bytes: HEAD,
            acknowledged,
            response_begun,
        },
    )
}

proptest! {
    #[test]
    fn more_acknowledged_bytes_never_prove_more(facts in facts(), low in any::<u64>(), more in any::<u64>()) {
        let fewer = grade(&Facts { acknowledged: Some(low), ..facts });
        let many = grade(&Facts { acknowledged: Some(low.saturating_add(more)), ..facts });
        prop_assert!(fewer.proves_unapplied() || !many.proves_unapplied());
    }

    #[test]
    fn writing_more_never_proves_more(facts in facts()) {
        let proofs = WRITTEN.map(|written| grade(&Facts { written, ..facts }).proves_unapplied());
        prop_assert!(proofs[0] >= proofs[1] && proofs[1] >= proofs[2]);
    }
}

#[test]
fn a_farewell_counts_as_a_fin_and_what_is_only_stale_proves_nothing() {
    let facts = |end, acknowledged| Facts {
        written: Written::WholeHead,
        end,
        ended_before_write: false,
        head_bytes: 100,
        acknowledged: Some(acknowledged),
        response_begun: false,
    };
    assert_eq!(grade(&facts(End::Farewell, 0)), Grade::Unreceived);
    assert_eq!(grade(&facts(End::Farewell, 100)), Grade::Unknown);
    assert_eq!(grade(&facts(End::Stale, 0)), Grade::Unknown, "it may arrive yet");
    assert!(is_stale(Some(0)) && !is_stale(Some(1)) && !is_stale(None));
}

#[test]
fn a_death_is_a_race_if_its_close_may_have_been_on_its_way() {
    let ms = std::time::Duration::from_millis;
    let facts = |end| Facts {
        written: Written::WholeHead,
        end,
        ended_before_write: false,
        head_bytes: 100,
        acknowledged: Some(100),
        response_begun: false,
    };
    assert!(raced(&facts(End::Reset), ms(25), ms(25)));
    assert!(
        !raced(&facts(End::Reset), ms(101), ms(25)),
        "it had long been received"
    );
    assert!(raced(&facts(End::Silent), ms(1000), ms(25)));
    assert!(!raced(&facts(End::TimedOut), ms(25), ms(25)));
    assert!(is_farewell(408, false, ms(25), ms(25)));
    assert!(!is_farewell(408, true, ms(25), ms(25)) && !is_farewell(408, false, ms(900), ms(25)));
}
