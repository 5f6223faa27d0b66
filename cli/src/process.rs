//! What the system knows of a process: for benchmarks.

use std::{fs, io};

/// CPU seconds of a process so far, user and system, to 10 ms (proc(5), `/proc/PID/stat`).
pub(crate) fn cpu_seconds(pid: u32) -> io::Result<f64> {
    /// Linux reports these fields in hundredths of a second on every architecture.
    const TICKS: f64 = 100.0;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // the second field is the name in brackets, which may hold anything
    let after_name = stat
        .rsplit_once(')')
        .map(|(_, rest)| rest)
        .ok_or(io::ErrorKind::InvalidData)?;
    let mut ticks = after_name
        .split_whitespace()
        .skip(11)
        .map(|field| field.parse::<f64>().unwrap_or_default());
    Ok((ticks.next().unwrap_or_default() + ticks.next().unwrap_or_default()) / TICKS)
}

/// The most memory that a process held at once since [`reset_peak_memory`], in bytes.
pub(crate) fn peak_memory(pid: u32) -> io::Result<u64> {
    memory(pid, "VmHWM:")
}

/// The memory that a process holds now, in bytes.
pub(crate) fn memory_now(pid: u32) -> io::Result<u64> {
    memory(pid, "VmRSS:")
}

/// Starts the measure of [`peak_memory`] anew.
pub(crate) fn reset_peak_memory(pid: u32) -> io::Result<()> {
    fs::write(format!("/proc/{pid}/clear_refs"), "5")
}

/// The processor's name.
pub(crate) fn processor() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map_or("unknown", |(_, name)| name.trim()).to_owned()
}

fn memory(pid: u32, field: &str) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib = status.lines().find_map(|line| {
        line.strip_prefix(field)?
            .trim()
            .strip_suffix(" kB")?
            .parse::<u64>()
            .ok()
    });
    Ok(kib.ok_or(io::ErrorKind::InvalidData)? * 1024)
}
