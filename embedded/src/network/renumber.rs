//! Addresses of Services that are not of the plane's present block: of another version, or of a block that another plane has taken while this
//! one was down. Clients may never change such an address, so the plane does it before it serves.

use std::collections::HashSet;
use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::ServiceNetwork;
use crate::store::{Store, Write, WriteError};

/// Gives every Service an address of this network. One that keeps its lower half keeps that. Returns how many were changed.
///
/// # Errors
/// What the store says.
pub async fn renumber(store: &Store, network: ServiceNetwork) -> Result<usize, WriteError> {
    let services = store.list("services", None, None, None).objects;
    let address = |value: &Value| value["spec"]["clusterIP"].as_str().and_then(|text| text.parse::<Ipv4Addr>().ok());
    let mut taken: HashSet<Ipv4Addr> =
        services.iter().filter_map(|service| address(&service.value())).filter(|address| network.contains(*address)).collect();
    let mut changed = 0;
    for service in services {
        let mut value = service.value();
        let Some(old) = address(&value).filter(|old| !network.contains(*old)) else { continue };
        let kept = Some(moved(old, network)).filter(|same| network.contains(*same) && !taken.contains(same));
        let Some(new) = kept.or_else(|| network.free(0, &taken)) else { continue };
        taken.insert(new);
        value["spec"]["clusterIP"] = json!(new.to_string());
        value["spec"]["clusterIPs"] = json!([new.to_string()]);
        if value["status"]["loadBalancer"]["ingress"].is_array() {
            value["status"]["loadBalancer"] = json!({});
        }
        store.write(Write::Update { key: service.key.clone(), expected: service.revision, value }).await?;
        changed += 1;
    }
    Ok(changed)
}

/// The lower half of one address behind the upper half of a network.
fn moved(old: Ipv4Addr, network: ServiceNetwork) -> Ipv4Addr {
    let [_, _, third, fourth] = old.octets();
    let [first, second, ..] = network.first.octets();
    Ipv4Addr::new(first, second, third, fourth)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;
    use crate::store::Key;

    #[tokio::test]
    async fn services_follow_their_plane_into_another_block_and_keep_what_they_can() {
        let store = Store::in_memory();
        for (name, address) in [("a", "127.9.128.1"), ("b", "127.9.130.5"), ("c", "None"), ("d", "127.10.0.7"), ("e", "127.8.200.200")] {
            let value = json!({"metadata": {"name": name}, "spec": {"clusterIP": address, "clusterIPs": [address]}});
            store.write(Write::Create { key: Key::new("services", "n", name), value }).await.unwrap();
        }
        let network = ServiceNetwork { first: Ipv4Addr::new(127, 8, 128, 1), count: 0x7ffe };
        assert_eq!(renumber(&store, network).await.unwrap(), 3);
        let address = |name: &str| store.get(&Key::new("services", "n", name)).unwrap().value()["spec"]["clusterIP"].clone();
        assert_eq!([address("a"), address("b"), address("c")], [json!("127.8.128.1"), json!("127.8.130.5"), json!("None")]);
        assert_eq!([address("d"), address("e")], [json!("127.8.128.2"), json!("127.8.200.200")]);
        assert_eq!(renumber(&store, network).await.unwrap(), 0, "nothing is left to do");
    }
}
