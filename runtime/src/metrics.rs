//! The metrics every controller has. The table of all metrics is in `docs/metrics.md`.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use crate::retry::Class;

/// Metrics of reconciliation, for all kinds.
#[derive(Debug, Clone)]
pub struct ReconcileMetrics {
    total: IntCounterVec,
    seconds: HistogramVec,
    running: IntGaugeVec,
    last_success: IntGaugeVec,
}

/// A reconciliation that runs, counted while it lives.
#[derive(Debug)]
pub struct Running {
    gauge: IntGauge,
    started: Instant,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}

impl ReconcileMetrics {
    /// Makes and registers them.
    ///
    /// # Errors
    /// They are registered already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let total = IntCounterVec::new(
            Opts::new(
                "switchboard_reconciliations_total",
                "Reconciliations by kind and result (success, transient, overtaken, invalid, terminal).",
            ),
            &["kind", "result"],
        )?;
        let seconds = HistogramVec::new(
            HistogramOpts::new("switchboard_reconciliation_seconds", "Time a reconciliation took, in seconds.")
                .buckets(vec![0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0]),
            &["kind"],
        )?;
        let gauge = |name: &str, help: &str| IntGaugeVec::new(Opts::new(name, help), &["kind"]);
        let running = gauge("switchboard_reconciliations_running", "Reconciliations that run now; at most 16 of a kind, more wait.")?;
        let last_success = gauge(
            "switchboard_reconciliation_last_success_timestamp_seconds",
            "When a reconciliation of the kind last succeeded, in seconds since 1970.",
        )?;
        registry.register(Box::new(total.clone()))?;
        registry.register(Box::new(seconds.clone()))?;
        registry.register(Box::new(running.clone()))?;
        registry.register(Box::new(last_success.clone()))?;
        Ok(Self { total, seconds, running, last_success })
    }

    /// Makes the series of a kind, so that the first failure is a step from 0 to 1 and rates see it.
    pub fn expect(&self, kind: &str) {
        for result in Class::ALL.map(Class::as_str).into_iter().chain(["success"]) {
            self.total.with_label_values(&[kind, result]);
        }
        self.seconds.with_label_values(&[kind]);
        self.running.with_label_values(&[kind]);
    }

    /// A reconciliation begins; it counts as running until the value is dropped, also where it is given up.
    pub fn begin(&self, kind: &str) -> Running {
        let gauge = self.running.with_label_values(&[kind]);
        gauge.inc();
        Running { gauge, started: Instant::now() }
    }

    /// A reconciliation ended.
    pub fn end(&self, kind: &str, running: &Running, failure: Option<Class>) {
        self.total.with_label_values(&[kind, failure.map_or("success", Class::as_str)]).inc();
        self.seconds.with_label_values(&[kind]).observe(running.started.elapsed().as_secs_f64());
        if failure.is_none() {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            self.last_success.with_label_values(&[kind]).set(i64::try_from(now).unwrap_or(i64::MAX));
        }
    }
}
