//! What glibc's allocator keeps for itself in a role that runs for months.
//!
//! By default it makes up to eight heaps a processor and gives back only what lies at the end of
//! each: a bridge that has fetched from a thousand repositories would keep the memory of its
//! busiest minute on every thread that ever helped.

/// Heaps that threads share; with more, each holds free memory that the others cannot use.
#[cfg(target_env = "gnu")]
const MAX_HEAPS: libc::c_int = 2;

/// Bounds the number of heaps. To be called before the first thread is made: a heap that is there stays.
pub(crate) fn bound() {
    #[cfg(target_env = "gnu")]
    #[expect(unsafe_code, reason = "the allocator of the C library is set by a call of C")]
    // SAFETY: `mallopt` takes two integers and no pointer.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, MAX_HEAPS);
    }
}

/// Gives free memory back.
pub(crate) fn trim() {
    #[cfg(target_env = "gnu")]
    #[expect(unsafe_code, reason = "the allocator of the C library is asked by a call of C")]
    // SAFETY: `malloc_trim` takes no pointer and locks each heap that it looks at.
    unsafe {
        libc::malloc_trim(0);
    }
}
