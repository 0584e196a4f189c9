//! What the program prints about itself: explanations, completions, the manual page.

use std::process::ExitCode;

use clap::CommandFactory as _;
use config::Code;

use crate::cli::{Cli, CompletionsArgs, ExplainArgs};
use crate::complaint::Complaint;

/// Explains one kind of mistake, or lists all of them.
pub(crate) fn explain(args: &ExplainArgs) -> Result<ExitCode, Complaint> {
    let Some(wanted) = &args.code else {
        for code in Code::ALL {
            println!(
                "{}  {:7}  {}",
                code.number(),
                code.severity().word(),
                code.explain()
            );
        }
        return Ok(ExitCode::SUCCESS);
    };
    // `10`, `ek10` and `EK0010` are the same.
    let digits = wanted.trim_start_matches(['E', 'e', 'K', 'k']);
    let number = digits.parse::<u16>().map(|number| format!("EK{number:04}"));
    let found = Code::ALL
        .iter()
        .find(|code| number.as_deref().is_ok_and(|number| number == code.number()));
    match found {
        Some(code) => {
            print!("{}", code.page());
            Ok(ExitCode::SUCCESS)
        }
        None => Err(Complaint::new(
            format!("there is no mistake called `{}`", wanted.escape_debug()),
            "`evenkeel explain` lists all of them",
        )),
    }
}

/// Prints completions for a shell.
pub(crate) fn completions(args: &CompletionsArgs) -> Result<ExitCode, Complaint> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "evenkeel", &mut script);
    print(&script)
}

/// Prints the manual page, with a section for each command.
pub(crate) fn man() -> Result<ExitCode, Complaint> {
    let mut page = Vec::new();
    let rendered = render(&mut page)
        .map_err(|why| Complaint::new(format!("the manual page: {why}"), "`evenkeel help` says the same"));
    rendered?;
    print(&page)
}

fn render(page: &mut Vec<u8>) -> std::io::Result<()> {
    let mut command = Cli::command();
    command.build();
    clap_mangen::Man::new(command.clone()).render(page)?;
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        let name = format!("evenkeel {}", sub.get_name());
        page.extend(format!(".SH \"COMMAND {}\"\n", name.to_uppercase()).bytes());
        let man = clap_mangen::Man::new(sub.clone().bin_name(name));
        man.render_synopsis_section(page)?;
        man.render_description_section(page)?;
        man.render_options_section(page)?;
    }
    Ok(())
}

/// Who reads only the beginning, as `| head` does, has seen enough.
fn print(bytes: &[u8]) -> Result<ExitCode, Complaint> {
    use std::io::Write as _;
    match std::io::stdout().write_all(bytes) {
        Err(why) if why.kind() != std::io::ErrorKind::BrokenPipe => Err(Complaint::new(
            format!("standard output: {why}"),
            "check where it goes to",
        )),
        _ => Ok(ExitCode::SUCCESS),
    }
}
