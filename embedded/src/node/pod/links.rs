//! The variables by which a container finds Services without DNS: those of the pod's namespace that exist when it starts, and the API server.

use std::net::SocketAddrV4;

use k8s_openapi::api::core::v1::{Service, ServicePort};

use super::environment::Environment;

/// Sets `{NAME}_SERVICE_HOST`, `{NAME}_SERVICE_PORT` and the older ones in the manner of linked containers, for each Service with an address.
pub fn of_services(environment: &mut Environment, services: &[Service]) {
    for service in services {
        let spec = service.spec.as_ref();
        let address = spec.and_then(|spec| spec.cluster_ip.as_deref()).filter(|address| !address.is_empty() && *address != "None");
        let ports = spec.and_then(|spec| spec.ports.as_deref()).unwrap_or_default();
        if let (Some(address), Some(name)) = (address, &service.metadata.name) {
            of_service(environment, name, address, ports);
        }
    }
}

/// Sets the variables of the Service `kubernetes`, whatever services the pod wants to know of.
pub fn of_api_server(environment: &mut Environment, at: SocketAddrV4) {
    let port = ServicePort { name: Some("https".to_owned()), port: i32::from(at.port()), ..ServicePort::default() };
    of_service(environment, "kubernetes", &at.ip().to_string(), &[port]);
}

fn of_service(environment: &mut Environment, name: &str, address: &str, ports: &[ServicePort]) {
    let name = variable(name);
    environment.set(format!("{name}_SERVICE_HOST"), address);
    let Some(first) = ports.first() else { return };
    environment.set(format!("{name}_SERVICE_PORT"), first.port.to_string());
    for port in ports {
        if let Some(label) = port.name.as_deref().filter(|label| !label.is_empty()) {
            environment.set(format!("{name}_SERVICE_PORT_{}", variable(label)), port.port.to_string());
        }
    }
    let url = |port: &ServicePort| format!("{}://{address}:{}", protocol(port), port.port);
    environment.set(format!("{name}_PORT"), url(first));
    for port in ports {
        let prefix = format!("{name}_PORT_{}_{}", port.port, protocol(port).to_uppercase());
        environment.set(prefix.clone(), url(port));
        environment.set(format!("{prefix}_PROTO"), protocol(port));
        environment.set(format!("{prefix}_PORT"), port.port.to_string());
        environment.set(format!("{prefix}_ADDR"), address);
    }
}

fn protocol(port: &ServicePort) -> String {
    port.protocol.as_deref().filter(|protocol| !protocol.is_empty()).unwrap_or("TCP").to_lowercase()
}

/// A name as part of a variable's.
fn variable(name: &str) -> String {
    name.to_uppercase().replace(['-', '.'], "_")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;
    use serde_json::json;

    #[test]
    fn services_with_an_address_are_named_and_headless_ones_are_not() {
        let service = |name: &str, address: &str| -> Service {
            let ports = json!([{"name": "web-ui", "port": 80}, {"name": "dns", "port": 53, "protocol": "UDP"}]);
            serde_json::from_value(json!({"metadata": {"name": name}, "spec": {"clusterIP": address, "ports": ports}})).unwrap()
        };
        let mut environment = Environment::default();
        of_services(&mut environment, &[service("my-app", "127.1.128.9"), service("other", "None"), service("going", "")]);
        of_api_server(&mut environment, SocketAddrV4::new([127, 1, 128, 1].into(), 443));
        for (name, value) in [
            ("MY_APP_SERVICE_HOST", "127.1.128.9"),
            ("MY_APP_SERVICE_PORT", "80"),
            ("MY_APP_SERVICE_PORT_WEB_UI", "80"),
            ("MY_APP_PORT", "tcp://127.1.128.9:80"),
            ("MY_APP_PORT_53_UDP", "udp://127.1.128.9:53"),
            ("MY_APP_PORT_80_TCP_ADDR", "127.1.128.9"),
            ("KUBERNETES_SERVICE_HOST", "127.1.128.1"),
            ("KUBERNETES_SERVICE_PORT", "443"),
            ("KUBERNETES_SERVICE_PORT_HTTPS", "443"),
        ] {
            assert_eq!(environment.get(name), Some(value), "{name}");
        }
        assert!(environment.iter().all(|(name, _)| !name.starts_with("OTHER") && !name.starts_with("GOING")));
    }
}
