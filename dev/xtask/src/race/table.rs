//! Results for people.

use std::fmt::Write;

use super::report::{LabReport, MethodReport, RunReport};

/// All runs as tables, and what was missed and skipped.
pub(crate) fn render(report: &LabReport) -> String {
    let mut text = String::new();
    for run in &report.runs {
        // Writing to a String can not fail.
        let _ = write!(text, "{}", heading(run));
        let _ = writeln!(
            text,
            "{:12} {:>7} {:>9} {:>7} {:>8} {:>8} {:>6} {:>5} {:>4} {:>8} {:>14} {:>9}  kinds",
            "method",
            "raced",
            "in-window",
            "met",
            "avoided",
            "replayed",
            "errors",
            "twice",
            "lost",
            "plain",
            "added p50/p99",
            "slowest"
        );
        run.methods.iter().for_each(|method| text.push_str(&row(method)));
        run.missed.iter().for_each(|missed| {
            let _ = writeln!(text, "MISSED  {missed}");
        });
        text.push('\n');
    }
    for skipped in &report.skipped {
        let _ = writeln!(text, "skipped {skipped}");
    }
    text
}

/// One run in one line, for those who wait.
pub(crate) fn line(run: &RunReport) -> String {
    let sum = |count: &dyn Fn(&MethodReport) -> u64| run.methods.iter().map(count).sum::<u64>();
    format!(
        "{} {}: {} in-window, {} met, {} errors, {} twice, {} lost in {} s",
        run.peer,
        run.way,
        sum(&|method| method.in_window),
        sum(&|method| method.met),
        sum(&MethodReport::error_count),
        sum(&|method| method.duplicates),
        sum(&|method| method.lost),
        run.seconds
    )
}

fn heading(run: &RunReport) -> String {
    let per_close = run
        .opened_per_close
        .map_or_else(|| "-".into(), |per_close| per_close.to_string());
    format!(
        "{} against {} ({}): {} requests in {} s, {} connections opened, {} closed by the backend \
         ({per_close} opened per close), {} idle at once at most, reuse {:.2} %, closes at {} to {} ms idle\n",
        run.peer,
        run.way,
        run.meaning,
        run.requests,
        run.seconds,
        run.opened,
        run.closes,
        run.most_idle,
        run.reuse * 100.0,
        run.timer_ms.0,
        run.timer_ms.1
    )
}

fn row(method: &MethodReport) -> String {
    let added = method
        .added_ms
        .map_or_else(|| "-".into(), |(p50, p99)| format!("{p50:.1}/{p99:.1} ms"));
    let mut kinds: Vec<String> = method
        .errors
        .iter()
        .map(|(kind, count)| format!("{count} x {kind}"))
        .collect();
    if method.unread > 0 {
        kinds.push(format!(
            "({} unread at the close, {} of them failed)",
            method.unread, method.unread_errors
        ));
    }
    if method.repeatable > 0 {
        kinds.push(format!(
            "({} met silence and bear a repetition: {} failed, slowest {:.0} ms)",
            method.repeatable, method.repeatable_errors, method.repeatable_slowest_ms
        ));
    }
    if method.later_met > 0 {
        kinds.push(format!(
            "(later: {} of {} failed)",
            method.later_errors, method.later_met
        ));
    }
    format!(
        "{:12} {:>7} {:>9} {:>7} {:>8} {:>8} {:>6} {:>5} {:>4} {:>8} {:>14} {:>6.0} ms  {}\n",
        method.method.name(),
        method.raced,
        method.in_window,
        method.met,
        method.avoided,
        method.replayed,
        method.error_count(),
        method.duplicates,
        method.lost,
        method
            .undisturbed_ms
            .map_or_else(|| "-".into(), |p50| format!("{p50:.1} ms")),
        added,
        method.slowest_ms,
        kinds.join(", ")
    )
}
