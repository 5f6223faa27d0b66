//! Fault points: where a test may kill the node, to see that nothing is lost. Not there in release builds.

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

/// Nothing.
#[cfg(not(debug_assertions))]
pub(crate) fn point(_: overlap_audit::Side, _: &str) {}
