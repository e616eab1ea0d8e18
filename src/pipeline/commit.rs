//! The commit stage: the one thread that writes to the store.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::core::Message;
use crate::store::{Durability, Marks, Store, StoreError};
use crate::trie::Commit;

/// How often the log is synced to the disk, also when nothing more is committed. A loss of power loses at most this; the
/// death of the process loses nothing that was committed. A sync costs a few milliseconds.
const SYNC_INTERVAL: Duration = Duration::from_secs(3);

/// A commit for the writer.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) commit: Commit,
    pub(super) marks: Marks,
    /// Sync to the disk in any case: the last commit of a run.
    pub(super) last: bool,
}

/// The writer thread. It has at most one job waiting, and ends with this value: it must not outlive the store's owner.
#[derive(Debug)]
pub(super) struct Writer {
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(store: Arc<Store>, replies: tokio::sync::mpsc::Sender<Message>) -> std::io::Result<Self> {
        let (jobs, queue) = sync_channel::<Job>(1);
        let thread = std::thread::Builder::new().name("commit".into()).spawn(move || {
            let mut synced = Instant::now();
            let mut unsynced = false;
            loop {
                let reply = match next(&queue, unsynced.then(|| SYNC_INTERVAL.saturating_sub(synced.elapsed()))) {
                    Ok(job) => {
                        let due = job.last || is_end(&job.commit) || synced.elapsed() >= SYNC_INTERVAL;
                        unsynced = !due;
                        Some(write(&store, job, if due { Durability::Disk } else { Durability::Log }))
                    }
                    // Nothing more comes, as when every peer is away.
                    Err(RecvTimeoutError::Timeout) => {
                        unsynced = false;
                        store.sync().err().map(Err)
                    }
                    Err(RecvTimeoutError::Disconnected) => return,
                };
                if !unsynced {
                    synced = Instant::now();
                }
                let Some(written) = reply else { continue };
                // After a failed write the store takes nothing more; a job that is on its way already is told so.
                if replies.blocking_send(Message::Committed(written)).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Hands a job over; the driver sends the next only when the last is done. False when the thread is gone.
    pub(super) fn submit(&self, job: Job) -> bool {
        self.jobs.as_ref().is_some_and(|jobs| jobs.try_send(job).is_ok())
    }

    /// Whether the thread has ended, which only a panic in it can bring about.
    pub(super) fn is_gone(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.jobs.take());
        // A panic in the writer has been seen as a closed channel already.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// A commit that is in the store.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) commit: Commit,
}

fn is_end(commit: &Commit) -> bool {
    commit.root_complete || commit.scope_complete
}

/// The next job; with a limit, that or the news that it has not come in time.
fn next(queue: &Receiver<Job>, within: Option<Duration>) -> Result<Job, RecvTimeoutError> {
    match within {
        Some(limit) => queue.recv_timeout(limit),
        None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
    }
}

fn write(store: &Store, mut job: Job, durability: Durability) -> Result<Written, StoreError> {
    if let Some(record) = &mut job.marks.root
        && let Some(known) = store.root(&record.root)?
    {
        // Totals may have been counted for it before, and another part of it fetched.
        *record = record.clone().reached_after(known);
    }
    store.commit(&job.commit, &job.marks, durability)?;
    // Only the ids and numbers go back.
    job.commit.stage.iter_mut().for_each(|(_, bytes)| *bytes = Vec::new());
    job.commit.complete.iter_mut().for_each(|complete| complete.bytes = None);
    Ok(Written { commit: job.commit })
}
