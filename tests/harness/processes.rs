//! Processes of this machine, by id. Only processes that a test started are ever ended.

use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

/// Id of a process.
pub type ProcessId = u32;

/// Sends a signal.
///
/// # Panics
/// There is no such process.
pub fn signal(id: ProcessId, signal: Signal) {
    let id = i32::try_from(id).ok().and_then(Pid::from_raw).expect("process ids are positive");
    kill_process(id, signal).unwrap_or_else(|error| panic!("cannot signal process {id:?}: {error}"));
}

/// Whether the process runs; one that ended and was not waited for does not.
pub fn runs(id: ProcessId) -> bool {
    let Ok(status) = std::fs::read_to_string(format!("/proc/{id}/stat")) else { return false };
    let state = status.rsplit_once(") ").map(|(_, rest)| rest.chars().next());
    !matches!(state, Some(Some('Z' | 'X')))
}

/// Resident memory in bytes.
///
/// # Panics
/// There is no such process.
pub fn resident_bytes(id: ProcessId) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the process runs");
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kilobytes * 1024
}

/// Processes of simulated systems that work under this data folder.
pub fn simulated_systems(data: &Path) -> Vec<ProcessId> {
    let data = data.to_string_lossy();
    let mut found: Vec<ProcessId> = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|id| {
            let words = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
            let words = String::from_utf8_lossy(&words).replace('\0', " ");
            words.contains(" simulate ") && words.contains(&format!("={data}/")) && runs(*id)
        })
        .collect();
    found.sort_unstable();
    found
}

/// The process of the simulated system whose pod has this uid.
pub fn of_pod(data: &Path, pod_uid: &str) -> Option<ProcessId> {
    simulated_systems(data).into_iter().find(|id| {
        let words = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&words).contains(&format!("/pods/{pod_uid}/"))
    })
}

/// Shows the last lines of a program's log, for a test that failed.
pub fn show_end_of_log(program: &str, log: &str) {
    let lines: Vec<&str> = log.lines().collect();
    eprintln!("---- the last lines of {program}\n{}\n----", lines[lines.len().saturating_sub(60)..].join("\n"));
}
