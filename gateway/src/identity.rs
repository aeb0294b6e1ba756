//! Who a client certificate stands for: `switchboard:<customer>:<system>:<enrolment id>` as its URI name.

use model::ids::SystemKey;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// A system under one enrolment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Which system.
    pub(crate) key: SystemKey,
    /// Which of its enrolments; a renewed certificate keeps it.
    pub(crate) enrolment_id: String,
}

impl Identity {
    /// The URI that stands in the certificate.
    pub(crate) fn uri(&self) -> String {
        format!("switchboard:{}:{}:{}", self.key.customer, self.key.system, self.enrolment_id)
    }

    fn from_uri(uri: &str) -> Option<Self> {
        let mut parts = uri.strip_prefix("switchboard:")?.split(':');
        let customer = parts.next()?.parse().ok()?;
        let system = parts.next()?.parse().ok()?;
        let enrolment_id = parts.next().filter(|id| !id.is_empty())?.to_owned();
        parts.next().is_none().then_some(Self { key: SystemKey { customer, system }, enrolment_id })
    }

    /// Reads a certificate whose signature and validity TLS has checked. `None`: it has no such name.
    pub(crate) fn from_certificate(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let names = certificate.subject_alternative_name().ok()??;
        names.value.general_names.iter().find_map(|name| match name {
            GeneralName::URI(uri) => Self::from_uri(uri),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::Identity;

    #[test]
    fn an_identity_is_read_from_its_own_uri_and_from_nothing_else() {
        let uri = "switchboard:acme:hq:6f1c";
        assert_eq!(Identity::from_uri(uri).unwrap().uri(), uri);
        for bad in
            ["switchboard:acme:hq", "switchboard:acme:hq:", "switchboard:acme:hq:1:2", "switchboard:Acme:hq:1", "https:acme:hq:1", ""]
        {
            assert_eq!(Identity::from_uri(bad), None, "{bad}");
        }
    }
}
