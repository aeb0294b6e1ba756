//! Requests the embedded API server answered, read at scrape time: proves, among others, that a fleet at rest writes nothing.

use std::sync::{Mutex, PoisonError};

use embedded::api::Api;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounterVec, Opts, Registry};

struct PlaneMetrics {
    api: Api,
    requests: IntCounterVec,
    /// Held while the counters are emptied and filled: two scrapes may come at once.
    filling: Mutex<()>,
}

/// Registers the counters.
///
/// # Errors
/// They are registered already.
pub fn register(registry: &Registry, api: Api) -> Result<(), prometheus::Error> {
    let requests = IntCounterVec::new(
        Opts::new("switchboard_api_requests_total", "Requests the embedded API server answered, by verb, resource and status code."),
        &["verb", "resource", "code"],
    )?;
    registry.register(Box::new(PlaneMetrics { api, requests, filling: Mutex::default() }))
}

impl Collector for PlaneMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.requests.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let _filling = self.filling.lock().unwrap_or_else(PoisonError::into_inner);
        self.requests.reset();
        for (kind, count) in self.api.counters() {
            self.requests.with_label_values(&[kind.verb.as_str(), kind.resource.as_str(), kind.code.to_string().as_str()]).inc_by(count);
        }
        self.requests.collect()
    }
}
