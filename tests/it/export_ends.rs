//! Exports that end before their time: nothing of them is left, or the next one sees to it.

use std::path::Path;
use std::process::Child;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use statesync::trie::EMPTY_CODE_HASH;
use tempfile::TempDir;

use crate::export::Exporter;
use crate::full_disk::{DISK_BYTES, SmallDisk};
use crate::support::forge::{Forge, account, leaf, list, string};
use crate::support::{MEDIUM, Output, Peer, Seed, end_by, open, options, patience, spawn, state, statesync_in, sync};

#[cfg(feature = "parquet")]
const FORMATS: &[&str] = &["geth-dump", "parquet"];
#[cfg(not(feature = "parquet"))]
const FORMATS: &[&str] = &["geth-dump"];

/// Of a power of 16: the accounts, and the slots that each of them has.
const MANY: u16 = 4_096;
/// How much room is left on the small disk.
const ROOM_BYTES: usize = 128 << 10;

/// A store whose state is small and whose export takes far longer than a test.
fn long() -> TempDir {
    let mut forge = Forge::default();
    let number = |number: u16| string(&(number + 300).to_be_bytes());
    let slots = (0..MANY).map(|slot| forge.node(&leaf(61, &number(slot)))).collect();
    let storage = forge.pyramid(slots);
    let fields = |nonce: u16| {
        let account = account(&storage, &EMPTY_CODE_HASH);
        // Its nonce alone is its own.
        let rest = rlp::Rlp::new(&account);
        let rest: Vec<&[u8]> = (1..4).map(|field| rest.at(field).unwrap().as_raw()).collect();
        list(&[&[number(nonce).as_slice()], rest.as_slice()].concat())
    };
    let accounts = (0..MANY).map(|nonce| forge.node(&leaf(61, &fields(nonce)))).collect();
    let root = forge.pyramid(accounts);
    let (peer, dir) = (Peer::honest(&Arc::new(forge.0)), TempDir::new().unwrap());
    std::fs::create_dir(dir.path().join("out")).unwrap();
    assert!(sync(&open(&dir.path().join("store")), &[peer.url()], options(root)).is_complete());
    dir
}

/// An export that has begun and is far from its end; the name of what it writes.
fn begun(dir: &Path, format: &str) -> (Child, String) {
    let (store, out) = (dir.join("store"), dir.join("out/state"));
    let base = ["export", "--datadir", store.to_str().unwrap(), "--format", format, "--out", out.to_str().unwrap()];
    let child = spawn(&[&base[..], &["--quiet"]].concat());
    let name = format!("state.partial-{}", child.id());
    let by = Instant::now() + patience();
    while !files(dir).contains(&name) {
        assert!(Instant::now() < by, "it does not begin");
        std::thread::sleep(Duration::from_millis(1));
    }
    (child, name)
}

fn files(dir: &Path) -> Vec<String> {
    let names = std::fs::read_dir(dir.join("out")).unwrap();
    let mut names: Vec<String> = names.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_signal_ends_an_export_and_leaves_nothing_behind() {
    let long = long();
    for (format, (signal, code)) in
        FORMATS.iter().flat_map(|format| [(format, (Signal::INT, 130)), (format, (Signal::TERM, 143))])
    {
        let (child, _) = begun(long.path(), format);
        let output: Output = end_by(signal, child).exits(code);
        assert!(output.stderr.contains("stopped, nothing was written"), "{output:?}");
        assert_eq!(files(long.path()), Vec::<String>::new());
    }
}

#[test]
fn what_a_killed_export_left_behind_goes_with_the_next_one_to_that_path() {
    let long = long();
    let others = ["other.partial-7", "state.partial-", "state.partial-01", "state.partial-1", "state.partial-1x"];
    for name in others {
        std::fs::write(long.path().join("out").join(name), "").unwrap();
    }
    for format in FORMATS {
        let (at_work, its) = begun(long.path(), format);
        let (killed, left) = begun(long.path(), format);
        assert_eq!(end_by(Signal::KILL, killed).code, None);
        assert!(files(long.path()).contains(&left));
        let (next, new) = begun(long.path(), format);
        let now = files(long.path());
        assert!(!now.contains(&left) && now.contains(&its) && now.contains(&new), "{now:?}");
        end_by(Signal::TERM, next).exits(143);
        end_by(Signal::TERM, at_work).exits(143);
        assert_eq!(files(long.path()), others);
    }
}

#[test]
fn an_export_that_the_disk_has_no_room_for_says_so_and_leaves_nothing_behind() {
    let Some(disk) = SmallDisk::mount() else { return };
    let exporter = Exporter::new(state(Seed::or(58).0, MEDIUM));
    std::fs::write(disk.0.path().join("ballast"), vec![0; DISK_BYTES - ROOM_BYTES]).unwrap();
    let (store, out) = (exporter.store(), disk.0.path().join("state"));
    for format in FORMATS {
        let base = ["export", "--datadir", store.to_str().unwrap(), "--format", format, "--out", out.to_str().unwrap()];
        let output = statesync_in(&[], &base).exits(1);
        let says = |words: &[&str]| output.stderr.lines().any(|line| words.iter().all(|word| line.contains(word)));
        assert!(says(&["error: cannot write ", "No space left on device"]), "{output:?}");
        assert!(says(&["hint: free space on the disk", "nothing was left behind"]), "{output:?}");
        let names = std::fs::read_dir(disk.0.path()).unwrap().map(|file| file.unwrap().file_name());
        assert_eq!(names.collect::<Vec<_>>(), ["ballast"]);
    }
}
