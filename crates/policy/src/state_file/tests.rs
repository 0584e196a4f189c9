use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::keepalive::{Band, Silent};

const NOW: u64 = 1_796_050_800;

fn span(most_secs: u64) -> impl Strategy<Value = Duration> {
    (0..most_secs * 1_000_000).prop_map(Duration::from_micros)
}

fn wall() -> impl Strategy<Value = Band> {
    (span(10_000), 0_u32..100, 3_u32..1000, 1_u32..=64).prop_filter_map(
        "a timer",
        |(lo, spread, closes, sample)| {
            let hi = lo + Duration::from_micros((lo.as_micros() as u64) * u64::from(spread) / 100);
            Band::measured(lo, hi, closes, sample)
        },
    )
}

fn learned() -> impl Strategy<Value = Learned> {
    let silent =
        (span(1000), span(1000), span(1000)).prop_map(|(age, left, span)| Silent { age, left, span });
    (
        proptest::option::of(wall()),
        span(100_000),
        proptest::option::of((0.5_f32..4096.0, 0.0_f32..1.0)),
        proptest::option::of(span(100)),
        proptest::option::of(silent),
    )
        .prop_map(|(wall, explored, closes, surprised, silence)| {
            let (closes, share) = closes.unwrap_or_default();
            Learned {
                wall,
                explored,
                closes,
                unproven: closes * share,
                surprised,
                silence,
            }
        })
}

fn address() -> impl Strategy<Value = Address> {
    prop_oneof![
        any::<std::net::SocketAddr>().prop_filter_map("not flow info", |address| {
            // The text form has no flow information, nor has any address of a configuration.
            let address = match address {
                std::net::SocketAddr::V6(six) => (*six.ip(), six.port()).into(),
                four @ std::net::SocketAddr::V4(_) => four,
            };
            Some(Address::Ip(address))
        }),
        "[ -~\\n\u{e4}]{1,60}".prop_map(|path| Address::Unix(Path::new(&path).into())),
    ]
}

fn entry() -> impl Strategy<Value = Entry> {
    ("[ -~\\n\u{e4}]{0,80}", address(), 0..AGE_MAX.as_secs(), learned()).prop_map(
        |(cluster, address, ago, learned)| Entry {
            cluster,
            address,
            used: NOW - ago,
            learned,
        },
    )
}

fn sorted(mut entries: Vec<Entry>) -> Vec<Entry> {
    entries.sort_by(|one, two| format!("{one:?}").cmp(&format!("{two:?}")));
    entries
}

proptest! {
    #[test]
    fn what_was_written_is_read_again(entries in proptest::collection::vec(entry(), 0..20)) {
        let text = encode(entries.clone(), NOW);
        prop_assert!(text.len() <= BYTES_MAX);
        prop_assert_eq!(sorted(decode(&text, NOW).expect("ours")), sorted(entries));
    }

    #[test]
    fn a_file_with_a_byte_changed_cut_or_added_is_refused(
        entries in proptest::collection::vec(entry(), 1..5), at: prop::sample::Index, other in 0_u8..128, how in 0..3,
    ) {
        let text = encode(entries, NOW);
        let mut bytes = text.clone().into_bytes();
        let at = at.index(bytes.len());
        match how {
            0 => bytes[at] = other,
            1 => bytes.truncate(at),
            _ => bytes.insert(at, other),
        }
        let changed = String::from_utf8(bytes).expect("ASCII");
        prop_assume!(changed != text);
        prop_assert!(decode(&changed, NOW).is_err(), "{changed}");
    }

    #[test]
    fn no_text_is_too_strange(text: String, now: u64) {
        let _ = decode(&text, now);
        let _ = decode(&format!("evenkeel-state 1 {text}"), now);
        let _ = line::read(&text);
    }

    #[test]
    fn a_line_that_is_read_can_be_taken_in(line in "a 1.2.3.4:5 used=1( (wall|explored|closes|surprised|silence)=[0-9,.]{1,40}){0,5}") {
        if let Some(entry) = line::read(&line) {
            let mut learner = crate::keepalive::Learner::new();
            learner.recall(&entry.learned, crate::time::Moment::default());
            learner.on_closed(Duration::from_secs(1), crate::keepalive::Sign::Fin, crate::time::Moment::default());
            let _ = learner.limit(&crate::plan::KeepAlivePlan::default(), Duration::from_millis(1));
        }
    }
}

fn an_entry(used: u64) -> Entry {
    Entry {
        cluster: "shop/web".into(),
        address: Address::Ip(([10, 0, 0, 1], 8080).into()),
        used,
        learned: Learned {
            explored: Duration::from_millis(4700),
            silence: Some(Silent {
                age: Duration::from_secs(350),
                left: Duration::from_secs(1000),
                span: Duration::from_secs(3500),
            }),
            ..Learned::default()
        },
    }
}

#[test]
fn what_was_not_used_for_an_hour_is_not_believed() {
    let text = encode(vec![an_entry(NOW - 10)], NOW);
    assert_eq!(decode(&text, NOW + 3590).map(|entries| entries.len()), Ok(1));
    assert_eq!(decode(&text, NOW + 3591), Ok(vec![]));
    // A clock that was set back makes nothing old.
    assert_eq!(decode(&text, NOW - 5000).map(|entries| entries.len()), Ok(1));
}

#[test]
fn silence_is_believed_no_longer_for_a_restart() {
    let text = encode(vec![an_entry(NOW)], NOW);
    let entries = decode(&text, NOW + 400).expect("ours");
    let left = entries[0].learned.silence.map(|silent| silent.left);
    assert_eq!(left, Some(Duration::from_secs(600)));
}

#[test]
fn of_too_many_those_that_were_used_last_are_kept() {
    let many = (0..ENTRIES_MAX as u64 + 10).map(|nth| Entry {
        cluster: format!("c{nth}"),
        ..an_entry(NOW - nth % 3000)
    });
    let text = encode(many.collect(), NOW);
    let kept = decode(&text, NOW).expect("ours");
    assert_eq!(kept.len(), ENTRIES_MAX);
    assert!(kept.iter().all(|entry| entry.used > NOW - 3000));
    assert!(!kept.iter().any(|entry| entry.cluster == "c2999"));
}

#[test]
fn files_of_others_and_of_other_versions_are_told_apart() {
    assert_eq!(decode("root:x:0:0\n", NOW), Err(Refused::Foreign));
    assert_eq!(decode("", NOW), Err(Refused::Foreign));
    let text = encode(vec![an_entry(NOW)], NOW).replacen("state 1", "state 2", 1);
    assert_eq!(decode(&text, NOW), Err(Refused::Version("2".into())));
}
