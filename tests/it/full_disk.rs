//! A disk without room, and a limit on the size of files: the sync ends and says what helps, and goes on when it was done.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use statesync::genesis::StateSummary;
use statesync::serve::MemoryState;
use tempfile::TempDir;

use crate::support::{MEDIUM, Output, Peer, References, Seed, in_memory, state, statesync};

/// Of a file: less than the write log of the whole state, more than opening takes. In blocks of 512 bytes.
const FILE_BLOCKS: u32 = 2_048;

/// The small disk, and what takes most of it.
pub(crate) const DISK_BYTES: usize = 16 << 20;
const BALLAST_BYTES: usize = DISK_BYTES - (2 << 20);

/// A file system in memory, unmounted when this value goes.
pub(crate) struct SmallDisk(pub(crate) TempDir);

impl SmallDisk {
    /// None, and a message, where mounting is not allowed.
    pub(crate) fn mount() -> Option<Self> {
        let dir = TempDir::new().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={DISK_BYTES}"), "tmpfs"]).arg(dir.path());
        match mount.stderr(Stdio::null()).status() {
            Ok(status) if status.success() => Some(Self(dir)),
            why => {
                eprintln!("left out: a small disk cannot be mounted ({why:?})");
                None
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

fn medium(seed: u64) -> (Arc<MemoryState>, StateSummary, References) {
    let (memory, [summary]) = in_memory([&state(seed, MEDIUM)]);
    let references = References::of(&memory, &[summary.root]);
    (memory, summary, references)
}

/// The disk is named, with what is free on it and what helps.
fn assert_says_what_helps(output: &Output, dir: &Path, reason: &str) {
    let says = |words: &[&str]| output.stderr.lines().any(|line| words.iter().all(|word| line.contains(word)));
    let failed = format!("the disk of {} failed, ", dir.display());
    assert!(says(&["error: ", &failed, " MB free: ", reason]), "{output:#?}");
    assert!(says(&["hint: ", "free space", "limits on files", "run again", "committed is kept"]), "{output:#?}");
}

#[test]
fn a_full_disk_ends_a_sync_and_the_next_one_completes_when_there_is_room() {
    let Some(disk) = SmallDisk::mount() else { return };
    let seed = Seed::or(37);
    let (memory, summary, references) = medium(seed.0);
    let peer = Peer::honest(&memory);
    let ballast = disk.0.path().join("ballast");
    std::fs::write(&ballast, vec![0; BALLAST_BYTES]).unwrap();
    let dir = disk.0.path().join("store");
    let (path, url, root) = (dir.to_str().unwrap(), peer.url(), format!("{:?}", summary.root));
    let sync = ["sync", "-r", &url, "--root", &root, "--datadir", path, "--json", "--no-progress"];
    assert_says_what_helps(&statesync(sync).exits(1), &dir, "No space left on device");
    // Nothing has changed: it ends again, and harms nothing.
    let again = statesync(sync);
    assert_says_what_helps(&again.exits(1), &dir, "No space left on device");

    std::fs::remove_file(&ballast).unwrap();
    references.assert_presence_means_completeness(&dir);
    statesync(sync).exits(0);
    let verified = statesync(["verify", "--datadir", path, "--json"]).exits(0).json();
    assert_eq!(verified["nodes"], summary.nodes);
}

#[test]
fn a_limit_on_the_size_of_files_ends_a_sync_with_a_message_and_the_next_one_completes() {
    let seed = Seed::or(38);
    let (memory, summary, references) = medium(seed.0);
    let peer = Peer::honest(&memory);
    let dir = TempDir::new().unwrap();
    let (path, url, root) = (dir.path().to_str().unwrap(), peer.url(), format!("{:?}", summary.root));
    let sync = ["sync", "-r", &url, "--root", &root, "--datadir", path, "--json", "--no-progress"];
    let limited = Command::new("sh")
        .args(["-c", &format!("ulimit -f {FILE_BLOCKS} && exec \"$@\""), "sh", env!("CARGO_BIN_EXE_statesync")])
        .args(sync)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let output = Output { code: limited.status.code(), stdout: text(limited.stdout), stderr: text(limited.stderr) };
    let output = output.exits(1);
    assert_says_what_helps(&output, dir.path(), "File too large");
    references.assert_presence_means_completeness(dir.path());
    statesync(sync).exits(0);
    let verified = statesync(["verify", "--datadir", path, "--json"]).exits(0).json();
    assert_eq!(verified["nodes"], summary.nodes);
}
