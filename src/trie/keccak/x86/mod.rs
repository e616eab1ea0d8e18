//! Kernels for the vector units of x86-64 processors, chosen at run time.
//!
//! The only unsafe code of the crate: the call from code for any processor into code for those with a feature. What is
//! called is safe itself.

// Its macro has to be known before the modules that use it.
#[macro_use]
mod rounds;
mod avx2;
mod avx512;

pub(super) use self::avx2::Avx2;
pub(super) use self::avx512::Avx512;
