//! What glibc does with memory that was freed. Other allocators need no help.

/// Keeps glibc from holding on to what was freed. By itself it keeps ever more, up to the largest block that it has
/// seen freed: hundreds of megabytes after a few models were loaded one after the other.
pub fn keep_little() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(unsafe_code, reason = "glibc takes its settings by a call of C")]
    {
        const KEPT_BYTES: i32 = 128 << 10;
        // SAFETY: mallopt takes two numbers, and no other thread runs yet.
        unsafe { libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT_BYTES) };
    }
}

/// Gives back what was freed between blocks that are in use, as loading a model leaves it behind.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(unsafe_code, reason = "glibc is asked by a call of C")]
    // SAFETY: malloc_trim takes a number, and touches no block that is in use.
    unsafe {
        libc::malloc_trim(0)
    };
}
