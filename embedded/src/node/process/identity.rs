//! Knowing a process again, although process ids are reused.

use std::fs;
use std::path::Path;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

use super::MARKER;

/// A process for good: its id, when it started, and in which run of the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Process id, also the id of its group.
    pub pid: i32,
    /// Start time in clock ticks since the machine's start.
    pub start: u64,
    /// The kernel's id of this run of the machine.
    pub boot: String,
}

impl Identity {
    /// The process that now has this id; `None` when there is none.
    pub fn of(pid: i32) -> Option<Self> {
        let stat = Stat::read(pid)?;
        Some(Self { pid, start: stat.start, boot: boot_id() })
    }
}

/// The parts of `/proc/<pid>/stat` that matter here.
struct Stat {
    group: i32,
    start: u64,
}

impl Stat {
    fn read(pid: i32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may hold blanks and parentheses of its own: fields are counted from the last one.
        let fields: Vec<&str> = text[text.rfind(')')? + 1..].split_whitespace().collect();
        Some(Self { group: fields.get(2)?.parse().ok()?, start: fields.get(19)?.parse().ok()? })
    }
}

fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|text| text.trim().to_owned()).unwrap_or_default()
}

/// The marker in a process's environment, if it has one and we may read it.
fn marker_of(pid: i32) -> Option<String> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let prefix = format!("{MARKER}=");
    environment.split(|byte| *byte == 0).find_map(|entry| String::from_utf8_lossy(entry).strip_prefix(&prefix).map(str::to_owned))
}

fn all_processes() -> impl Iterator<Item = i32> {
    fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Kills every process that belongs to a container: it carries the marker, or is in the group of the container's first process.
/// Returns how many were killed.
pub fn kill_container(marker: &str, group: Option<i32>) -> usize {
    kill_where(|pid| {
        marker_of(pid).as_deref() == Some(marker) || group.is_some_and(|group| Stat::read(pid).is_some_and(|s| s.group == group))
    })
}

/// Kills what an agent that died left behind: processes that carry the marker of one of these pods, and the recorded processes with
/// their groups. A process whose start time differs from the record is somebody else's.
pub fn kill_leftovers(pod_uids: &[String], records: &[Identity]) -> usize {
    let boot = boot_id();
    let known: Vec<&Identity> =
        records.iter().filter(|r| r.boot == boot && Stat::read(r.pid).is_some_and(|stat| stat.start == r.start)).collect();
    kill_where(|pid| {
        let marked = marker_of(pid).is_some_and(|marker| pod_uids.iter().any(|uid| marker.split('/').next() == Some(uid)));
        marked || Stat::read(pid).is_some_and(|stat| known.iter().any(|r| (r.pid == pid && r.start == stat.start) || r.pid == stat.group))
    })
}

/// The descriptor is opened before the process is looked at, so that the signal reaches the one that was looked at.
fn kill_where(belongs: impl Fn(i32) -> bool) -> usize {
    let own = std::process::id();
    let mut killed = 0;
    for pid in all_processes().filter(|pid| u32::try_from(*pid) != Ok(own)) {
        let Some(descriptor) = Pid::from_raw(pid).filter(|_| belongs(pid)).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else {
            continue;
        };
        if belongs(pid) && pidfd_send_signal(&descriptor, Signal::KILL).is_ok() {
            killed += 1;
        }
    }
    killed
}

/// Reads the records below `<pods>/<uid>/processes/`, and the uids themselves.
pub fn read_records(pods: &Path) -> (Vec<String>, Vec<Identity>) {
    let mut uids = Vec::new();
    let mut records = Vec::new();
    for pod in fs::read_dir(pods).into_iter().flatten().flatten() {
        uids.push(pod.file_name().to_string_lossy().into_owned());
        for record in fs::read_dir(pod.path().join("processes")).into_iter().flatten().flatten() {
            // A record cut short by a crash is no loss: the marker finds the process as well.
            records.extend(fs::read(record.path()).ok().and_then(|bytes| serde_json::from_slice::<Identity>(&bytes).ok()));
        }
    }
    (uids, records)
}
