//! Bounds of memory, held while something runs.

/// Runs it; panics when it allocates more than `most` bytes, those that it frees again included.
pub(crate) fn within<T>(most: u64, run: impl FnOnce() -> T) -> T {
    let mut result = None;
    let info = allocation_counter::measure(|| result = Some(run()));
    assert!(
        info.bytes_total <= most,
        "{} bytes, at most {most} are justified",
        info.bytes_total
    );
    result.expect("it ran")
}

/// Like [`within`] for what is allocated at the same time.
pub(crate) fn peak_within<T>(most: u64, run: impl FnOnce() -> T) -> T {
    let mut result = None;
    let info = allocation_counter::measure(|| result = Some(run()));
    assert!(
        info.bytes_max <= most,
        "{} bytes at once, at most {most} are justified",
        info.bytes_max
    );
    result.expect("it ran")
}
