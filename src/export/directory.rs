//! A directory that is there whole or not at all.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::ExportError;
use super::output::{check_free, partial_name, remove_leftovers, sync_parent};

/// A directory under another name beside its own, until it is finished; removed when it is dropped before.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    partial: PathBuf,
    force: bool,
    /// What an export of this kind has in it.
    entries: &'static [&'static str],
    finished: bool,
}

impl Directory {
    /// Begins the directory that is to be at `path`. One that is there is replaced only where all in it are such
    /// entries: another would be lost for a slip in the name.
    pub(super) fn create(path: &Path, force: bool, entries: &'static [&'static str]) -> Result<Self, ExportError> {
        let failed = |source| ExportError::Create { path: path.into(), source };
        check_free(path, force)?;
        check_entries(path, entries).map_err(failed)?;
        let partial = partial_name(path)?;
        remove_leftovers(path);
        std::fs::create_dir(&partial).map_err(failed)?;
        Ok(Self { path: path.into(), partial, force, entries, finished: false })
    }

    /// Where it is while it is written.
    pub(super) fn partial(&self) -> &Path {
        &self.partial
    }

    /// Gives it its name. The files in it have to be on the disk.
    pub(super) fn finish(mut self) -> Result<(), ExportError> {
        check_free(&self.path, self.force)?;
        self.publish().map_err(|source| ExportError::Write { path: self.path.clone(), source })?;
        self.finished = true;
        Ok(())
    }

    fn publish(&self) -> io::Result<()> {
        File::open(&self.partial)?.sync_all()?;
        check_entries(&self.path, self.entries)?;
        if self.path.symlink_metadata().is_ok() {
            // A directory cannot take the place of one with files in it: for a moment there is none.
            let mut replaced = self.partial.clone().into_os_string();
            replaced.push("-replaced");
            std::fs::rename(&self.path, &replaced)?;
            std::fs::rename(&self.partial, &self.path)?;
            std::fs::remove_dir_all(&replaced)?;
        } else {
            std::fs::rename(&self.partial, &self.path)?;
        }
        sync_parent(&self.path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if !self.finished {
            // Nothing helps where it fails, and what failed before is what is told.
            let _ = std::fs::remove_dir_all(&self.partial);
        }
    }
}

/// Fails if something else than an export is there.
fn check_entries(path: &Path, entries: &[&str]) -> io::Result<()> {
    let other = |why| Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
    match path.symlink_metadata() {
        Err(_) => return Ok(()),
        Ok(metadata) if !metadata.is_dir() => return other("a file is there, and the format makes a directory"),
        Ok(_) => {}
    }
    for entry in std::fs::read_dir(path)? {
        let name = entry?.file_name();
        if !entries.iter().any(|known| name == *known) {
            return other("a directory is there with other things in it than an export");
        }
    }
    Ok(())
}
