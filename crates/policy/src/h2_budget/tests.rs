use super::*;

fn exhaust(budget: &mut H2Budget, behaviour: Behaviour, now: Moment) -> (u32, Exhausted) {
    for count in 0..1_000_000 {
        if let Err(exhausted) = budget.on_behaviour(behaviour, now) {
            return (count, exhausted);
        }
    }
    panic!("{behaviour:?} is free");
}

#[test]
fn every_behaviour_spends_the_budget_and_is_named() {
    for behaviour in Behaviour::ALL {
        let mut budget = H2Budget::new(Moment::default());
        let (count, exhausted) = exhaust(&mut budget, behaviour, Moment::default());
        assert_eq!(exhausted.most, behaviour);
        assert!((500..=50_000).contains(&count), "{behaviour:?}: {count}");
    }
}

#[test]
fn the_behaviour_that_took_most_is_named_not_the_one_that_took_the_last() {
    let mut budget = H2Budget::new(Moment::default());
    for _ in 0..400 {
        assert_eq!(
            budget.on_behaviour(Behaviour::PeerReset, Moment::default()),
            Ok(())
        );
    }
    let (_, exhausted) = exhaust(&mut budget, Behaviour::Ping, Moment::default());
    assert_eq!(exhausted.most, Behaviour::PeerReset);
}

#[test]
fn time_and_finished_requests_fill_it_and_no_more_than_it_holds() {
    let at = Moment::from_millis;
    let mut budget = H2Budget::new(at(0));
    exhaust(&mut budget, Behaviour::PeerReset, at(0));
    assert!(budget.on_behaviour(Behaviour::PeerReset, at(19)).is_err());
    // It was told off, and 100 points are there 20 ms later.
    assert_eq!(budget.on_behaviour(Behaviour::PeerReset, at(39)), Ok(()));
    budget.on_finished_request();
    assert_eq!(budget.left(), FINISHED_REQUEST);
    assert_eq!(budget.on_behaviour(Behaviour::SmallData, at(3_600_000)), Ok(()));
    assert_eq!(budget.left(), CAPACITY - 1);
    budget.on_finished_request();
    assert_eq!(budget.left(), CAPACITY);
}

#[test]
fn a_client_that_cancels_as_often_as_it_finishes_is_borne_for_ever() {
    let mut budget = H2Budget::new(Moment::default());
    for _ in 0..100_000 {
        assert_eq!(
            budget.on_behaviour(Behaviour::PeerReset, Moment::default()),
            Ok(())
        );
        budget.on_finished_request();
    }
}

#[test]
fn a_stream_of_small_messages_is_borne_at_five_thousand_a_second() {
    let mut budget = H2Budget::new(Moment::default());
    for count in 0..200_000_u64 {
        let now = Moment::from_nanos(count * 200_000);
        assert_eq!(budget.on_behaviour(Behaviour::SmallData, now), Ok(()));
    }
    // A request is reset before any clock ticks.
    let (count, _) = exhaust(
        &mut budget,
        Behaviour::OwnReset,
        Moment::from_nanos(40_000_000_000),
    );
    assert!((499..=500).contains(&count));
}
