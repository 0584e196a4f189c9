//! The steps of the hot path, each to be counted under callgrind by `cargo xtask instructions`.
//!
//! `instructions --list` names them, `instructions STEP` takes one. What callgrind counts is what
//! happens inside of [`counted_rounds`]; all that a step needs is made before, and it has been taken
//! a few times until its memory has grown to its size.

mod heads;
mod outbound;
mod parse;
mod pool;
mod record;
mod route;
mod whole;

use std::process::ExitCode;

/// A step, ready to be taken any number of times.
type Step = Box<dyn FnMut()>;

/// Makes a step ready.
type Make = fn() -> Step;

/// Every step by its name.
const STEPS: [(&str, Make); 17] = [
    ("parse request", parse::request),
    ("parse response", parse::response),
    ("check request", parse::check),
    ("normalise path", route::normalise),
    ("route of 1", || route::find(1)),
    ("route of 1000", || route::find(1_000)),
    ("route of 10000", || route::find(10_000)),
    ("expression of 300", || route::express(300)),
    ("checkout and hand back", pool::checkout),
    ("decide", pool::decide),
    ("read and forward request", outbound::request),
    ("read and forward response", outbound::response),
    ("log nothing", record::off),
    ("log text", record::text),
    ("log json", record::json),
    ("histogram", record::histogram),
    ("whole request", whole::request),
];

/// How often a step is taken while it is counted: chance (a batch that is full, a page that is new)
/// is then a small part of the figure. `cargo xtask instructions` divides by it.
const ROUNDS: u32 = 200;

/// How often it is taken before that.
const WARM_UP: u32 = 100;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("--list") => {
            println!("{ROUNDS}");
            STEPS.iter().for_each(|(name, _)| println!("{name}"));
            ExitCode::SUCCESS
        }
        Some(wanted) => match STEPS.iter().find(|(name, _)| *name == wanted) {
            Some((_, make)) => {
                let mut step = make();
                (0..WARM_UP).for_each(|_| step());
                counted_rounds(&mut *step);
                ExitCode::SUCCESS
            }
            None => {
                eprintln!("there is no step {wanted:?}; `--list` names them");
                ExitCode::FAILURE
            }
        },
        None => {
            eprintln!("name a step; `--list` names them");
            ExitCode::FAILURE
        }
    }
}

/// What callgrind counts: it knows this function by its name.
#[inline(never)]
fn counted_rounds(step: &mut dyn FnMut()) {
    for _ in 0..ROUNDS {
        step();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_can_be_taken_again_and_again() {
        for (name, make) in STEPS {
            let mut step = make();
            (0..3).for_each(|_| step());
            assert!(!name.is_empty());
        }
    }
}
