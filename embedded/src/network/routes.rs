//! From a Service and its EndpointSlices to addresses and who answers there. Pure.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};

use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};

use super::ServiceNetwork;

/// Addresses of one Service, each with those who answer there; none while nobody is ready.
pub type Routes = BTreeMap<SocketAddrV4, Vec<SocketAddrV4>>;

/// What is made of a Service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// What is served.
    pub routes: Routes,
    /// Ports of other protocols than TCP, such as `dns (UDP 53)`: they are not served.
    pub unserved: Vec<String>,
}

/// The routes of a Service. `node` is where node ports are opened.
pub fn plan(service: &Service, slices: &[&EndpointSlice], network: ServiceNetwork, node: Ipv4Addr) -> Plan {
    let mut plan = Plan::default();
    let Some(spec) = service.spec.as_ref().filter(|spec| spec.type_.as_deref() != Some("ExternalName")) else { return plan };
    let address = spec.cluster_ip.as_deref().and_then(|text| text.parse::<Ipv4Addr>().ok()).filter(|address| network.contains(*address));
    let Some(address) = address else { return plan };
    for port in spec.ports.iter().flatten() {
        let protocol = port.protocol.as_deref().unwrap_or("TCP");
        if protocol != "TCP" {
            plan.unserved.push(format!("{} ({protocol} {})", port.name.as_deref().unwrap_or_default(), port.port));
            continue;
        }
        let targets = targets(port, slices, network);
        let places = [(address, Some(port.port)), (node, port.node_port)];
        for (address, number) in places {
            if let Some(number) = number.and_then(|number| u16::try_from(number).ok()).filter(|number| *number != 0) {
                plan.routes.insert(SocketAddrV4::new(address, number), targets.clone());
            }
        }
    }
    plan
}

/// Who is ready; where nobody is, those who are ending but still serve, as kube-proxy does.
fn targets(port: &ServicePort, slices: &[&EndpointSlice], network: ServiceNetwork) -> Vec<SocketAddrV4> {
    let (mut ready, mut ending) = (Vec::new(), Vec::new());
    let name = port.name.as_deref().unwrap_or_default();
    for slice in slices.iter().filter(|slice| slice.address_type == "IPv4") {
        let ports = slice.ports.iter().flatten();
        let same = ports.filter(|other| other.name.as_deref().unwrap_or_default() == name && other.protocol.as_deref() != Some("UDP"));
        for number in same.filter_map(|port| u16::try_from(port.port?).ok()) {
            for endpoint in slice.endpoints.iter().flatten() {
                let into = match standing(endpoint) {
                    Standing::Ready => &mut ready,
                    Standing::Ending => &mut ending,
                    Standing::Away => continue,
                };
                let addresses = endpoint.addresses.iter().filter_map(|text| text.parse::<Ipv4Addr>().ok());
                // One of a Service would lead round in a circle.
                into.extend(addresses.filter(|address| !network.contains(*address)).map(|address| SocketAddrV4::new(address, number)));
            }
        }
    }
    let mut chosen = if ready.is_empty() { ending } else { ready };
    chosen.sort_unstable();
    chosen.dedup();
    chosen
}

enum Standing {
    Ready,
    Ending,
    Away,
}

/// What is not said counts as ready, as the API has it.
fn standing(endpoint: &Endpoint) -> Standing {
    let Some(conditions) = &endpoint.conditions else { return Standing::Ready };
    match (conditions.ready, conditions.serving, conditions.terminating) {
        (None | Some(true), ..) => Standing::Ready,
        (Some(false), Some(true), Some(true)) => Standing::Ending,
        _ => Standing::Away,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;
    use serde_json::{Value, json};

    const NODE: Ipv4Addr = Ipv4Addr::LOCALHOST;

    fn service(spec: Value) -> Service {
        serde_json::from_value(json!({"metadata": {"name": "web"}, "spec": spec})).unwrap()
    }

    fn slice(port: Value, endpoints: Value) -> EndpointSlice {
        serde_json::from_value(json!({"metadata": {"name": "s"}, "addressType": "IPv4", "ports": [port], "endpoints": endpoints})).unwrap()
    }

    fn planned(service: &Service, slices: &[&EndpointSlice]) -> Vec<(String, Vec<String>)> {
        let plan = plan(service, slices, ServiceNetwork::default(), NODE);
        plan.routes.iter().map(|(at, targets)| (at.to_string(), targets.iter().map(ToString::to_string).collect())).collect()
    }

    #[test]
    fn each_port_leads_to_the_port_of_its_name_at_those_who_are_ready() {
        let service = service(json!({"clusterIP": "127.10.128.9", "ports": [{"name": "web", "port": 80}, {"name": "admin", "port": 81}]}));
        let web = slice(
            json!({"name": "web", "port": 8080}),
            json!([
                {"addresses": ["127.10.0.2"], "conditions": {"ready": true}},
                {"addresses": ["127.10.0.1"]},
                {"addresses": ["127.10.0.3"], "conditions": {"ready": false, "serving": false, "terminating": false}},
                {"addresses": ["127.10.0.4"], "conditions": {"ready": false, "serving": true, "terminating": true}},
            ]),
        );
        let found = planned(&service, &[&web]);
        let expected = vec!["127.10.0.1:8080".to_owned(), "127.10.0.2:8080".to_owned()];
        assert_eq!(found, [("127.10.128.9:80".to_owned(), expected), ("127.10.128.9:81".to_owned(), vec![])]);
    }

    #[test]
    fn those_who_end_answer_while_nobody_else_does() {
        let service = service(json!({"clusterIP": "127.10.128.9", "ports": [{"port": 80}]}));
        let endpoints = json!([{"addresses": ["127.10.0.4"], "conditions": {"ready": false, "serving": true, "terminating": true}}]);
        let found = planned(&service, &[&slice(json!({"name": "", "port": 1}), endpoints)]);
        assert_eq!(found[0].1, ["127.10.0.4:1"]);
    }

    #[test]
    fn node_ports_are_opened_and_headless_external_and_foreign_services_are_not() {
        let ports = json!([{"port": 80, "nodePort": 30080}, {"port": 53, "protocol": "UDP", "name": "dns"}]);
        let with = service(json!({"type": "NodePort", "clusterIP": "127.10.128.9", "ports": ports}));
        let found: Vec<String> = planned(&with, &[]).into_iter().map(|(at, _)| at).collect();
        assert_eq!(found, ["127.0.0.1:30080", "127.10.128.9:80"]);
        assert_eq!(plan(&with, &[], ServiceNetwork::default(), NODE).unserved, ["dns (UDP 53)"]);
        for spec in [
            json!({"clusterIP": "None", "ports": ports}),
            json!({"type": "ExternalName", "externalName": "x", "ports": ports}),
            json!({"clusterIP": "127.11.128.9", "ports": ports}),
            json!({"ports": ports}),
        ] {
            assert_eq!(planned(&service(spec.clone()), &[]), [], "{spec}");
        }
    }

    #[test]
    fn a_service_never_leads_to_a_service() {
        let service = service(json!({"clusterIP": "127.10.128.9", "ports": [{"port": 80}]}));
        let found = planned(&service, &[&slice(json!({"port": 80}), json!([{"addresses": ["127.10.128.9", "127.0.0.1"]}]))]);
        assert_eq!(found[0].1, ["127.0.0.1:80"]);
    }
}
