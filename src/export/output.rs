//! A file that is there whole or not at all.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use super::ExportError;

/// What is gathered before it is written: large enough that the calls do not count.
const BUFFER_BYTES: usize = 1 << 20;

/// What the name of an output ends with while it is written, before the number of the process.
const PARTIAL: &str = ".partial-";

/// A file under another name beside its own, until it is finished; removed when it is dropped before.
#[derive(Debug)]
pub(super) struct Output {
    path: PathBuf,
    partial: PathBuf,
    file: BufWriter<File>,
    bytes: u64,
    force: bool,
    finished: bool,
}

impl Output {
    /// Begins the file that is to be at `path`.
    pub(super) fn create(path: &Path, force: bool) -> Result<Self, ExportError> {
        check_free(path, force)?;
        if path.is_dir() {
            return Err(invalid(path, "it is a directory"));
        }
        let partial = partial_name(path)?;
        remove_leftovers(path);
        let file = File::create(&partial).map_err(|source| ExportError::Create { path: path.into(), source })?;
        let file = BufWriter::with_capacity(BUFFER_BYTES, file);
        Ok(Self { path: path.into(), partial, file, bytes: 0, force, finished: false })
    }

    /// Adds bytes.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<(), ExportError> {
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes).map_err(|source| self.failed(source))
    }

    /// Brings the file to the disk and gives it its name; how many bytes it has.
    pub(super) fn finish(mut self) -> Result<u64, ExportError> {
        let synced = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        synced.map_err(|source| self.failed(source))?;
        publish(&self.partial, &self.path, self.force)?;
        self.finished = true;
        Ok(self.bytes)
    }

    fn failed(&self, source: io::Error) -> ExportError {
        ExportError::Write { path: self.path.clone(), source }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if !self.finished {
            // Nothing helps where it fails, and what failed before is what is told.
            let _ = std::fs::remove_file(&self.partial);
        }
    }
}

/// The name of an output while it is written: beside its own, for a rename works within a file system only.
pub(super) fn partial_name(path: &Path) -> Result<PathBuf, ExportError> {
    let mut name: OsString = path.file_name().ok_or_else(|| invalid(path, "it has no file name"))?.into();
    name.push(format!("{PARTIAL}{}", std::process::id()));
    Ok(path.with_file_name(name))
}

/// Removes what earlier exports to this path were killed over. Where it fails the disk has less room, and no harm is done.
pub(super) fn remove_leftovers(path: &Path) {
    let Ok(entries) = std::fs::read_dir(parent(path)) else { return };
    for name in entries.filter_map(|entry| Some(entry.ok()?.file_name())) {
        if process_of(&name, path).is_some_and(is_gone) {
            let leftover = path.with_file_name(&name);
            let _ = std::fs::remove_file(&leftover).or_else(|_| std::fs::remove_dir_all(&leftover));
        }
    }
}

/// The process that began an output to this path under such a name; nothing for any other name.
fn process_of(name: &OsStr, path: &Path) -> Option<u32> {
    let number = name.as_encoded_bytes().strip_prefix(path.file_name()?.as_encoded_bytes())?;
    let number = std::str::from_utf8(number.strip_prefix(PARTIAL.as_bytes())?).ok()?;
    number.parse().ok().filter(|process: &u32| process.to_string() == number)
}

/// Whether no such process runs, or only this one, which has not begun yet.
fn is_gone(process: u32) -> bool {
    let Some(pid) = i32::try_from(process).ok().and_then(Pid::from_raw) else { return false };
    process == std::process::id() || matches!(test_kill_process(pid), Err(Errno::SRCH))
}

fn invalid(path: &Path, why: &str) -> ExportError {
    ExportError::Create { path: path.into(), source: io::Error::new(io::ErrorKind::InvalidInput, why) }
}

/// Fails if something is there that is not to be replaced.
pub(super) fn check_free(path: &Path, force: bool) -> Result<(), ExportError> {
    // A link that leads nowhere is something too.
    if !force && path.symlink_metadata().is_ok() {
        return Err(ExportError::Exists { path: path.into() });
    }
    Ok(())
}

/// Gives what is finished its name, for good.
fn publish(partial: &Path, path: &Path, force: bool) -> Result<(), ExportError> {
    // Once more: an export takes a while.
    check_free(path, force)?;
    let published = std::fs::rename(partial, path).and_then(|()| sync_parent(path));
    published.map_err(|source| ExportError::Write { path: path.into(), source })
}

/// Brings the name of a file to the disk.
pub(super) fn sync_parent(path: &Path) -> io::Result<()> {
    File::open(parent(path))?.sync_all()
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
