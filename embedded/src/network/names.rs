//! How Services and their slices are found.

use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::ResourceExt;

/// Label of a slice: whose it is.
pub const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Namespace and name.
pub type Name = (String, String);

/// Those of an object.
pub fn name_of(object: &impl ResourceExt) -> Name {
    (object.namespace().unwrap_or_default(), object.name_any())
}

/// The Service a slice belongs to.
pub fn service_of(slice: &EndpointSlice) -> Option<Name> {
    let service = slice.labels().get(SERVICE_NAME)?;
    Some((slice.namespace().unwrap_or_default(), service.clone()))
}
