//! The command line: one file for each command.

mod args;
mod connect;
mod demo;
mod diff;
mod docs;
mod exit;
mod export;
mod get;
mod import;
mod peers;
mod preimages;
mod proof;
mod prune;
mod read_args;
mod reading;
mod repair;
mod report;
mod serve;
mod signals;
mod status;
mod sync;
mod target;
mod verify;

use std::ffi::OsString;

use clap::Parser;

use self::args::{Cli, Command};
pub use self::exit::Exit;
use self::exit::Failure;
use crate::ui;

/// Runs the program with its arguments, the program's name first, and says how it ended. Results go to standard
/// output, everything else to standard error.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors, and go to standard output.
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Complete };
            let _ = error.print();
            return exit;
        }
    };
    start_logs(&cli);
    match dispatch(&cli) {
        Ok(exit) => exit,
        Err(Failure { exit, message, hint }) => {
            ui::say(&format!("error: {message}"));
            if let Some(hint) = hint {
                ui::say(&format!("hint: {hint}"));
            }
            exit
        }
    }
}

fn dispatch(cli: &Cli) -> Result<Exit, Failure> {
    match &cli.command {
        Command::Sync(arguments) => sync::run(cli, arguments),
        Command::Peers(arguments) => peers::run(cli, arguments),
        Command::Status(arguments) => status::run(cli, arguments),
        Command::Verify(arguments) => verify::run(cli, arguments),
        Command::Repair(arguments) => repair::run(cli, arguments),
        Command::Get(arguments) => get::run(cli, arguments),
        Command::Proof(arguments) => proof::run(arguments),
        Command::Diff(arguments) => diff::run(cli, arguments),
        Command::Import(arguments) => import::run(cli, arguments),
        Command::Export(arguments) => export::run(cli, arguments),
        Command::Preimages(arguments) => preimages::run(cli, arguments),
        Command::Prune(arguments) => prune::run(cli, arguments),
        Command::Serve(arguments) => serve::run(arguments),
        Command::Demo(arguments) => demo::run(cli, arguments),
        Command::Completions { shell } => docs::completions(*shell),
        Command::Man => docs::man(),
    }
}

fn start_logs(cli: &Cli) {
    use tracing_subscriber::EnvFilter;
    let default = match cli.verbose {
        0 => "off",
        1 => "statesync=debug",
        _ => "statesync=trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(ui::LogWriter::default);
    let color = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    // Fails only when a subscriber is set already, as when the library's user has one.
    let _ = logs.with_ansi(color && std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init();
}
