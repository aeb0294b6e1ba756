//! Addresses of services: each service has one of its own on the loopback network.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{Api, metadata};
use crate::status::{FieldError, Status};

/// Hosts of the service network: the first and the last address stay free.
const HOSTS: u32 = 65_534;

impl Api {
    /// Gives a new service an address nobody has, or checks the one it asks for.
    pub(super) fn give_address(&self, service: &mut Value) -> Result<(), Status> {
        let wanted = service["spec"]["clusterIP"].as_str().unwrap_or_default().to_owned();
        if wanted == "None" || service["spec"]["type"] == "ExternalName" {
            if wanted == "None" {
                service["spec"]["clusterIPs"] = json!(["None"]);
            }
            return Ok(());
        }
        let taken = self.addresses();
        if taken.contains(&wanted) {
            let error = FieldError::invalid("spec.clusterIPs", &json!([wanted]), "failed to allocate IP: provided IP is already allocated");
            return Err(Status::invalid("", "Service", metadata::text(service, "name"), &[error]));
        }
        let address = if wanted.is_empty() { self.free_address(service, &taken)? } else { wanted };
        service["spec"]["clusterIPs"] = json!([address]);
        service["spec"]["clusterIP"] = json!(address);
        Ok(())
    }

    fn addresses(&self) -> HashSet<String> {
        let services = self.store().list("services", None, None, None).objects;
        services.iter().filter_map(|service| service.value()["spec"]["clusterIP"].as_str().map(str::to_owned)).collect()
    }

    /// The same service gets the same address again if it is free: it begins at a place made of namespace and name.
    fn free_address(&self, service: &Value, taken: &HashSet<String>) -> Result<String, Status> {
        let name = format!("{}/{}", metadata::text(service, "namespace"), metadata::text(service, "name"));
        let start = name.bytes().fold(2_166_136_261_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(16_777_619));
        let [first, second] = self.options().service_network;
        (0..HOSTS)
            .map(|step| (start % HOSTS + step) % HOSTS + 1)
            .map(|host| format!("{first}.{second}.{}.{}", host >> 8, host & 0xff))
            .find(|address| !taken.contains(address))
            .ok_or_else(|| {
                Status::internal(format!("all addresses of {first}.{second}.0.0/16 are taken: delete services that are not needed"))
            })
    }
}
