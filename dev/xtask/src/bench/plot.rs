//! The ratios as a picture: one group of bars for each scenario, in SVG.

use std::fmt::Write;

use super::line::HAPROXY;
use super::plan::Kind;
use super::report::BenchReport;

/// The cost of each line over HAProxy's, for all scenarios that compare with it.
pub(super) fn render(report: &BenchReport) -> String {
    let (mut bars, mut y) = (String::new(), TOP);
    for scenario in &report.scenarios {
        let is_shown =
            matches!(scenario.scenario.kind(), Kind::Cost(_)) && scenario.scenario.base() == HAPROXY;
        if !is_shown {
            continue;
        }
        // Writing to a String can not fail.
        let _ = writeln!(
            bars,
            "<text x=\"{LABELS}\" y=\"{}\" class=\"name\">{}</text>",
            y + 12,
            escaped(&scenario.scenario.name())
        );
        y += 18;
        for line in &scenario.lines {
            let Some(ratio) = scenario.ratio(&line.name, HAPROXY) else {
                continue;
            };
            let _ = writeln!(bars, "{}", bar(&line.name, ratio.median, y));
            y += BAR + 3;
        }
        y += 10;
    }
    let height = y + 20;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\">\n\
         <style>text{{font:11px sans-serif;fill:#333}}.name{{font-weight:bold}}.title{{font-size:14px;font-weight:bold}}</style>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"{LABELS}\" y=\"20\" class=\"title\">CPU time of a request, HAProxy = 1 (less is better)</text>\n\
         <text x=\"{LABELS}\" y=\"36\">commit {}, Linux {}, {} rounds</text>\n{}{bars}</svg>\n",
        escaped(&report.facts.commit),
        escaped(&report.facts.kernel),
        report.rounds,
        scale(height),
    )
}

/// Lines at every half, that of HAProxy the strongest.
fn scale(height: u32) -> String {
    let mut lines = String::new();
    for half in 0..=(RATIO_MAX * 2.0) as u32 {
        let x = at(f64::from(half) / 2.0);
        let colour = if half == 2 { "#555" } else { "#ddd" };
        let _ = writeln!(
            lines,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{}\" y2=\"{}\" stroke=\"{colour}\"/>\
             <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{:.1}</text>",
            TOP - 4,
            height - 18,
            height - 5,
            f64::from(half) / 2.0
        );
    }
    lines
}

fn bar(name: &str, ratio: f64, y: u32) -> String {
    let colour = match name {
        "evenkeel" => "#0a7d55",
        "evenkeel-release" => "#7fbfa5",
        "floor" => "#b8b8b8",
        _ => "#7f9fc4",
    };
    let end = at(ratio.min(RATIO_MAX));
    // A bar that does not fit is cut off, and says so.
    let figure = if ratio > RATIO_MAX {
        format!("{ratio:.2} →")
    } else {
        format!("{ratio:.2}")
    };
    format!(
        "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\
         <rect x=\"{BARS}\" y=\"{y}\" width=\"{:.1}\" height=\"{BAR}\" fill=\"{colour}\"/>\
         <text x=\"{:.1}\" y=\"{}\">{figure}</text>",
        BARS - 6,
        y + BAR - 2,
        escaped(name),
        end - f64::from(BARS),
        end + 4.0,
        y + BAR - 2,
    )
}

fn at(ratio: f64) -> f64 {
    f64::from(BARS) + ratio / RATIO_MAX * f64::from(WIDTH - BARS - 60)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

const WIDTH: u32 = 760;
const TOP: u32 = 52;
const LABELS: u32 = 12;
/// Where bars begin.
const BARS: u32 = 120;
const BAR: u32 = 12;
/// The longest bar.
const RATIO_MAX: f64 = 3.0;
