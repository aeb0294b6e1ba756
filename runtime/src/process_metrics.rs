//! What every Prometheus client tells of its process, and which version of Switchboard it is.
//!
//! The names are those of the client libraries, so that dashboards made for any program work. They are read from `/proc` at scrape time: the
//! `process` feature of the Prometheus crate would bring two crates for the same seven files.

use std::fs;
use std::sync::{Mutex, PoisonError};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Gauge, IntGauge, IntGaugeVec, Opts, Registry};

/// Ticks of a second in `/proc`: what the kernel promises to programs (`USER_HZ`), whatever it counts in itself.
const TICKS_A_SECOND: f64 = 100.0;

/// Registers them.
///
/// # Errors
/// They are registered already.
pub fn register(registry: &Registry) -> Result<(), prometheus::Error> {
    let build = IntGaugeVec::new(Opts::new("switchboard_build_info", "1, with the version of this program."), &["version"])?;
    build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    registry.register(Box::new(build))?;
    registry.register(Box::new(ProcessMetrics::new()?))
}

/// What `/proc` says at one moment. What could not be read is left as it was.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Usage {
    cpu_seconds: f64,
    start_seconds: f64,
    resident_bytes: i64,
    virtual_bytes: i64,
    threads: i64,
}

/// Reads `/proc/self/stat`, `/proc/self/status` and the `btime` of `/proc/stat`.
fn usage(stat: &str, status: &str, machine: &str) -> Option<Usage> {
    // The name of the program is in parentheses and may itself hold blanks and parentheses.
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    // Numbered from 1 in proc(5), where the name is the second and the first of `fields` the third.
    let ticks = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
    let line = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let number = |name: &str| line(name)?.split_whitespace().next()?.parse::<i64>().ok();
    let booted = machine.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse::<f64>().ok()?;
    Some(Usage {
        cpu_seconds: (ticks(14)? + ticks(15)?) / TICKS_A_SECOND,
        start_seconds: booted + ticks(22)? / TICKS_A_SECOND,
        resident_bytes: number("VmRSS")? * 1024,
        virtual_bytes: number("VmSize")? * 1024,
        threads: number("Threads")?,
    })
}

struct ProcessMetrics {
    cpu_seconds: Counter,
    start_seconds: Gauge,
    resident_bytes: IntGauge,
    virtual_bytes: IntGauge,
    threads: IntGauge,
    open_files: IntGauge,
    most_files: IntGauge,
    /// Held while the counter is brought up to date: two scrapes may come at once.
    reading: Mutex<()>,
}

impl ProcessMetrics {
    fn new() -> Result<Self, prometheus::Error> {
        Ok(Self {
            cpu_seconds: Counter::new("process_cpu_seconds_total", "CPU time used, user and system, in seconds.")?,
            start_seconds: Gauge::new("process_start_time_seconds", "When the process started, in seconds since 1970.")?,
            resident_bytes: IntGauge::new("process_resident_memory_bytes", "Resident memory, in bytes.")?,
            virtual_bytes: IntGauge::new("process_virtual_memory_bytes", "Virtual memory, in bytes.")?,
            threads: IntGauge::new("process_threads", "Threads.")?,
            open_files: IntGauge::new("process_open_fds", "Open file descriptors.")?,
            most_files: IntGauge::new("process_max_fds", "Most file descriptors that may be open.")?,
            reading: Mutex::default(),
        })
    }

    fn read(&self) {
        let _reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        if let Some(usage) = usage(&text("/proc/self/stat"), &text("/proc/self/status"), &text("/proc/stat")) {
            self.cpu_seconds.inc_by((usage.cpu_seconds - self.cpu_seconds.get()).max(0.0));
            self.start_seconds.set(usage.start_seconds);
            self.resident_bytes.set(usage.resident_bytes);
            self.virtual_bytes.set(usage.virtual_bytes);
            self.threads.set(usage.threads);
        }
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            // One is that of the folder itself.
            self.open_files.set(i64::try_from(open.count().saturating_sub(1)).unwrap_or(i64::MAX));
        }
        let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        self.most_files.set(most.and_then(|most| i64::try_from(most).ok()).unwrap_or(i64::MAX));
    }
}

impl Collector for ProcessMetrics {
    fn desc(&self) -> Vec<&Desc> {
        let mut all = self.cpu_seconds.desc();
        all.extend(self.start_seconds.desc());
        for gauge in [&self.resident_bytes, &self.virtual_bytes, &self.threads, &self.open_files, &self.most_files] {
            all.extend(gauge.desc());
        }
        all
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.read();
        let mut all = self.cpu_seconds.collect();
        all.extend(self.start_seconds.collect());
        for gauge in [&self.resident_bytes, &self.virtual_bytes, &self.threads, &self.open_files, &self.most_files] {
            all.extend(gauge.collect());
        }
        all
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_program_with_a_strange_name_is_read_right() {
        let stat = "7 (a (b) c) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 9 0 4200 1000000 500 18446744073709551615";
        let status = "Name:\ta (b) c\nVmSize:\t    2048 kB\nVmRSS:\t     512 kB\nThreads:\t9\n";
        let found = usage(stat, status, "cpu  1 2 3\nbtime 1000000\nprocesses 5\n");
        let expected =
            Usage { cpu_seconds: 3.0, start_seconds: 1_000_042.0, resident_bytes: 512 * 1024, virtual_bytes: 2048 * 1024, threads: 9 };
        assert_eq!(found, Some(expected));
        assert_eq!(usage("", status, ""), None);
    }

    #[test]
    fn this_process_uses_memory_files_and_time() {
        let metrics = ProcessMetrics::new().unwrap();
        metrics.read();
        assert!(metrics.resident_bytes.get() > 0 && metrics.virtual_bytes.get() >= metrics.resident_bytes.get());
        assert!(metrics.open_files.get() >= 3 && metrics.most_files.get() >= metrics.open_files.get() && metrics.threads.get() >= 1);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        assert!((now - 86_400.0..now + 5.0).contains(&metrics.start_seconds.get()), "{}", metrics.start_seconds.get());
        let before = metrics.cpu_seconds.get();
        metrics.read();
        assert!(metrics.cpu_seconds.get() >= before);
    }
}
