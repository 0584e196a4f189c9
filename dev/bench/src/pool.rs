//! Decisions of a cluster and of an exchange's attempts.

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use policy::cluster::{
    Address, Ask, Checkout, Cluster, ConnectionId, EndpointId, Handback, Members, Parked, Reuse, WorkerId,
};
use policy::deadline::Arrival;
use policy::plan::{ClusterPlan, RetryPlan};
use policy::retry::attempts::{Attempts, NextStep, Outcome, RetryTraits, Summary};
use policy::time::{Dice, Moment};

use crate::Step;

const WORKER: WorkerId = WorkerId(0);
const IDLE: usize = 64;
const ENDPOINTS: u16 = 3;

/// A cluster with idle connections, and what it takes to ask it.
pub(crate) struct Pool {
    cluster: Cluster,
    members: Members,
    plan: Arc<ClusterPlan>,
    pub(crate) dice: Dice,
    pub(crate) now: Moment,
}

impl Pool {
    /// Three endpoints, 64 idle connections.
    pub(crate) fn warm() -> Self {
        let mut cluster = Cluster::new("default/shop".into());
        let addresses: Vec<_> = (1..=ENDPOINTS).map(|port| (endpoint(port), 1)).collect();
        let now = Moment::from_millis(1);
        let members = cluster.adopt(&addresses, now);
        let mut pool = Self {
            cluster,
            members,
            plan: Arc::default(),
            dice: Dice::seeded(1),
            now,
        };
        let open: Vec<_> = (0..IDLE).map(|_| pool.open()).collect();
        open.into_iter().for_each(|connection| pool.give_back(connection));
        pool
    }

    /// An idle connection for a GET.
    pub(crate) fn take(&mut self) -> ConnectionId {
        match self.ask(Reuse::Allow) {
            Checkout::Reuse(reused) => black_box(reused).connection,
            other => panic!("{other:?} reuses nothing"),
        }
    }

    /// The response was read to its end, a millisecond later.
    pub(crate) fn give_back(&mut self, connection: ConnectionId) {
        self.now = self.now + Duration::from_millis(1);
        let how = Handback::Reusable {
            hint: None,
            round_trip: None,
        };
        let parked = self.cluster.hand_back(connection, how, WORKER, self.now);
        assert_eq!(parked, Parked::Keep, "the connection is kept");
        black_box((
            self.cluster.granted(),
            self.cluster.evicted(),
            self.cluster.next_deadline(),
        ));
    }

    fn open(&mut self) -> ConnectionId {
        let Checkout::Open { connection, .. } = self.ask(Reuse::Forbid) else {
            panic!("there is room to open")
        };
        self.cluster.connected(connection, None, self.now);
        connection
    }

    fn ask(&mut self, reuse: Reuse) -> Checkout {
        let ask = Ask {
            reuse,
            ..Ask::new(&self.members, &self.plan, WORKER)
        };
        self.cluster.checkout(&ask, self.now, &mut self.dice)
    }
}

/// A connection is taken from the pool and given back.
pub(crate) fn checkout() -> Step {
    let mut pool = Pool::warm();
    Box::new(move || {
        let connection = pool.take();
        pool.give_back(connection);
    })
}

/// What follows from an attempt that was answered.
pub(crate) fn decide() -> Step {
    let (plan, mut dice) = (RetryPlan::default(), Dice::seeded(1));
    Box::new(move || answered(black_box(&plan), Moment::from_millis(1), &mut dice))
}

/// One attempt, answered with 200.
pub(crate) fn answered(plan: &RetryPlan, now: Moment, dice: &mut Dice) {
    let traits = RetryTraits {
        idempotent: true,
        keyed: false,
        fits_copy: true,
    };
    let mut attempts = Attempts::new(plan, traits);
    let summary = Summary {
        endpoint: Some(EndpointId(0)),
        reused: true,
        raced: false,
        copy_whole: true,
        answered: false,
        arrival: Arrival::Whole,
        result: Outcome::Status(200),
    };
    black_box(attempts.replay_safety());
    let after = attempts.on_result(black_box(&summary), now, dice);
    assert_eq!(after, NextStep::Answer, "an answer is passed on");
}

/// An endpoint's address.
pub(crate) fn endpoint(port: u16) -> Address {
    Address::Ip(SocketAddr::from((Ipv4Addr::new(10, 0, 2, 1), port)))
}
