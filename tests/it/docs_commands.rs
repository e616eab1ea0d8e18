//! The commands in `docs/use`, run as they are written: `sh` blocks in order, in one shell, and what is printed compared
//! with the `text` block that follows at once.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::foundry::foundry;
use crate::support::{DeadPort, open};

/// Between the outputs of two blocks.
const MARK: &str = "--- end of a block ---";

/// The `sh` blocks of a page, each with what it has to print, if the page says so.
fn blocks(page: &str) -> Vec<(String, Option<String>)> {
    let mut blocks: Vec<(String, Option<String>)> = Vec::new();
    let mut parts = page.split("```");
    let mut between = parts.next().unwrap_or_default();
    while let (Some(block), Some(after)) = (parts.next(), parts.next()) {
        let (language, text) = block.split_once('\n').unwrap();
        match (language, blocks.last_mut()) {
            ("sh", _) => blocks.push((text.into(), None)),
            ("text", Some((_, expected))) if between.trim().is_empty() => *expected = Some(text.into()),
            _ => {}
        }
        between = after;
    }
    blocks
}

/// A script of the blocks. What is started in the background is waited for until its port answers.
fn script(blocks: &[(String, Option<String>)]) -> String {
    let mut lines = vec!["set -euo pipefail".to_owned(), "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT".to_owned()];
    for (block, _) in blocks {
        for line in block.lines() {
            lines.push(line.to_owned());
            if let Some(command) = line.strip_suffix(" &") {
                let port = command.rsplit([' ', ':']).next().unwrap();
                lines.push(format!("until (: </dev/tcp/127.0.0.1/{port}) 2>/dev/null; do sleep 0.01; done"));
            }
        }
        lines.push(format!("echo '{MARK}'"));
    }
    lines.join("\n")
}

fn read(page: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/use").join(page)).unwrap()
}

/// A shell in a directory that is its home, which finds the program.
fn bash(script: &str, dir: &Path, programs: &[&Path]) -> Command {
    let mut path: Vec<_> = programs.iter().map(|program| program.to_path_buf()).collect();
    path.push(Path::new(env!("CARGO_BIN_EXE_statesync")).parent().unwrap().into());
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap()));
    let mut bash = Command::new("bash");
    bash.args(["-c", script]).current_dir(dir).env("PATH", std::env::join_paths(path).unwrap());
    bash.env("HOME", dir).env("NO_COLOR", "1").env_remove("ETH_RPC_URL");
    bash
}

/// Runs a page's commands, on free ports in place of those that it names.
fn run(page: &str, programs: &[&Path]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let blocks = blocks(&read(page));
    let ports = [DeadPort::new(), DeadPort::new()].map(|port| port.url().rsplit(':').next().unwrap().to_owned());
    let script = script(&blocks).replace("8545", &ports[0]).replace("8546", &ports[1]);
    let dir = TempDir::new().unwrap();
    std::os::unix::fs::symlink(root.join("fixtures"), dir.path().join("fixtures")).unwrap();
    std::fs::copy(root.join("docs/use/token.json"), dir.path().join("token.json")).unwrap();
    let output = bash(&script, dir.path(), programs).output().unwrap();
    assert!(output.status.success(), "{page}: {output:?}\n{script}");
    let stdout = String::from_utf8(output.stdout).unwrap();
    let printed: Vec<&str> = stdout.split(&format!("{MARK}\n")).collect();
    for ((block, expected), printed) in blocks.iter().zip(printed) {
        if let Some(expected) = expected {
            assert_eq!(printed, expected, "{page}: {block}");
        }
    }
}

#[test]
fn the_page_on_reading_a_state_is_right() {
    run("read.md", &[]);
}

#[test]
fn the_page_on_one_contract_is_right() {
    run("one-contract.md", &[]);
}

#[test]
fn the_page_on_forking_with_anvil_is_right() {
    if let Some(foundry) = foundry() {
        run("fork-with-anvil.md", &[&foundry]);
    }
}

#[test]
fn the_page_on_a_nightly_sync_is_right() {
    run("nightly-cron.md", &[]);
}

#[test]
fn the_page_on_a_fixture_is_right() {
    run("ci-fixture.md", &[]);
}

#[test]
fn the_nightly_script_speaks_only_where_somebody_has_to_look() {
    let dir = TempDir::new().unwrap();
    let blocks = blocks(&read("nightly-cron.md"));
    let (script, _) = blocks.iter().find(|(block, _)| block.starts_with("cat > nightly ")).unwrap();
    let made = script.lines().take_while(|line| !line.starts_with("./nightly")).collect::<Vec<_>>().join("\n");
    assert!(bash(&made, dir.path(), &[]).status().unwrap().success());
    let nightly = |peers: &str| {
        let output = bash("./nightly data", dir.path(), &[]).env("ETH_RPC_URL", peers).output().unwrap();
        let log = std::fs::read_to_string(dir.path().join("data/log")).unwrap();
        let code = log.trim().rsplit(' ').next().unwrap().to_owned();
        (code, output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let nobody = DeadPort::new().url();
    let silent = |code: &str| (code.to_owned(), Some(0), String::new());
    assert_eq!(nightly(&nobody), silent("3"));
    let at_work = open(&dir.path().join("data/state"));
    assert_eq!(nightly(&nobody), silent("11"));
    drop(at_work);
    let (code, status, said) = nightly("no address");
    assert_eq!((code.as_str(), status), ("2", Some(2)));
    assert!(said.contains("error: ") && said.contains("hint: "), "{said}");
    assert!(!dir.path().join("data/status.json").exists());
}
