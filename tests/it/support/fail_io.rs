//! A disk that fails on demand: the library in `tests/faults/fail_io.c`, compiled here and loaded before the C library.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

/// What goes wrong with the files in a directory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DiskFault {
    /// Which kind of operation: `write`, `sync`, `rename` or `create`.
    pub(crate) op: &'static str,
    /// The how-manieth of it.
    pub(crate) at: u64,
    pub(crate) how: DiskFailure,
    /// All that follow fail too.
    pub(crate) sticky: bool,
}

/// What becomes of an operation.
#[derive(Clone, Copy, Debug)]
pub(crate) enum DiskFailure {
    /// An I/O error.
    Broken,
    /// No space left on the device.
    Full,
    /// It never comes back.
    Hangs,
}

impl DiskFailure {
    fn number(self) -> i32 {
        match self {
            Self::Broken => rustix::io::Errno::IO.raw_os_error(),
            Self::Full => rustix::io::Errno::NOSPC.raw_os_error(),
            Self::Hangs => 0,
        }
    }
}

/// What a program finds in its environment.
#[derive(Clone, Debug)]
pub(crate) struct Environment(Vec<(&'static str, String)>);

impl Environment {
    pub(crate) fn pairs(&self) -> Vec<(&str, &str)> {
        self.0.iter().map(|(name, value)| (*name, value.as_str())).collect()
    }
}

/// The compiled library.
pub(crate) struct FailIo(PathBuf);

impl FailIo {
    /// None, and a message, where it cannot be compiled.
    pub(crate) fn build() -> Option<&'static Self> {
        static BUILT: OnceLock<Option<(TempDir, FailIo)>> = OnceLock::new();
        let built = BUILT.get_or_init(|| {
            let dir = TempDir::new().unwrap();
            let library = dir.path().join("fail_io.so");
            let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/fail_io.c");
            let mut compiler = Command::new("cc");
            compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).arg("-ldl");
            match compiler.status() {
                Ok(status) if status.success() => Some((dir, Self(library))),
                Ok(status) => panic!("cc: {status}"),
                Err(why) => {
                    eprintln!("left out: no C compiler to make a disk that fails ({why})");
                    None
                }
            }
        });
        built.as_ref().map(|(_, library)| library)
    }

    /// The environment of a program that finds the disk as it should be in all directories but for the given.
    pub(crate) fn fault(&self, dir: &Path, fault: DiskFault) -> Environment {
        let mut environment = self.preload(dir);
        environment.0.extend([
            ("FAIL_IO_OP", fault.op.into()),
            ("FAIL_IO_AT", fault.at.to_string()),
            ("FAIL_IO_ERRNO", fault.how.number().to_string()),
        ]);
        environment.0.extend(fault.sticky.then(|| ("FAIL_IO_STICKY", "1".into())));
        environment
    }

    /// The environment of a program whose writes and syncs are noted in a file.
    pub(crate) fn trace(&self, dir: &Path, trace: &Path) -> Environment {
        let mut environment = self.preload(dir);
        environment.0.push(("FAIL_IO_TRACE", trace.to_str().unwrap().into()));
        environment
    }

    /// The environment of a program whose wall clock jumps by days.
    pub(crate) fn jumping_clock(&self) -> Environment {
        let mut environment = self.preload(Path::new("/nowhere"));
        environment.0.push(("FAIL_IO_CLOCK", "1".into()));
        environment
    }

    fn preload(&self, dir: &Path) -> Environment {
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        Environment(vec![("LD_PRELOAD", text(&self.0)), ("FAIL_IO_DIR", text(dir))])
    }
}

/// One line of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Traced {
    /// The kind of operation.
    pub(crate) op: String,
    pub(crate) failed: bool,
    /// Zero where it is not noted.
    pub(crate) inode: u64,
    /// The file's size; of a sync, before it.
    pub(crate) size: u64,
    pub(crate) path: PathBuf,
}

impl Traced {
    /// What has been noted so far.
    pub(crate) fn read(trace: &Path) -> Vec<Self> {
        let text = std::fs::read_to_string(trace).unwrap_or_default();
        let parse = |line: &str| {
            let mut words = line.splitn(4, ' ');
            let mut next = || words.next().unwrap();
            let (op, inode, size, path) = (next(), next(), next(), next());
            let (inode, size) = (inode.parse().unwrap(), size.parse().unwrap());
            let (failed, op) = (op.starts_with('!'), op.trim_start_matches('!').to_owned());
            Self { op, failed, inode, size, path: path.into() }
        };
        text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).map(parse).collect()
    }

    /// Whether it is about the database's write log.
    pub(crate) fn is_of_log(&self) -> bool {
        self.path.extension().is_some_and(|extension| extension == "log")
    }
}
