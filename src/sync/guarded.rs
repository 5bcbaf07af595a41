//! Calls of libraries that panic on some inputs.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is in such a call, whose panics become errors of the input.
pub fn is_guarded() -> bool {
    GUARDED.get()
}

/// What a call of a library gives; `None` if it panics.
pub fn guarded<T>(call: impl FnOnce() -> T) -> Option<T> {
    GUARDED.set(true);
    let result = catch_unwind(AssertUnwindSafe(call));
    GUARDED.set(false);
    result.ok()
}
