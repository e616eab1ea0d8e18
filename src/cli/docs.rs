//! `statesync completions` and `statesync man`: made from the arguments' definitions.

use clap::CommandFactory;

use super::args::Cli;
use super::exit::{Exit, Failure};
use super::report;

pub(super) fn completions(shell: clap_complete::Shell) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "statesync", &mut script);
    report::text(String::from_utf8_lossy(&script).trim_end())
}

pub(super) fn man() -> Result<Exit, Failure> {
    let mut page = Vec::new();
    let rendered = clap_mangen::Man::new(Cli::command()).render(&mut page);
    rendered.map_err(|error| Failure::new(Exit::Failure, format!("cannot render the manual page: {error}")))?;
    report::text(String::from_utf8_lossy(&page).trim_end())
}
