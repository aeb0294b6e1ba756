//! What Services get from the server: an address each, and ports of the node where they want some.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

use serde_json::{Value, json};

use super::{Api, metadata};
use crate::naming;
use crate::status::{FieldError, Status};

/// Ports of the node that Services may have, as in Kubernetes.
const NODE_PORTS: RangeInclusive<u16> = 30_000..=32_767;

impl Api {
    /// Gives a new service an address and ports nobody has, or checks those it asks for. Nobody else may be at it between this and the write.
    pub(super) fn allocate_new(&self, service: &mut Value) -> Result<(), Status> {
        self.allocate(None, service)
    }

    /// What a changed service keeps although clients need not repeat it, and what its new type or ports make necessary.
    pub(super) fn allocate_changed(&self, old: &Value, service: &mut Value) -> Result<(), Status> {
        keep_what_was_given(old, service);
        self.allocate(Some(old), service)
    }

    fn allocate(&self, old: Option<&Value>, service: &mut Value) -> Result<(), Status> {
        let external = service["spec"]["type"] == "ExternalName";
        let address = service["spec"]["clusterIP"].as_str().unwrap_or_default().to_owned();
        if address == "None" {
            service["spec"]["clusterIPs"] = json!(["None"]);
        }
        let others = Others::of(self, service);
        // Whether one that was given may change is for the rules to say.
        let has_none = old.is_none_or(|old| old["spec"]["clusterIP"].as_str().unwrap_or_default().is_empty());
        if !external && address != "None" && has_none {
            let address = self.address(service, &address, &others)?;
            service["spec"]["clusterIPs"] = json!([address]);
            service["spec"]["clusterIP"] = json!(address);
        }
        if wants_node_ports(service) {
            give_node_ports(service, &others)?;
        }
        Ok(())
    }

    fn address(&self, service: &Value, wanted: &str, others: &Others) -> Result<String, Status> {
        let network = self.options().service_network;
        if wanted.is_empty() {
            // The same service gets the same address again if it is free.
            let free = network.free(hash(service), &others.addresses);
            let none = || Status::internal(format!("all addresses of {network} are taken: delete services that are not needed"));
            return free.map(|address| address.to_string()).ok_or_else(none);
        }
        let refused = |why: String| {
            let error = FieldError::invalid("spec.clusterIPs", &json!([wanted]), format!("failed to allocate IP {wanted}: {why}"));
            Err(Status::invalid("", "Service", metadata::text(service, "name"), &[error]))
        };
        match wanted.parse::<Ipv4Addr>() {
            Ok(address) if !network.contains(address) => {
                refused(format!("the provided IP ({wanted}) is not in the valid range. The range of valid IPs is {network}"))
            }
            Ok(address) if others.addresses.contains(&address) => refused("provided IP is already allocated".to_owned()),
            Ok(_) => Ok(wanted.to_owned()),
            Err(_) => {
                let error = FieldError::invalid(
                    "spec.clusterIPs[0]",
                    &json!(wanted),
                    "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
                );
                Err(Status::invalid("", "Service", metadata::text(service, "name"), &[error]))
            }
        }
    }
}

/// What other Services have.
struct Others {
    addresses: HashSet<Ipv4Addr>,
    ports: HashSet<(u64, String)>,
}

impl Others {
    fn of(api: &Api, service: &Value) -> Self {
        let place = |object: &Value| (metadata::text(object, "namespace").to_owned(), metadata::text(object, "name").to_owned());
        let own = place(service);
        let mut others = Self { addresses: HashSet::new(), ports: HashSet::new() };
        for object in api.store().list("services", None, None, None).objects {
            let other = object.value();
            if place(&other) == own {
                continue;
            }
            others.addresses.extend(other["spec"]["clusterIP"].as_str().and_then(|text| text.parse::<Ipv4Addr>().ok()));
            let ports = other["spec"]["ports"].as_array().into_iter().flatten();
            others.ports.extend(ports.filter_map(|port| Some((port["nodePort"].as_u64()?, protocol(port)))));
        }
        others
    }
}

/// Where to look first for what a service needs: the same place for the same namespace and name.
fn hash(service: &Value) -> u32 {
    naming::hash32(format!("{}/{}", metadata::text(service, "namespace"), metadata::text(service, "name")).bytes())
}

fn wants_node_ports(service: &Value) -> bool {
    match service["spec"]["type"].as_str() {
        Some("NodePort") => true,
        Some("LoadBalancer") => service["spec"]["allocateLoadBalancerNodePorts"] != false,
        _ => false,
    }
}

fn protocol(port: &Value) -> String {
    port["protocol"].as_str().unwrap_or("TCP").to_owned()
}

/// The node port of a port, 0 and absent being the same.
fn node_port(port: &Value) -> Option<u64> {
    port["nodePort"].as_u64().filter(|number| *number != 0)
}

fn give_node_ports(service: &mut Value, others: &Others) -> Result<(), Status> {
    let (name, start) = (metadata::text(service, "name").to_owned(), hash(service));
    let Some(ports) = service["spec"]["ports"].as_array_mut() else { return Ok(()) };
    let mut errors = Vec::new();
    let mut taken = others.ports.clone();
    for (index, port) in ports.iter().enumerate() {
        let Some(number) = node_port(port) else { continue };
        let field = format!("spec.ports[{index}].nodePort");
        if !u16::try_from(number).is_ok_and(|number| NODE_PORTS.contains(&number)) {
            let range = format!("{}-{}", NODE_PORTS.start(), NODE_PORTS.end());
            let why = format!("provided port is not in the valid range. The range of valid ports is {range}");
            errors.push(FieldError::invalid(field, &json!(number), why));
        } else if !taken.insert((number, protocol(port))) {
            errors.push(FieldError::invalid(field, &json!(number), "provided port is already allocated"));
        }
    }
    if !errors.is_empty() {
        return Err(Status::invalid("", "Service", &name, &errors));
    }
    let count = u32::from(NODE_PORTS.end() - NODE_PORTS.start()) + 1;
    for port in ports.iter_mut().filter(|port| node_port(port).is_none()) {
        let numbers = (0..count).map(|step| u64::from(*NODE_PORTS.start()) + u64::from((start % count + step) % count));
        let key = |number: u64| (number, protocol(port));
        let Some(free) = numbers.into_iter().find(|number| !taken.contains(&key(*number))) else {
            return Err(Status::internal("all node ports are taken: delete services of type NodePort or LoadBalancer that are not needed"));
        };
        taken.insert(key(free));
        port["nodePort"] = json!(free);
    }
    Ok(())
}

/// Address and node ports stay unless the change says otherwise; what the new type has no use for goes, unless the change asks for it.
fn keep_what_was_given(old: &Value, service: &mut Value) {
    let external = |service: &Value| service["spec"]["type"] == "ExternalName";
    let unchanged = |service: &Value, key: &str| service["spec"][key].is_null() || service["spec"][key] == old["spec"][key];
    if external(service) {
        if !external(old) && unchanged(service, "clusterIP") && unchanged(service, "clusterIPs") {
            remove(service, &["clusterIP", "clusterIPs"]);
        }
    } else if !external(old) {
        for key in ["clusterIP", "clusterIPs"] {
            if service["spec"][key].is_null() && !old["spec"][key].is_null() {
                service["spec"][key] = old["spec"][key].clone();
            }
        }
    }
    let (had, wants) = (wants_node_ports(old), wants_node_ports(service));
    let before: Vec<Value> = old["spec"]["ports"].as_array().cloned().unwrap_or_default();
    let same =
        |port: &Value| before.iter().find(|other| other["port"] == port["port"] && protocol(other) == protocol(port)).and_then(node_port);
    for port in service["spec"]["ports"].as_array_mut().into_iter().flatten() {
        match same(port) {
            Some(number) if had && wants && node_port(port).is_none() => port["nodePort"] = json!(number),
            Some(number) if had && !wants && node_port(port) == Some(number) => {
                port.as_object_mut().map(|port| port.remove("nodePort"));
            }
            _ => {}
        }
    }
}

fn remove(service: &mut Value, keys: &[&str]) {
    if let Some(spec) = service["spec"].as_object_mut() {
        spec.retain(|key, _| !keys.contains(&key.as_str()));
    }
}
