//! The real binary.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::patience;

/// How a run of the program ended.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Output {
    /// Standard output as one JSON document.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in {self:#?}"))
    }

    /// The same output, if it has this exit code.
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }
}

/// Runs the program to its end.
pub(crate) fn statesync<const N: usize>(arguments: [&str; N]) -> Output {
    statesync_in(&[], &arguments)
}

/// Runs the program with environment variables.
pub(crate) fn statesync_in(environment: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut command = assert_cmd::Command::from_std(program(arguments));
    let output = command.envs(environment.iter().copied()).timeout(patience()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    Output { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

/// Starts the program.
pub(crate) fn spawn(arguments: &[&str]) -> Child {
    spawn_in(&[], arguments)
}

/// Starts the program with environment variables.
pub(crate) fn spawn_in(environment: &[(&str, &str)], arguments: &[&str]) -> Child {
    program(arguments)
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Sends a signal and waits for the end.
pub(crate) fn end_by(signal: Signal, child: Child) -> Output {
    kill_process(Pid::from_child(&child), signal).unwrap();
    ended(child)
}

/// Waits for the end.
pub(crate) fn ended(child: Child) -> Output {
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Output { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// A run with `--json` whose progress is read while it goes on; killed when this value goes before its end.
pub(crate) struct Watched {
    child: Child,
    stderr: BufReader<ChildStderr>,
    said: String,
}

impl Watched {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_in(&[], arguments)
    }

    /// The same with environment variables.
    pub(crate) fn start_in(environment: &[(&str, &str)], arguments: &[&str]) -> Self {
        let mut child = spawn_in(environment, arguments);
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self { child, stderr, said: String::new() }
    }

    /// Reads on to the first message that is such.
    pub(crate) fn until(&mut self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        self.find(is_it).unwrap_or_else(|| panic!("it ended before {what}:\n{}", self.said))
    }

    /// Reads on to the first message that is such, or to the end.
    pub(crate) fn find(&mut self, is_it: impl Fn(&Value) -> bool) -> Option<Value> {
        loop {
            let from = self.said.len();
            if self.stderr.read_line(&mut self.said).unwrap() == 0 {
                return None;
            }
            match serde_json::from_str(&self.said[from..]) {
                Ok(message) if is_it(&message) => return Some(message),
                _ => {}
            }
        }
    }

    /// Reads on to a line that contains this.
    pub(crate) fn until_said(&mut self, text: &str) {
        loop {
            let from = self.said.len();
            assert_ne!(self.stderr.read_line(&mut self.said).unwrap(), 0, "it ended before {text}:\n{}", self.said);
            if self.said[from..].contains(text) {
                return;
            }
        }
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the end.
    pub(crate) fn end(mut self) -> Output {
        self.stderr.read_to_string(&mut self.said).unwrap();
        let mut stdout = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        let code = self.child.wait().unwrap().code();
        Output { code, stdout, stderr: std::mem::take(&mut self.said) }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_statesync"));
    // What the machine happens to have set must not matter.
    for variable in ["ETH_RPC_URL", "RUST_LOG", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        command.env_remove(variable);
    }
    command.args(arguments);
    command
}

/// A `statesync serve` that ends with this value.
pub(crate) struct Served {
    child: Child,
    pub(crate) url: String,
}

impl Served {
    /// Serves what the arguments say on a free port.
    pub(crate) fn start(what: &str, path: &Path) -> Self {
        let path = path.to_str().unwrap();
        let mut child = spawn(&["serve", what, path, "--listen", "127.0.0.1:0"]);
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("serving on ") {
            line.clear();
            assert_ne!(said.read_line(&mut line).unwrap(), 0, "serve ended");
        }
        // Read on, so that the program never blocks on a full pipe.
        std::thread::spawn(move || drop(said.read_to_end(&mut Vec::new())));
        let url = line.trim().rsplit(' ').next().unwrap().to_owned();
        Self { child, url }
    }
}

impl Served {
    /// Ends it with SIGTERM.
    pub(crate) fn end(mut self) -> Output {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        let mut stdout = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        Output { code: self.child.wait().unwrap().code(), stdout, stderr: String::new() }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
