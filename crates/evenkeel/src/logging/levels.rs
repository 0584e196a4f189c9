//! Levels of the operational log: one for everything, and others for parts of the program.

use std::fmt;
use std::str::FromStr;

use tracing_subscriber::filter::{LevelFilter, Targets};

/// What `--log-level` and the admin's `/logging` take: a level, or directives `PART=LEVEL` separated
/// by commas, with or without a level for everything else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Levels {
    /// Of what no directive names.
    all: LevelFilter,
    parts: Vec<(&'static Part, LevelFilter)>,
}

/// A part of the program by name, and the modules that it is made of.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    name: &'static str,
    modules: &'static [&'static str],
}

/// What to write instead of what was wrong.
pub(crate) const ADVICE: &str = "use off, error, warn, info, debug or trace, or directives such as \
     info,evenkeel_proxy=debug or warn,discovery=debug";

const LEVELS: [(&str, LevelFilter); 6] = [
    ("off", LevelFilter::OFF),
    ("error", LevelFilter::ERROR),
    ("warn", LevelFilter::WARN),
    ("info", LevelFilter::INFO),
    ("debug", LevelFilter::DEBUG),
    ("trace", LevelFilter::TRACE),
];

/// Our own modules. Libraries stay at `info` where everything is to be more than that, since their
/// lines are for their authors; they can be named.
const OURS: &[&str] = &["evenkeel", "proxy", "config", "policy"];

const PARTS: &[Part] = &[
    part("evenkeel", OURS),
    part("evenkeel_proxy", &["proxy"]),
    part("evenkeel_config", &["config"]),
    part("upstream", &["proxy::upstream"]),
    part("exchange", &["proxy::exchange"]),
    part("listener", &["proxy::downstream", "proxy::worker"]),
    part("discovery", &["proxy::control::discovery"]),
    part("health", &["proxy::control::health"]),
    part(
        "control",
        &[
            "proxy::control::reload",
            "proxy::control::server",
            "evenkeel::run",
            "evenkeel::watch",
        ],
    ),
    part("access_log", &["proxy::telemetry::record"]),
    part("admin", &["proxy::admin"]),
    part("engine", &["proxy::engine"]),
    part("hickory", &["hickory_resolver", "hickory_net", "hickory_proto"]),
];

const fn part(name: &'static str, modules: &'static [&'static str]) -> Part {
    Part { name, modules }
}

impl Levels {
    /// The filter that they amount to.
    pub(crate) fn targets(&self) -> Targets {
        let ours = OURS.iter().map(|module| (*module, self.all));
        let mut targets = Targets::new()
            .with_default(self.all.min(LevelFilter::INFO))
            .with_targets(ours);
        // In the order in which they are written: the last word on a module counts.
        for (part, level) in &self.parts {
            targets = targets.with_targets(part.modules.iter().map(|module| (*module, *level)));
        }
        targets
    }
}

impl FromStr for Levels {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (mut all, mut parts) = (None, Vec::new());
        for word in text.split(',').map(str::trim) {
            match word.split_once('=') {
                Some((name, word)) => parts.push((find(name.trim())?, level(word.trim())?)),
                None => {
                    if all.replace(level(word)?).is_some() {
                        return Err(format!("`{word}` is the second level for everything"));
                    }
                }
            }
        }
        let all = all.unwrap_or(LevelFilter::INFO);
        Ok(Self { all, parts })
    }
}

impl fmt::Display for Levels {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.all)?;
        self.parts
            .iter()
            .try_for_each(|(part, level)| write!(out, ",{}={level}", part.name))
    }
}

fn level(word: &str) -> Result<LevelFilter, String> {
    if let Some((_, level)) = LEVELS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)) {
        return Ok(*level);
    }
    if word.is_empty() {
        return Err("a level is missing".to_owned());
    }
    let near = nearest(word, LEVELS.iter().map(|(name, _)| *name));
    Err(format!("`{word}` is no level{near}"))
}

/// A part by its name, by `evenkeel_proxy::NAME`, or by the name of a module of it.
fn find(name: &str) -> Result<&'static Part, String> {
    let short = name.strip_prefix("evenkeel_proxy::").unwrap_or(name);
    let named = |part: &&Part| part.name == short || part.modules == [short] || is_module(part, short);
    if let Some(part) = PARTS.iter().find(named) {
        return Ok(part);
    }
    let near = nearest(short, PARTS.iter().map(|part| part.name));
    let names: Vec<&str> = PARTS.iter().map(|part| part.name).collect();
    Err(format!(
        "`{name}` is no part of the log{near}; the parts are {}",
        names.join(", ")
    ))
}

/// Whether `name` is that of the part's one module, in whichever folder of the proxy it is.
fn is_module(part: &Part, name: &str) -> bool {
    let last = |path: &str| path.rsplit("::").next().map(str::to_owned);
    match part.modules {
        [module] => name.starts_with("proxy::") && last(module) == last(name),
        _ => false,
    }
}

/// `; did you mean ...?` if one of `names` is near.
fn nearest(word: &str, names: impl Iterator<Item = &'static str>) -> String {
    let near = names.map(|name| (distance(word, name), name)).min();
    near.filter(|(distance, _)| *distance <= TYPOS_MAX)
        .map_or_else(String::new, |(_, name)| format!("; did you mean `{name}`?"))
}

const TYPOS_MAX: usize = 2;

/// How many letters have to be put in, taken out or changed, of at most the first 64.
fn distance(one: &str, two: &str) -> usize {
    let (one, two): (Vec<char>, Vec<char>) = (one.chars().take(64).collect(), two.chars().collect());
    let mut row: Vec<usize> = (0..=two.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut before = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in two.iter().enumerate() {
            let change = before + usize::from(!a.eq_ignore_ascii_case(b));
            before = row[j + 1];
            row[j + 1] = change.min(before + 1).min(row[j] + 1);
        }
    }
    row[two.len()]
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::filter::LevelFilter as L;

    use super::*;

    fn enabled(levels: &str, target: &str, level: tracing::Level) -> bool {
        levels
            .parse::<Levels>()
            .unwrap()
            .targets()
            .would_enable(target, &level)
    }

    #[test]
    fn a_level_is_for_everything_of_ours_and_libraries_stay_quiet() {
        assert!(enabled("debug", "proxy::control::reload", tracing::Level::DEBUG));
        assert!(enabled("debug", "evenkeel::run", tracing::Level::DEBUG));
        assert!(!enabled("debug", "hickory_net::udp", tracing::Level::DEBUG));
        assert!(!enabled("info", "proxy::control::reload", tracing::Level::DEBUG));
        assert!(!enabled("off", "proxy::control::reload", tracing::Level::ERROR));
        assert!(enabled(
            "hickory=debug",
            "hickory_net::udp",
            tracing::Level::DEBUG
        ));
    }

    #[test]
    fn the_directives_that_the_manual_names_match() {
        for levels in [
            "info,evenkeel_proxy=debug",
            "evenkeel_proxy=debug",
            "evenkeel=debug",
            "proxy=debug",
        ] {
            assert!(
                enabled(levels, "proxy::upstream::lease", tracing::Level::DEBUG),
                "{levels}"
            );
        }
        for levels in [
            "warn,discovery=debug",
            "warn, evenkeel_proxy::discovery = DEBUG",
            "proxy::discovery=debug",
            "proxy::control::discovery=debug",
        ] {
            assert!(
                enabled(levels, "proxy::control::discovery", tracing::Level::DEBUG),
                "{levels}"
            );
            assert!(
                !enabled(levels, "proxy::control::reload", tracing::Level::DEBUG),
                "{levels}"
            );
        }
    }

    #[test]
    fn what_is_no_level_and_no_part_is_refused_with_what_would_be_right() {
        let refused = |levels: &str| levels.parse::<Levels>().unwrap_err();
        assert_eq!(refused("inof"), "`inof` is no level; did you mean `info`?");
        assert_eq!(refused("loud"), "`loud` is no level");
        assert_eq!(refused(""), "a level is missing");
        assert_eq!(
            refused("info,debug"),
            "`debug` is the second level for everything"
        );
        assert_eq!(refused("evenkeel_proxy="), "a level is missing");
        let part = refused("info,evenkeel_porxy=debug");
        assert!(
            part.contains("did you mean `evenkeel_proxy`?") && part.contains("discovery"),
            "{part}"
        );
    }

    #[test]
    fn levels_are_written_as_they_can_be_read_again() {
        for text in ["info", "off", "warn,evenkeel_proxy=debug,discovery=trace"] {
            assert_eq!(text.parse::<Levels>().unwrap().to_string(), text);
        }
        assert_eq!("INFO".parse::<Levels>().unwrap().all, L::INFO);
    }
}
