use std::future::poll_fn;
use std::io::Write;
use std::os::unix::net::UnixStream;

use super::*;

fn with_engine<T: 'static>(test: impl AsyncFnOnce(Clock) -> T + 'static) -> T {
    let clock = Clock::start();
    run(clock, async move { test(clock).await }).expect("an engine")
}

#[test]
fn an_alarm_goes_off_after_its_deadline_and_not_before() {
    with_engine(async |clock| {
        let alarm = alarm();
        let deadline = clock.now() + Duration::from_millis(20);
        alarm.set(deadline);
        poll_fn(|cx| alarm.poll_due(cx)).await;
        assert!(clock.now() >= deadline);
    });
}

#[test]
fn a_deadline_that_moved_later_is_kept_and_an_earlier_one_too() {
    with_engine(async |clock| {
        let (moved, far) = (alarm(), alarm());
        moved.set(clock.now() + Duration::from_millis(10));
        far.set(clock.now() + Duration::from_secs(3600));
        let deadline = clock.now() + Duration::from_millis(40);
        moved.set(deadline);
        poll_fn(|cx| moved.poll_due(cx)).await;
        assert!(clock.now() >= deadline);
        let deadline = clock.now() + Duration::from_millis(10);
        far.set(deadline);
        poll_fn(|cx| far.poll_due(cx)).await;
        assert!(clock.now().since(deadline) < Duration::from_secs(5));
    });
}

#[test]
fn a_slot_is_used_again_without_its_old_deadline() {
    with_engine(async |clock| {
        let first = alarm();
        first.set(clock.now() + Duration::from_millis(5));
        drop(first);
        let second = alarm();
        sleep(Duration::from_millis(30)).await;
        poll_fn(|cx| {
            assert!(second.poll_due(cx).is_pending());
            Poll::Ready(())
        })
        .await;
    });
}

#[test]
fn a_task_that_panics_ends_alone() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let reached = with_engine(async |_| {
        let reached = Rc::new(Cell::new(false));
        let other = reached.clone();
        spawn(async { panic!("on purpose") });
        spawn(async move { other.set(true) });
        sleep(Duration::from_millis(5)).await;
        reached.get()
    });
    std::panic::set_hook(hook);
    assert!(reached);
}

/// Runs `test` without what panics say.
fn quietly<T>(test: impl FnOnce() -> T) -> T {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let result = test();
    std::panic::set_hook(hook);
    result
}

#[test]
fn an_engine_whose_vital_task_panics_ends_with_an_error() {
    quietly(|| {
        let panicking: io::Result<()> = run(Clock::start(), async { panic!("on purpose") });
        assert!(panicking.is_err(), "its first task");
        let lost = run(Clock::start(), async {
            spawn_vital(async { panic!("on purpose") });
            std::future::pending::<()>().await;
        });
        assert!(lost.is_err(), "one of those that it spawned");
    });
}

/// Panics when it is dropped.
struct Trap;

impl Drop for Trap {
    fn drop(&mut self) {
        panic!("on purpose");
    }
}

#[test]
fn a_panic_at_a_door_or_in_a_drop_ends_nobody_else() {
    quietly(|| {
        with_engine(async |_| {
            let (ours, mut theirs) = UnixStream::pair().expect("a pair");
            ours.set_nonblocking(true).expect("non-blocking");
            keep_slots(|_| panic!("on purpose"));
            let source = Source::of(&ours).expect("watched");
            source.watch_slot(7);
            theirs.write_all(b"x").expect("written");
            let waiting = spawn(async {
                let _trap = Trap;
                std::future::pending::<()>().await;
            });
            spawn(async {
                let trap = Trap;
                poll_fn(|_| Poll::Ready(())).await;
                drop(trap);
            });
            sleep(Duration::from_millis(5)).await;
            waiting.cancel();
            sleep(Duration::from_millis(5)).await;
        });
    });
}

#[test]
fn a_cancelled_task_is_dropped_where_it_waits() {
    with_engine(async |_| {
        let held = Rc::new(());
        let other = held.clone();
        let task = spawn(async move {
            std::future::pending::<()>().await;
            drop(other);
        });
        yield_now().await;
        assert_eq!(Rc::strong_count(&held), 2);
        task.cancel();
        assert_eq!(Rc::strong_count(&held), 1);
    });
}

/// Counts how often it is polled, for ever.
async fn counting(polls: Rc<Cell<u32>>) {
    poll_fn(|_| {
        polls.set(polls.get() + 1);
        Poll::<()>::Pending
    })
    .await;
}

#[test]
fn a_wake_for_a_task_that_ended_reaches_no_other() {
    with_engine(async |_| {
        let kept = Rc::new(RefCell::new(None));
        let other = kept.clone();
        let gone = spawn(async move {
            poll_fn(|cx| {
                other.replace(Some(cx.waker().clone()));
                Poll::Ready(())
            })
            .await;
        });
        sleep(Duration::from_millis(1)).await;
        let polls = Rc::new(Cell::new(0));
        let next = spawn(counting(polls.clone()));
        sleep(Duration::from_millis(1)).await;
        let before = polls.get();
        let waker = kept.take().expect("it ran");
        waker.wake_by_ref();
        here(|engine| engine.tasks.wake(gone));
        gone.wake_at(Stage::WriteDownstream);
        gone.cancel();
        std::thread::spawn(move || waker.wake()).join().expect("woken");
        sleep(Duration::from_millis(5)).await;
        assert_eq!(polls.get(), before);
        here(|engine| engine.tasks.wake(next));
        sleep(Duration::from_millis(1)).await;
        assert!(polls.get() > before);
    });
}

#[test]
fn a_task_that_cancels_itself_makes_room_for_another() {
    with_engine(async |_| {
        let polls = Rc::new(Cell::new(0));
        let inner = polls.clone();
        spawn(async move {
            Spawned::running().cancel();
            spawn(counting(inner));
            std::future::pending::<()>().await;
        });
        sleep(Duration::from_millis(1)).await;
        assert!(polls.get() > 0, "the other has its place");
    });
}

/// Moves bytes that are always there, 16 KiB at a time, for ever, and counts them.
async fn transfer(moved: Rc<Cell<usize>>) {
    loop {
        budget().await;
        spend(16 * 1024);
        moved.set(moved.get() + 16 * 1024);
    }
}

#[test]
fn a_transfer_moves_no_more_than_its_budget_while_others_are_ready() {
    with_engine(async |_| {
        let moved = [Rc::new(Cell::new(0)), Rc::new(Cell::new(0))];
        for transferred in &moved {
            spawn(transfer(transferred.clone()));
        }
        yield_now().await;
        for _ in 0..100 {
            let before = moved.each_ref().map(|moved| moved.get());
            yield_now().await;
            for (moved, before) in moved.iter().zip(before) {
                assert!(moved.get() > before, "it has its turn");
                assert!(moved.get() - before <= 512 * 1024, "{}", moved.get() - before);
            }
        }
    });
}

#[test]
fn a_transfer_keeps_no_socket_and_no_alarm_from_being_seen() {
    with_engine(async |clock| {
        spawn(transfer(Rc::default()));
        let (ours, mut theirs) = UnixStream::pair().expect("a pair");
        ours.set_nonblocking(true).expect("non-blocking");
        let source = Source::of(&ours).expect("watched");
        theirs.write_all(b"x").expect("written");
        poll_fn(|cx| source.poll_readable(cx)).await;
        let due = clock.now() + Duration::from_millis(5);
        sleep(Duration::from_millis(5)).await;
        assert!(clock.now() >= due);
    });
}

#[test]
fn tasks_that_wake_each_other_keep_nobody_from_his_turn() {
    with_engine(async |_| {
        let wakers = Rc::new(RefCell::new(Vec::new()));
        for _ in 0..2 {
            let wakers = wakers.clone();
            spawn(async move {
                poll_fn(|cx| {
                    wakers.take().iter().for_each(Waker::wake_by_ref);
                    wakers.borrow_mut().push(cx.waker().clone());
                    Poll::<()>::Pending
                })
                .await;
            });
        }
        sleep(Duration::from_millis(5)).await;
    });
}

#[test]
fn another_thread_wakes_a_sleeping_engine() {
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let other = std::thread::spawn(move || {
        for number in 0..1000 {
            if number % 100 == 0 {
                std::thread::sleep(Duration::from_millis(2));
            }
            sender.send(number).expect("the engine listens");
        }
    });
    let sum = with_engine(async move |_| {
        let mut sum = 0;
        while let Some(number) = receiver.recv().await {
            sum += number;
        }
        sum
    });
    other.join().expect("sent");
    assert_eq!(sum, 999 * 500);
}

#[test]
fn a_door_is_knocked_at_when_bytes_come_and_when_the_peer_ends() {
    with_engine(async |_| {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair");
        ours.set_nonblocking(true).expect("non-blocking");
        let told = Rc::new(RefCell::new(Vec::new()));
        let heard = told.clone();
        assert_eq!(keep_slots(|slot| panic!("slot {slot} is another's")), 0);
        let ours_from = keep_slots(move |slot| heard.borrow_mut().push(slot));
        let source = Source::of(&ours).expect("watched");
        assert!(!source.watch_slot(ours_from + 7));
        sleep(Duration::from_millis(5)).await;
        told.borrow_mut().clear();
        theirs.write_all(b"x").expect("written");
        sleep(Duration::from_millis(5)).await;
        assert_eq!(*told.borrow(), [7]);
        source.forget_readable();
        drop(theirs);
        sleep(Duration::from_millis(5)).await;
        assert_eq!(*told.borrow(), [7, 7]);
        source.forget_readable();
        assert!(source.watch_slot(ours_from + 7), "an end is never forgotten");
    });
}

#[test]
fn a_source_dropped_on_another_thread_is_forgotten_on_its_own() {
    with_engine(async |_| {
        let (ours, _theirs) = UnixStream::pair().expect("a pair");
        let source = Source::of(&ours).expect("watched");
        std::thread::spawn(move || drop(source)).join().expect("dropped");
        sleep(Duration::from_millis(5)).await;
        here(|engine| assert!(engine.sources.is_empty()));
    });
}

/// How long it takes until what comes on a fresh socket is noticed by who waits for it.
fn noticed_after(patiently: bool) -> Duration {
    with_engine(async move |clock| {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair");
        ours.set_nonblocking(true).expect("non-blocking");
        let source = Source::fresh(&ours);
        poll_fn(|cx| source.poll_readable(cx)).await; // nobody has looked yet
        source.forget_readable();
        theirs.write_all(b"x").expect("written");
        let since = clock.now();
        poll_fn(|cx| match patiently {
            true => source.poll_readable_patiently(cx),
            false => source.poll_readable(cx),
        })
        .await;
        clock::cache_now();
        clock.now().since(since)
    })
}

#[test]
fn a_fresh_socket_is_watched_once_somebody_waits() {
    // A thread may have to wait for its core.
    let took = (0..5).map(|_| noticed_after(false)).min();
    assert!(took < Some(Duration::from_micros(900)), "{took:?}");
}

#[test]
fn who_waits_with_patience_learns_a_millisecond_later() {
    let took = noticed_after(true);
    assert!(took >= Duration::from_micros(900), "{took:?}");
    assert!(took < Duration::from_millis(50), "{took:?}");
}

/// What three tasks did, each of which reads, acts and writes, in a turn of so many news.
fn done_in_a_turn(news: usize) -> Vec<&'static str> {
    with_engine(async move |_| {
        let done = Rc::new(RefCell::new(Vec::new()));
        here(|engine| engine.stages.begin(news));
        for (writes, what) in [
            (Stage::WriteDownstream, "answer"),
            (Stage::WriteUpstream, "ask"),
            (Stage::WriteDownstream, "answer"),
        ] {
            let done = done.clone();
            spawn(async move {
                done.borrow_mut().push("read");
                stage(Stage::Process).await;
                done.borrow_mut().push("act");
                stage(writes).await;
                done.borrow_mut().push(what);
            });
        }
        sleep(Duration::from_millis(5)).await;
        done.take()
    })
}

#[test]
fn each_stage_of_a_turn_is_gone_through_by_all() {
    assert_eq!(
        done_in_a_turn(12),
        [
            "read", "read", "read", "act", "act", "act", "ask", "answer", "answer"
        ]
    );
}

#[test]
fn with_few_news_nobody_waits_for_others() {
    assert_eq!(
        done_in_a_turn(2),
        [
            "read", "act", "answer", "read", "act", "ask", "read", "act", "answer"
        ]
    );
}
