//! One of several operators, with ports and a way to the API server of its own.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::path::Path;

use harness::metrics;
use harness::operator::Operator;
use harness::switchboard::{Ports, Switchboard};

/// A `switchboard operator` that is one of several.
#[derive(Debug)]
pub struct Replica {
    /// Its ports. That of `api` is where it meets the others, that of `store` is not used.
    pub ports: Ports,
    operator: Operator,
}

impl Replica {
    /// Starts one against the plane, by the API that this kubeconfig names. Systems dial `front`. It may not be ready yet.
    pub fn start(plane: &Switchboard, name: &str, kubeconfig: &Path, namespace: &str, front: u16) -> Self {
        let ports = Ports::free();
        let options = vec![
            format!("--namespace={namespace}"),
            format!("--replica={name}"),
            format!("--gateway-port={}", ports.gateway),
            format!("--gateway-public-port={front}"),
            format!("--peer-port={}", ports.api),
        ];
        Self { ports, operator: Operator::begin(plane, name, kubeconfig, ports.metrics, options) }
    }

    /// All series and their values; none where it does not answer.
    pub fn metrics(&self) -> BTreeMap<String, f64> {
        metrics::page("127.0.0.1", self.ports.metrics).map(|page| metrics::series(&page)).unwrap_or_default()
    }

    /// Whether it says that it leads.
    pub fn leads(&self) -> bool {
        self.metrics().get("switchboard_leader") == Some(&1.0)
    }

    /// Sessions of systems it holds.
    pub fn sessions(&self) -> u64 {
        let held = self.metrics();
        ["connected", "signed_in"]
            .iter()
            .filter_map(|state| held.get(&format!("switchboard_gateway_sessions{{state=\"{state}\"}}")))
            .sum::<f64>() as u64
    }
}

impl Deref for Replica {
    type Target = Operator;

    fn deref(&self) -> &Operator {
        &self.operator
    }
}

impl DerefMut for Replica {
    fn deref_mut(&mut self) -> &mut Operator {
        &mut self.operator
    }
}
