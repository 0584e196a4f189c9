use std::time::Duration;

use super::*;

const POSTS: Kind = Kind {
    traffic: 0,
    method: 1,
};

fn ran() -> Ran {
    let sample = |minute, ms: Option<u64>| Sample {
        kind: POSTS,
        minute,
        took: ms.map(Duration::from_millis),
    };
    let wire = Wire {
        opened: 3,
        two_steps: 1,
    };
    Ran {
        name: "a".into(),
        samples: vec![
            sample(0, Some(90)),
            sample(1, Some(20)),
            sample(1, Some(20)),
            sample(1, Some(45)),
            sample(2, None),
        ],
        wire: vec![(POSTS, wire)],
    }
}

#[test]
fn figures_are_of_their_minute_and_count_what_failed_apart() {
    let later = Figures::of(&ran(), POSTS, None);
    assert_eq!((later.p50, later.p90, later.failed), (20.0, 45.0, 1));
    assert_eq!((later.two_steps, later.opened), (0.25, 3));
    assert_eq!(Figures::of(&ran(), POSTS, Some(0)).p50, 90.0);
    let gets = Kind { method: 0, ..POSTS };
    assert_eq!(Figures::of(&ran(), gets, None).failed, 0);
}

#[test]
fn each_bar_is_held_by_itself() {
    let bar = Figures {
        p50: 20.0,
        p90: 22.0,
        failed: 0,
        two_steps: 0.0,
        opened: 10,
    };
    assert_eq!(bar.misses(&bar), Vec::<String>::new());
    for worse in [
        Figures { p50: 21.1, ..bar },
        Figures { p90: 24.3, ..bar },
        Figures { failed: 1, ..bar },
        Figures {
            two_steps: 0.03,
            ..bar
        },
        Figures { opened: 12, ..bar },
    ] {
        assert_eq!(worse.misses(&bar).len(), 1, "{worse:?}");
    }
}
