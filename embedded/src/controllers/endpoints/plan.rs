//! Who is to stand in which slice. Pure.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::{
    EndpointAddress, EndpointPort as OldPort, EndpointSubset, Endpoints, ObjectReference, Service, ServicePort,
};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;

use super::pods::PodFacts;
use crate::naming;
use crate::network::names::SERVICE_NAME;

/// Label of a slice: who keeps it.
pub const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
/// Who keeps slices of Services with a selector.
pub const SLICES: &str = "endpointslice-controller.k8s.io";
/// Who copies Endpoints into slices.
pub const MIRRORING: &str = "endpointslicemirroring-controller.k8s.io";
/// Label of Endpoints: they are not to be copied.
pub const SKIP_MIRROR: &str = "endpointslice.kubernetes.io/skip-mirror";
/// Label of Endpoints: who keeps them.
const ENDPOINTS_MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
/// Who that is.
const KEEPER: &str = "endpoint-controller";
/// Label of what belongs to a Service without an address.
const HEADLESS: &str = "service.kubernetes.io/headless";
/// Endpoints in a slice, as in Kubernetes.
const IN_A_SLICE: usize = 100;
/// Addresses in one Endpoints object, as in Kubernetes; the slices have them all.
const IN_ENDPOINTS: usize = 1000;

/// The selector of a Service that has one and whose endpoints are found by it.
pub fn selector(service: &Service) -> Option<&BTreeMap<String, String>> {
    let spec = service.spec.as_ref()?;
    let external = spec.type_.as_deref() == Some("ExternalName");
    spec.selector.as_ref().filter(|selector| !selector.is_empty() && !external)
}

/// Ports at one pod, in the order of the Service's: their names, numbers, protocols.
type Ports = Vec<EndpointPort>;

/// Whether Endpoints are kept by this controller.
pub fn are_ours(endpoints: &Endpoints) -> bool {
    endpoints.labels().get(ENDPOINTS_MANAGED_BY).is_some_and(|keeper| keeper == KEEPER)
}

/// Who answers for a Service with a selector, by the ports they answer at: named ports may differ from pod to pod.
fn by_ports<'a>(service: &Service, pods: &[&'a PodFacts]) -> BTreeMap<String, (Ports, Vec<&'a PodFacts>)> {
    let mut groups: BTreeMap<String, (Ports, Vec<&PodFacts>)> = BTreeMap::new();
    for pod in pods.iter().filter(|pod| pod.address.is_some() && !pod.over) {
        let ports = ports_at(service, pod);
        let key = ports.iter().map(|port| format!("{:?}/{:?}/{:?};", port.name, port.port, port.protocol)).collect();
        groups.entry(key).or_insert_with(|| (ports, Vec::new())).1.push(pod);
    }
    for (_, pods) in groups.values_mut() {
        pods.sort_by(|one, other| (one.address, &one.uid).cmp(&(other.address, &other.uid)));
    }
    groups
}

fn ports_at(service: &Service, pod: &PodFacts) -> Ports {
    let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_deref()).unwrap_or_default();
    let at = |port: &ServicePort| {
        let protocol = port.protocol.clone().unwrap_or_else(|| "TCP".to_owned());
        let number = match &port.target_port {
            Some(IntOrString::String(name)) => pod.port(name, &protocol)?,
            Some(IntOrString::Int(number)) if *number != 0 => *number,
            _ => port.port,
        };
        Some(EndpointPort {
            name: Some(port.name.clone().unwrap_or_default()),
            port: Some(number),
            protocol: Some(protocol),
            app_protocol: port.app_protocol.clone(),
        })
    };
    ports.iter().filter_map(at).collect()
}

fn publishes_unready(service: &Service) -> bool {
    service.spec.as_ref().and_then(|spec| spec.publish_not_ready_addresses) == Some(true)
}

fn is_headless(service: &Service) -> bool {
    service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref()) == Some("None")
}

/// The slices of a Service with a selector.
pub fn slices(service: &Service, pods: &[&PodFacts]) -> Vec<EndpointSlice> {
    let publish = publishes_unready(service);
    let owner = owner("v1", "Service", &service.name_any(), service.uid());
    let mut slices = Vec::new();
    for (key, (ports, pods)) in by_ports(service, pods) {
        for (index, pods) in pods.chunks(IN_A_SLICE).enumerate() {
            let endpoints = Some(pods.iter().map(|pod| endpoint(service, pod, publish)).collect());
            let metadata = metadata(service, SLICES, &format!("{key}{index}"), owner.clone());
            slices.push(EndpointSlice { metadata, address_type: "IPv4".to_owned(), ports: Some(ports.clone()), endpoints });
        }
    }
    if slices.is_empty() {
        // That nobody answers is said, too.
        let metadata = metadata(service, SLICES, "none", owner);
        slices.push(EndpointSlice { metadata, address_type: "IPv4".to_owned(), ports: None, endpoints: Some(Vec::new()) });
    }
    slices
}

fn endpoint(service: &Service, pod: &PodFacts, publish: bool) -> Endpoint {
    let conditions = EndpointConditions {
        ready: Some(publish || (pod.ready && !pod.deleting)),
        serving: Some(pod.ready),
        terminating: Some(pod.deleting),
    };
    Endpoint {
        addresses: pod.address.iter().map(Ipv4Addr::to_string).collect(),
        conditions: Some(conditions),
        hostname: hostname(service, pod),
        node_name: Some(pod.node.clone()).filter(|node| !node.is_empty()),
        target_ref: Some(reference(service, pod)),
        ..Endpoint::default()
    }
}

fn hostname(service: &Service, pod: &PodFacts) -> Option<String> {
    Some(pod.hostname.clone()).filter(|hostname| !hostname.is_empty() && pod.subdomain == service.name_any())
}

fn reference(service: &Service, pod: &PodFacts) -> ObjectReference {
    ObjectReference {
        kind: Some("Pod".to_owned()),
        namespace: service.namespace(),
        name: Some(pod.name.clone()),
        uid: Some(pod.uid.clone()),
        ..ObjectReference::default()
    }
}

fn owner(version: &str, kind: &str, name: &str, uid: Option<String>) -> OwnerReference {
    OwnerReference {
        api_version: version.to_owned(),
        kind: kind.to_owned(),
        name: name.to_owned(),
        uid: uid.unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// A slice is named for its Service and what it is for: whoever makes it twice makes the same.
fn metadata(service: &Service, keeper: &str, what: &str, owner: OwnerReference) -> ObjectMeta {
    let name = service.name_any();
    let mut labels = labels(service);
    labels.insert(SERVICE_NAME.to_owned(), name.clone());
    labels.insert(MANAGED_BY.to_owned(), keeper.to_owned());
    ObjectMeta {
        name: Some(format!("{name}-{}", short_hash(&format!("{keeper}/{}/{what}", owner.uid)))),
        generate_name: Some(format!("{name}-")),
        namespace: service.namespace(),
        labels: Some(labels),
        owner_references: Some(vec![owner]),
        ..ObjectMeta::default()
    }
}

fn labels(service: &Service) -> BTreeMap<String, String> {
    let mut labels = service.labels().clone();
    labels.remove(HEADLESS);
    if is_headless(service) {
        labels.insert(HEADLESS.to_owned(), String::new());
    }
    labels
}

/// Five characters, as generated names end in.
fn short_hash(text: &str) -> String {
    let hash = naming::hash64(text.bytes());
    (0..5).map(|place| naming::letter(hash / 27_u64.pow(place))).collect()
}

/// The Endpoints of a Service with a selector: labels and subsets.
pub fn endpoints(service: &Service, pods: &[&PodFacts]) -> (BTreeMap<String, String>, Vec<EndpointSubset>) {
    let publish = publishes_unready(service);
    let mut labels = labels(service);
    labels.insert(ENDPOINTS_MANAGED_BY.to_owned(), KEEPER.to_owned());
    let staying: Vec<&PodFacts> = pods.iter().copied().filter(|pod| publish || !pod.deleting).collect();
    let headless_without_ports =
        is_headless(service) && service.spec.as_ref().and_then(|spec| spec.ports.as_ref()).is_none_or(Vec::is_empty);
    let mut left = IN_ENDPOINTS;
    let mut subsets = Vec::new();
    for (ports, pods) in by_ports(service, &staying).into_values().filter(|(ports, _)| !ports.is_empty() || headless_without_ports) {
        let (ready, unready): (Vec<&PodFacts>, Vec<&PodFacts>) = pods.into_iter().partition(|pod| publish || pod.ready);
        let mut take = |pods: Vec<&PodFacts>| {
            let taken: Vec<EndpointAddress> = pods.into_iter().take(left).map(|pod| address(service, pod)).collect();
            left -= taken.len();
            Some(taken).filter(|taken| !taken.is_empty())
        };
        let (addresses, not_ready_addresses) = (take(ready), take(unready));
        let old = |port: EndpointPort| OldPort {
            name: port.name.filter(|name| !name.is_empty()),
            port: port.port.unwrap_or_default(),
            protocol: port.protocol,
            app_protocol: port.app_protocol,
        };
        let ports: Vec<OldPort> = ports.into_iter().map(old).collect();
        if addresses.is_some() || not_ready_addresses.is_some() {
            subsets.push(EndpointSubset { addresses, not_ready_addresses, ports: Some(ports).filter(|ports| !ports.is_empty()) });
        }
    }
    (labels, subsets)
}

fn address(service: &Service, pod: &PodFacts) -> EndpointAddress {
    EndpointAddress {
        ip: pod.address.map(|address| address.to_string()).unwrap_or_default(),
        hostname: hostname(service, pod),
        node_name: Some(pod.node.clone()).filter(|node| !node.is_empty()),
        target_ref: Some(reference(service, pod)),
    }
}

/// Slices that say what hand-made Endpoints of a Service without a selector say.
pub fn mirrored(service: &Service, endpoints: &Endpoints) -> Vec<EndpointSlice> {
    if endpoints.labels().get(SKIP_MIRROR).is_some_and(|value| value == "true") {
        return Vec::new();
    }
    let owner = owner("v1", "Endpoints", &endpoints.name_any(), endpoints.uid());
    let mut slices = Vec::new();
    for (number, subset) in endpoints.subsets.iter().flatten().enumerate() {
        let ports = subset.ports.iter().flatten().map(|port| EndpointPort {
            name: Some(port.name.clone().unwrap_or_default()),
            port: Some(port.port),
            protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".to_owned())),
            app_protocol: port.app_protocol.clone(),
        });
        let ports: Ports = ports.collect();
        let ready = subset.addresses.iter().flatten().map(|address| (address, true));
        let unready = subset.not_ready_addresses.iter().flatten().map(|address| (address, false));
        // Others than of IPv4 cannot be reached here anyway.
        let all: Vec<Endpoint> = ready
            .chain(unready)
            .filter(|(address, _)| address.ip.parse::<Ipv4Addr>().is_ok())
            .map(|(address, ready)| Endpoint {
                addresses: vec![address.ip.clone()],
                conditions: Some(EndpointConditions { ready: Some(ready), ..EndpointConditions::default() }),
                hostname: address.hostname.clone(),
                node_name: address.node_name.clone(),
                target_ref: address.target_ref.clone(),
                ..Endpoint::default()
            })
            .collect();
        for (index, endpoints) in all.chunks(IN_A_SLICE).enumerate() {
            let metadata = metadata(service, MIRRORING, &format!("{number}/{index}"), owner.clone());
            let (ports, endpoints) = (Some(ports.clone()), Some(endpoints.to_vec()));
            slices.push(EndpointSlice { metadata, address_type: "IPv4".to_owned(), ports, endpoints });
        }
    }
    slices
}
