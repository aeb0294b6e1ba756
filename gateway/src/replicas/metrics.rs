//! Numbers about the other replicas, for Prometheus.

use std::fmt;
use std::sync::{Arc, OnceLock};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};
use protocol::link::{Done, LinkError};

/// What `label` gives.
const RESULTS: [&str; 6] = ["done", "refused", "not_connected", "interrupted", "timed_out", "busy"];

fn label(result: &Result<Done, LinkError>) -> &'static str {
    match result {
        Ok(_) => "done",
        Err(LinkError::Refused { .. }) => "refused",
        Err(LinkError::NotConnected) => "not_connected",
        Err(LinkError::Interrupted) => "interrupted",
        Err(LinkError::TimedOut) => "timed_out",
        Err(LinkError::Busy) => "busy",
    }
}

/// Numbers about the other replicas.
#[derive(Debug, Clone)]
pub(crate) struct ReplicaMetrics {
    requests: IntCounterVec,
    replicas: ReplicasCollector,
}

impl ReplicaMetrics {
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        let opts =
            Opts::new("switchboard_replica_requests_total", "Requests to systems that went through another replica, by what came of them.");
        let requests = IntCounterVec::new(opts, &["result"])?;
        for result in RESULTS {
            requests.with_label_values(&[result]);
        }
        Ok(Self { requests, replicas: ReplicasCollector::new()? })
    }

    pub(crate) fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.requests.clone()))?;
        registry.register(Box::new(self.replicas.clone()))
    }

    pub(super) fn request(&self, result: &Result<Done, LinkError>) {
        self.requests.with_label_values(&[label(result)]).inc();
    }

    /// Where the other replicas are counted: those that are followed, and those that are not.
    pub(super) fn count(&self, count: impl Fn() -> (i64, i64) + Send + Sync + 'static) {
        // Set once, when the gateway is made.
        let _ = self.replicas.count.set(Box::new(count));
    }
}

type Count = Box<dyn Fn() -> (i64, i64) + Send + Sync>;

/// Counts the other replicas when it is asked.
#[derive(Clone)]
struct ReplicasCollector {
    count: Arc<OnceLock<Count>>,
    gauge: IntGaugeVec,
}

impl fmt::Debug for ReplicasCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReplicasCollector")
    }
}

impl ReplicasCollector {
    fn new() -> Result<Self, prometheus::Error> {
        let opts = Opts::new("switchboard_replicas", "Other replicas whose sessions are followed, or were and are not any more.");
        Ok(Self { count: Arc::default(), gauge: IntGaugeVec::new(opts, &["state"])? })
    }
}

impl Collector for ReplicasCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.gauge.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let (followed, lost) = self.count.get().map_or((0, 0), |count| count());
        self.gauge.with_label_values(&["followed"]).set(followed);
        self.gauge.with_label_values(&["lost"]).set(lost);
        self.gauge.collect()
    }
}
