//! Faults that a test may bring about: where the node is killed, to see that nothing is lost, and a clock that is wrong. Not there in
//! release builds.

/// Ends the process at once, as `kill -9` does, if the environment variable `OVERLAP_FAULT` names this point.
#[cfg(debug_assertions)]
pub(crate) fn point(side: overlap_audit::Side, step: &str) {
    use rustix::process::{Signal, getpid, kill_process};

    let named = std::env::var_os("OVERLAP_FAULT");
    if named.is_some_and(|named| named == format!("{side}.{step}").as_str()) {
        let _ = kill_process(getpid(), Signal::KILL);
        // the signal is on its way: nothing more must be done
        loop {
            std::thread::park();
        }
    }
}

/// How far the node's clock is set wrong, in seconds, by the environment variable `OVERLAP_CLOCK`.
#[cfg(debug_assertions)]
pub(crate) fn clock() -> jiff::SignedDuration {
    static SET: std::sync::OnceLock<i64> = std::sync::OnceLock::new();
    let seconds = SET.get_or_init(|| {
        let set = std::env::var("OVERLAP_CLOCK").ok();
        set.and_then(|set| set.parse().ok()).unwrap_or_default()
    });
    jiff::SignedDuration::from_secs(*seconds)
}

/// Nothing.
#[cfg(not(debug_assertions))]
pub(crate) fn clock() -> jiff::SignedDuration {
    jiff::SignedDuration::ZERO
}

/// Nothing.
#[cfg(not(debug_assertions))]
pub(crate) fn point(_: overlap_audit::Side, _: &str) {}
