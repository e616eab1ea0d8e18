//! SIGINT and SIGTERM: the first stops cleanly, the second at once. SIGXFSZ does not end the process.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::exit::{Exit, Failure};

/// The two signals that end a command.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Takes over the signals.
    pub(super) fn new() -> Result<Self, Failure> {
        outlive_file_limit()?;
        Ok(Self { interrupt: take(SignalKind::interrupt())?, terminate: take(SignalKind::terminate())? })
    }

    /// Waits for the next signal and gives its exit code.
    pub(super) async fn next(&mut self) -> Exit {
        tokio::select! {
            _ = self.interrupt.recv() => Exit::Interrupted,
            _ = self.terminate.recv() => Exit::Terminated,
        }
    }
}

/// Does work that a signal stops. What `stopped` says is the error then.
pub(super) fn until_signal<T>(
    stopped: &str,
    work: impl FnOnce(&AtomicBool) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let runtime = runtime()?;
    let mut signals = {
        let _context = runtime.enter();
        Signals::new()?
    };
    let heard = Arc::new((AtomicBool::new(false), OnceLock::new()));
    let listener = heard.clone();
    runtime.spawn(async move {
        let _ = listener.1.set(signals.next().await);
        listener.0.store(true, Ordering::Relaxed);
    });
    let result = work(&heard.0);
    match heard.1.get() {
        Some(exit) if result.is_err() => Err(Failure::new(*exit, stopped).hint("run the same command again")),
        _ => result,
    }
}

/// Lets a write past the limit on the size of files (`ulimit -f`) fail and say why, instead of ending the process with
/// SIGXFSZ.
pub(super) fn outlive_file_limit() -> Result<(), Failure> {
    // Once taken over, a signal never ends the process again.
    take(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw())).map(drop)
}

fn take(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| Failure::new(Exit::Failure, format!("cannot take over signals: {error}")))
}

/// The runtime of a command that talks to the network. Two threads carry far more than any peer delivers; hashing and
/// decoding have rayon's own.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let built = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    built.map_err(|error| Failure::new(Exit::Failure, format!("cannot start threads: {error}")))
}
