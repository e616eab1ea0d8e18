//! Locks that outlive whoever died with them.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Takes a lock, also one that a thread held when it died. For what is whole between any two operations on it.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
