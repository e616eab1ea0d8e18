//! Runs the program and turns how it ended into an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    statesync::cli::run(std::env::args_os()).into()
}
