//! Timer or accident? Tells closes that come at one age (a wall) from scatter.

use std::time::Duration;

use crate::time::Moment;

/// A band of idle ages at which an endpoint closes connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Band {
    /// The youngest age at which it closes, accidents left out.
    pub lo: Duration,
    /// The oldest.
    pub hi: Duration,
    /// Closes that agree.
    pub closes: u32,
    /// How many of them `lo` and `hi` rest on.
    sample: u32,
    /// Connections that lived on beyond the band since the last close in it.
    passed: u32,
}

/// Watches one endpoint's closes.
///
/// ```text
///             close              alike: 3 closes, 5 if spread out, more where scatter is known
///   nothing --------> suspect ---------------------------------------------> wall
///      ^                 | a connection lives on beyond it                     | 3 live on beyond
///      '-----------------+-----------------------------------------------------' it in a row
/// ```
///
/// A wall and one suspect are held side by side, so that a timer that was lowered or raised is
/// learned while the old wall still counts.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    state: State,
    burst: Option<Burst>,
    closes: u32,
}

#[derive(Clone, Debug)]
struct State {
    wall: Option<Band>,
    /// The wall that the present one took the place of, in case that was a mistake.
    former: Option<Band>,
    suspect: Option<Band>,
    /// Suspects that turned out to be accidents, lately: each makes the next harder to believe.
    strikes: u32,
    /// The last ages at which connections were closed, oldest first.
    ages: Vec<Duration>,
}

/// Closes within a few milliseconds of each other are one event at the endpoint: a restart, or one
/// sweep of its timer.
#[derive(Clone, Debug)]
struct Burst {
    began: Moment,
    lo: Duration,
    hi: Duration,
    /// What was known before it; `None` once its ages differ too much to be a timer's.
    before: Option<Box<State>>,
}

impl Band {
    fn of(age: Duration) -> Self {
        Self {
            lo: age,
            hi: age,
            closes: 1,
            sample: 1,
            passed: 0,
        }
    }

    /// A band that was measured before: by `sample` of `closes` closes. `None` if no timer is like that.
    #[must_use]
    pub fn measured(lo: Duration, hi: Duration, closes: u32, sample: u32) -> Option<Self> {
        let is_timer = lo <= hi && hi <= lo * 3 && hi <= AGE_MAX;
        let is_counted = sample >= 1 && sample as usize <= AGES && closes >= CLOSES_WALL;
        (is_timer && is_counted).then_some(Self {
            lo,
            hi,
            closes,
            sample,
            passed: 0,
        })
    }

    /// How many closes `lo` and `hi` rest on.
    #[must_use]
    pub fn sample(&self) -> u32 {
        self.sample
    }

    /// The same, as if no connection had outlived it since the last close.
    pub(super) fn untried(self) -> Self {
        Self { passed: 0, ..self }
    }

    /// Beyond this age a connection has outlived the band: its oldest close, and some for jitter.
    #[must_use]
    pub fn top(&self) -> Duration {
        self.hi + self.hi / 20 + JITTER
    }

    /// Where closes may begin, on so few of them: below the youngest seen, by what the spread and
    /// the number of closes leave open. The chance that n draws all miss the lowest 12/n of their
    /// band is e^-12, one in 160,000.
    #[must_use]
    pub fn prudent(&self) -> Duration {
        let unseen = (self.hi - self.lo) * 12 / self.sample;
        self.lo.saturating_sub(unseen + self.lo * 3 / 10 / self.sample)
    }

    /// Whether two bands describe the same timer.
    #[must_use]
    pub fn agrees(&self, other: &Self) -> bool {
        self.lo <= other.top() && other.lo <= self.top()
    }

    /// Whether its closes lie further apart than a timer's that is looked at all the time.
    pub(super) fn is_spread(&self) -> bool {
        (self.hi - self.lo) * 20 > self.hi
    }

    /// The youngest age at which a close would be one of a timer that is looked at all the time.
    pub(super) fn onset(&self) -> Duration {
        self.lo.saturating_sub(self.lo / 20 + JITTER)
    }

    /// Whether a close at this age is what the band says.
    fn holds(&self, age: Duration) -> bool {
        age + age / 20 + JITTER >= self.lo && age <= self.top()
    }

    /// Whether a close at this age may be one of the same timer: within an octave.
    pub(super) fn may_hold(&self, age: Duration) -> bool {
        age * 2 >= self.hi && age <= self.top()
    }

    fn add(&mut self, age: Duration) {
        self.lo = self.lo.min(age);
        self.hi = self.hi.max(age);
        self.closes += 1;
        self.sample += 1;
        self.passed = 0;
    }

    /// One survivor refutes one close, two refute two, three refute any number.
    fn refuted(&self) -> bool {
        self.passed >= self.closes.min(PASSES_REFUTE)
    }
}

impl Watch {
    pub(super) fn new() -> Self {
        let state = State {
            wall: None,
            former: None,
            suspect: None,
            strikes: 0,
            ages: Vec::new(),
        };
        Self {
            state,
            burst: None,
            closes: 0,
        }
    }

    pub(super) fn wall(&self) -> Option<Band> {
        self.state.wall
    }

    pub(super) fn suspect(&self) -> Option<Band> {
        self.state.suspect
    }

    /// Closes seen, a burst as one.
    pub(super) fn closes(&self) -> u32 {
        self.closes
    }

    /// Returns whether this close is an event of its own, not part of a burst that was counted.
    pub(super) fn on_closed(&mut self, age: Duration, now: Moment) -> bool {
        match self
            .burst
            .as_mut()
            .filter(|burst| now.since(burst.began) <= BURST)
        {
            Some(burst) => {
                if let Some(state) = burst.add(age) {
                    self.state = state;
                }
                false
            }
            None => {
                let before = Some(Box::new(self.state.clone()));
                self.burst = Some(Burst {
                    began: now,
                    lo: age,
                    hi: age,
                    before,
                });
                self.closes += 1;
                self.state.close(age);
                true
            }
        }
    }

    /// Whether a survival at `age` says anything about wall or suspect.
    pub(super) fn passes(&self, age: Duration) -> bool {
        let passes = |band: &Option<Band>| band.is_some_and(|band| age > band.top());
        passes(&self.state.wall) || passes(&self.state.suspect)
    }

    pub(super) fn on_passed(&mut self, age: Duration) {
        // What a survivor says outlasts a burst that turns out to be an accident.
        if let Some(before) = self.burst.as_mut().and_then(|burst| burst.before.as_mut()) {
            before.pass(age);
        }
        self.state.pass(age);
    }

    /// Starts with a wall that an earlier process learned.
    pub(super) fn recall(&mut self, wall: Band) {
        let last = (wall.sample - 1).max(1);
        // Spread evenly, as which of them were accidents is not known any more.
        let ages = (0..wall.sample).map(|at| wall.lo + (wall.hi - wall.lo) * at / last);
        self.state = State {
            wall: Some(wall),
            ages: ages.collect(),
            ..Self::new().state
        };
        self.closes = wall.closes;
    }

    /// Takes the wall of siblings as a suspicion that one close of our own confirms.
    pub(super) fn suggest(&mut self, wall: Band) {
        let state = &mut self.state;
        if state.wall.is_none() && state.suspect.is_none() {
            let closes = CLOSES_WALL - 1;
            state.suspect = Some(Band {
                closes,
                sample: wall.sample,
                passed: 0,
                ..wall
            });
        }
    }
}

impl Burst {
    /// One more close of this burst; what is known then, if it changes that.
    fn add(&mut self, age: Duration) -> Option<State> {
        if age >= self.lo && age <= self.hi {
            return None;
        }
        (self.lo, self.hi) = (self.lo.min(age), self.hi.max(age));
        let before = self.before.take()?;
        let mut state = State::clone(&before);
        // Some servers look at their idle connections only now and then, and close in one sweep
        // all that are due. More than an octave apart, the ages have nothing in common.
        if self.lo * 2 >= self.hi {
            self.before = Some(before);
            state.close(self.lo);
        } else {
            state.strike();
        }
        Some(state)
    }
}

impl State {
    fn close(&mut self, age: Duration) {
        if self.ages.len() == AGES {
            self.ages.remove(0);
        }
        self.ages.push(age);
        self.pass(age);
        match &mut self.suspect {
            Some(suspect) if suspect.lo.min(age) * 2 >= suspect.hi.max(age) => suspect.add(age),
            // A wall that stands is explanation enough.
            _ if self.wall.is_some_and(|wall| wall.holds(age)) => {
                self.strikes = self.strikes.saturating_sub(1);
            }
            // A close that fits neither is a vote against the suspect; without votes it gives way.
            Some(suspect) if suspect.closes > 1 => suspect.closes -= 1,
            suspect => *suspect = Some(Band::of(age)),
        }
        if let Some(wall) = self.wall.as_mut().filter(|wall| wall.holds(age)) {
            wall.closes += 1;
            wall.passed = 0;
        }
        self.promote();
        self.measure();
    }

    /// A connection was alive at `age`.
    fn pass(&mut self, age: Duration) {
        let pass = |band: &mut Option<Band>| {
            let Some(band) = band.as_mut().filter(|band| age > band.top()) else {
                return false;
            };
            band.passed += 1;
            band.refuted()
        };
        if pass(&mut self.suspect) {
            self.suspect = None;
            self.strike();
        }
        if pass(&mut self.wall) {
            let top = self.wall.map_or(Duration::ZERO, |wall| wall.top());
            self.ages.retain(|&age| age > top);
            self.wall = self.former.take().filter(|former| age <= former.top());
            self.promote();
        }
    }

    fn strike(&mut self) {
        self.strikes = (self.strikes + 1).min(STRIKES_MAX);
    }

    /// A suspect with enough closes is a wall; one above a wall that stands has to wait until that
    /// is refuted.
    fn promote(&mut self) {
        let Some(suspect) = self.suspect else { return };
        let needed = CLOSES_WALL + self.strikes + if suspect.is_spread() { CLOSES_SPREAD } else { 0 };
        if suspect.closes < needed || self.wall.is_some_and(|wall| suspect.hi >= wall.lo) {
            return;
        }
        self.ages.retain(|&age| suspect.may_hold(age));
        // Siblings' closes count as two of our own.
        if self.ages.len() < suspect.closes as usize {
            self.ages.splice(0..0, [suspect.lo, suspect.hi]);
        }
        self.former = self.wall.replace(Band { passed: 0, ..suspect });
        self.suspect = None;
        self.measure();
    }

    /// Takes the wall's ends from the last closes: up to a tenth of them may be accidents below
    /// it, set apart by a gap.
    fn measure(&mut self) {
        let Some(wall) = &mut self.wall else { return };
        let mut ages: Vec<_> = self
            .ages
            .iter()
            .copied()
            .filter(|&age| wall.may_hold(age))
            .collect();
        ages.sort_unstable();
        let Some(&hi) = ages.last() else { return };
        let apart = |at: usize| {
            let gap = ages[at + 1] - ages[at];
            gap > (hi / 10).max((hi - ages[at + 1]) / 2)
        };
        let accidents = (0..ages.len() / 10)
            .rev()
            .find(|&at| apart(at))
            .map_or(0, |at| at + 1);
        (wall.lo, wall.hi) = (ages[accidents], hi);
        wall.sample = u32::try_from(ages.len() - accidents).unwrap_or(u32::MAX);
        // What the wall has come to explain is no longer suspect.
        let (lo, top) = (wall.lo, wall.top());
        self.suspect = self.suspect.filter(|suspect| suspect.lo < lo || suspect.hi > top);
    }
}

/// No server waits longer: a wall at a greater age is no timer's.
const AGE_MAX: Duration = Duration::from_secs(9 * 3600);

/// The last closes that a wall is measured by.
const AGES: usize = 64;

/// Closes within this time of each other are one event.
const BURST: Duration = Duration::from_millis(50);

/// Scheduling on either side moves a close by this much.
const JITTER: Duration = Duration::from_millis(5);

/// Closes alike that make a wall: one may be a restart, two chance.
const CLOSES_WALL: u32 = 3;

/// … and so many more if they are spread over more than a twentieth of their age.
const CLOSES_SPREAD: u32 = 2;

/// Survivors in a row that refute a wall.
const PASSES_REFUTE: u32 = 3;

/// However much scatter there is, a wall needs no more than this many closes beyond the usual.
const STRIKES_MAX: u32 = 5;
