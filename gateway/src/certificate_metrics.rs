//! When the gateway's certificates end, for Prometheus: read at scrape time, so that a renewal shows at once.

use std::sync::Weak;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntGaugeVec, Opts};

use crate::server_certificate::ServerCertificate;

/// Ends of certificates, in seconds since 1970.
#[derive(Debug, Clone)]
pub(crate) struct CertificatesCollector {
    server: Weak<ServerCertificate>,
    authority_ends: Option<i64>,
    gauge: IntGaugeVec,
}

impl CertificatesCollector {
    pub(crate) fn new(server: Weak<ServerCertificate>, authority_ends: Option<i64>) -> Result<Self, prometheus::Error> {
        let opts = Opts::new(
            "switchboard_gateway_certificate_expiry_timestamp_seconds",
            "When the gateway's server certificate and the authority's end, in seconds since 1970.",
        );
        Ok(Self { server, authority_ends, gauge: IntGaugeVec::new(opts, &["certificate"])? })
    }
}

impl Collector for CertificatesCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.gauge.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let server_ends = self.server.upgrade().and_then(|server| server.ends());
        for (label, ends) in [("server", server_ends), ("authority", self.authority_ends)] {
            if let Some(ends) = ends {
                self.gauge.with_label_values(&[label]).set(ends);
            }
        }
        self.gauge.collect()
    }
}
