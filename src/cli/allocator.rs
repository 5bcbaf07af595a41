//! Settings of glibc's allocator. Other allocators need none.

/// Makes glibc return freed memory. By default it keeps more and more, up to the largest block that was ever freed:
/// hundreds of megabytes after a few models were loaded.
pub fn keep_little() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(unsafe_code, reason = "glibc takes its settings by a C call")]
    {
        const KEPT_BYTES: i32 = 128 << 10;
        // SAFETY: mallopt takes two numbers, and no other thread runs yet.
        unsafe { libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT_BYTES) };
    }
}

/// Returns memory that was freed between blocks in use, as loading a model leaves it.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(unsafe_code, reason = "glibc is asked by a C call")]
    // SAFETY: malloc_trim takes a number, and touches no block in use.
    unsafe {
        libc::malloc_trim(0)
    };
}
