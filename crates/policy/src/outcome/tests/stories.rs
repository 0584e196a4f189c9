//! Sentences are held against random stories: attempts as the machine of attempts makes them.

use std::time::Duration;

use proptest::prelude::*;

use super::super::*;
use crate::cluster::EndpointId;
use crate::deadline::Arrival;
use crate::evidence::{End, Facts, Grade, Written, grade};
use crate::plan::{ClusterPlan, OwnerRetry, RetryOn, RetryPlan, UnsafeMethods};
use crate::retry::attempts::{Attempts, NextStep, Outcome, RetryTraits, Summary};
use crate::time::{Dice, Moment};

/// How one attempt of a random story ends.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Status(u16),
    Refused,
    ConnectTimeout,
    Died(End, Written),
    TimedOut,
}

fn fates() -> impl Strategy<Value = Fate> {
    let end = prop_oneof![
        Just(End::Eof),
        Just(End::Reset),
        Just(End::Silent),
        Just(End::Other)
    ];
    let written = prop_oneof![Just(Written::PartOfHead), Just(Written::WholeHead)];
    prop_oneof![
        prop_oneof![Just(200_u16), Just(503)].prop_map(Fate::Status),
        Just(Fate::Refused),
        Just(Fate::ConnectTimeout),
        (end, written).prop_map(|(end, written)| Fate::Died(end, written)),
        Just(Fate::TimedOut),
    ]
}

fn retries() -> impl Strategy<Value = RetryPlan> {
    let owner = (0_u32..4, any::<[bool; 4]>()).prop_map(
        |(attempts, [reset, connect_failure, timeout, unsafe_retried])| {
            RetryPlan::Owner(OwnerRetry {
                attempts,
                unsafe_methods: if unsafe_retried {
                    UnsafeMethods::Retry
                } else {
                    UnsafeMethods::ProvenOnly
                },
                backoff: None,
                backoff_max: None,
                on: RetryOn {
                    reset,
                    connect_failure,
                    reset_before_request: false,
                    timeout,
                    statuses: vec![503],
                },
            })
        },
    );
    prop_oneof![Just(RetryPlan::Transparent), owner]
}

fn facts(end: End, written: Written) -> Facts {
    Facts {
        written,
        end,
        ended_before_write: false,
        head_bytes: 200,
        acknowledged: Some(200),
        response_begun: false,
    }
}

fn death(end: End) -> Death {
    match end {
        End::Silent | End::TimedOut => Death::Silent,
        End::Reset => Death::Reset,
        End::Eof | End::BrokenPipe | End::Farewell | End::Stale => Death::Closed,
        End::ConnectFailed | End::Other => Death::Lost,
    }
}

impl Fate {
    fn result(self) -> Outcome {
        let died = |end, grade| Outcome::Died { end, grade };
        match self {
            Self::Status(status) => Outcome::Status(status),
            Self::Refused => died(End::ConnectFailed, Grade::Unsent),
            Self::ConnectTimeout => Outcome::ConnectTimedOut,
            Self::Died(end, written) => died(end, grade(&facts(end, written))),
            Self::TimedOut => died(End::TimedOut, Grade::Unknown),
        }
    }

    fn end(self) -> AttemptEnd {
        match self {
            Self::Status(status) => AttemptEnd::Status(status),
            Self::Refused => AttemptEnd::Connect(ConnectFault::Refused),
            Self::ConnectTimeout => AttemptEnd::ConnectTimeout,
            Self::Died(end, written) => AttemptEnd::Died(Ended {
                death: death(end),
                facts: facts(end, written),
                grade: grade(&facts(end, written)),
                written: 200,
                knowledge: None,
            }),
            Self::TimedOut => AttemptEnd::TimedOut(Sent {
                written: 200,
                acknowledged: Some(200),
            }),
        }
    }

    fn failure(self) -> Option<Failure> {
        Some(match self {
            Self::Status(_) => return None,
            Self::Refused => Failure::Connect(ConnectFault::Refused),
            Self::ConnectTimeout => Failure::ConnectTimeout,
            Self::Died(end, _) => Failure::Died(death(end)),
            Self::TimedOut => Failure::PerTryTimeout,
        })
    }
}

/// Lives a story, and gives the last fate, the history and the sentence.
fn lived(plan: &ClusterPlan, traits: RetryTraits, fates: &[Fate], reused: bool) -> (Fate, History, String) {
    let mut attempts = Attempts::new(&plan.retry, traits);
    let (mut history, mut rule, mut dice) = (History::default(), Rule::First, Dice::seeded(7));
    let now = Moment::from_millis(1);
    let mut last = fates[0];
    for &fate in fates {
        last = fate;
        let summary = Summary {
            endpoint: Some(EndpointId(1)),
            reused: reused && rule == Rule::First,
            raced: false,
            copy_whole: traits.fits_copy,
            arrival: Arrival::Whole,
            answered: false,
            result: fate.result(),
        };
        let after = attempts.on_result(&summary, now, &mut dice);
        let fine = matches!(fate, Fate::Status(200));
        if !fine || matches!(after, NextStep::Again { .. }) {
            history.push(Attempt {
                rule,
                endpoint: "10.0.0.1:80".into(),
                idle_age: summary.reused.then_some(Duration::from_millis(5001)),
                lasted: Duration::from_millis(40),
                end: fate.end(),
            });
        }
        match after {
            NextStep::Again { why, .. } => rule = attempts.rule(why),
            NextStep::Answer => break,
        }
    }
    history.stop = attempts.stop();
    if matches!(last, Fate::Status(200)) {
        history.current = Some(rule);
    }
    let failure = last.failure();
    let ending = match (&failure, last) {
        (Some(failure), _) => Ending::Failed(failure),
        (None, Fate::Status(503)) => Ending::Answered(503),
        (None, _) => Ending::Saved,
    };
    let told = sentence(&Story {
        ending,
        progress: Progress {
            phase: Phase::Response,
            ..Progress::default()
        },
        history: Some(&history),
        settings: Settings {
            client: client_settings(),
            route: None,
            plan: Some(plan),
            auto_timeout: None,
        },
        around: "",
        speaks: None,
    });
    (last, history, told)
}

pub(super) fn client_settings() -> ClientSettings {
    let second = Duration::from_secs(1);
    ClientSettings {
        head_timeout: Setting::span("ClientTrafficPolicy head", second, second),
        body_timeout: Setting::span("ClientTrafficPolicy body", second, second),
        head_bytes: Setting::bytes("ClientTrafficPolicy headers.maxBytes", 61440, 61440),
        fields: Setting::count("ClientTrafficPolicy headers.maxFields", 100, 100),
        request_line: Setting::bytes("ClientTrafficPolicy headers.maxRequestLineBytes", 16384, 16384),
        trailer_bytes: 8192,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn a_sentence_says_what_the_story_says(
        retry in retries(),
        (idempotent, keyed, fits_copy, reused) in any::<(bool, bool, bool, bool)>(),
        fates in proptest::collection::vec(fates(), 12),
    ) {
        let plan = ClusterPlan { retry, ..ClusterPlan::default() };
        let traits = RetryTraits { idempotent, keyed, fits_copy };
        let (last, history, told) = lived(&plan, traits, &fates, reused);
        let made = history.made();
        prop_assert!(told.starts_with(char::is_uppercase) && told.ends_with('.'), "{}", told);
        // How often, and never otherwise.
        if made > 1 {
            prop_assert!(!told.contains("did not retry") && !told.contains("not sent again"), "{}", told);
            let counted = match history.sent() {
                0 => format!("made {made} attempts, none of which sent the request"),
                sent if sent == made => format!("sent the request {made} times"),
                sent => format!("made {made} attempts, of which {sent} sent the request"),
            };
            prop_assert!(told.contains(&counted), "{}", told);
        } else {
            prop_assert!(!told.contains(" times"), "{}", told);
        }
        // By which rule.
        let owner = matches!(plan.retry, RetryPlan::Owner(_));
        prop_assert!(!owner || !told.contains("default retry"), "{}", told);
        prop_assert!(owner || !told.contains("by the route's retry"), "{}", told);
        // Who ended it, and how.
        let closes = ["closed a", "reset a", "refused the connection", "did not accept", "took longer than"];
        let said = match last {
            Fate::Died(End::Eof, _) => Some("closed a"),
            Fate::Died(End::Reset, _) => Some("reset a"),
            Fate::Refused => Some("refused the connection"),
            Fate::ConnectTimeout => Some("did not accept"),
            Fate::TimedOut => Some("took longer than"),
            Fate::Died(..) | Fate::Status(_) => None,
        };
        if last.failure().is_some() {
            for phrase in closes {
                prop_assert_eq!(told.contains(phrase), said == Some(phrase), "{} in {}", phrase, told);
            }
        }
        // No setting that is set is advised.
        if owner {
            prop_assert!(!told.contains("set retry") && !told.contains("retry on the route allows"), "{}", told);
        }
        if keyed {
            prop_assert!(!told.contains("send an Idempotency-Key"), "{}", told);
        }
    }
}
