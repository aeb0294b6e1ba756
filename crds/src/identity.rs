//! Ids where the manifest gives none: derived from namespace and name, so that the same manifests always give the same ids and a lost cluster
//! finds its backups again.

use model::ids::{CustomerId, SystemId};
use ring::digest;

const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// 12 characters (60 bits) of a digest: unlikely to meet among some million objects, and a meeting is found and reported.
fn derive(scope: &str, namespace: &str, name: &str) -> String {
    // The separator cannot occur in a namespace or name, so two different pairs never give one text.
    let digest = digest::digest(&digest::SHA256, format!("{scope}\n{namespace}\n{name}").as_bytes());
    digest.as_ref().iter().take(12).map(|byte| char::from(ALPHABET[usize::from(byte & 31)])).collect()
}

/// The id of a customer that gives none.
pub fn derive_customer_id(namespace: &str, name: &str) -> CustomerId {
    derive("customer", namespace, name).parse().expect("the alphabet holds letters and digits only")
}

/// The id of a system that gives none.
pub fn derive_system_id(namespace: &str, name: &str) -> SystemId {
    derive("system", namespace, name).parse().expect("the alphabet holds letters and digits only")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_the_same_for_the_same_manifest_for_ever() {
        // Written down, not computed: a change here would cut every installation off from its backups.
        assert_eq!(derive_customer_id("north", "acme").as_str(), GOLDEN_CUSTOMER);
        assert_eq!(derive_system_id("north", "acme-hq").as_str(), GOLDEN_SYSTEM);
        assert_ne!(derive_customer_id("a", "bc"), derive_customer_id("ab", "c"));
    }
    const GOLDEN_CUSTOMER: &str = "hb8mif8ztsse";
    const GOLDEN_SYSTEM: &str = "xh7c5jfe6rre";
}
