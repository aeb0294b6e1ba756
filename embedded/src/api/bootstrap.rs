//! What a cluster has before anyone made anything.

use bytes::Bytes;
use http::{Method, Request};
use serde_json::{Value, json};

use super::request::Call;
use super::routing::Target;
use super::write::Ownership;
use super::{Api, metadata};
use crate::status::Status;
use crate::user::User;

/// Namespaces every cluster has.
const NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

impl Api {
    /// Makes the namespaces every cluster has, and `objects`, where they are missing. What is there stays as it is.
    ///
    /// # Errors
    /// Whatever keeps an object from being made.
    pub async fn bootstrap(&self, objects: Vec<Value>) -> Result<(), Status> {
        let namespaces = NAMESPACES.map(|name| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
        for object in namespaces.into_iter().chain(objects) {
            self.make_if_missing(object).await?;
        }
        Ok(())
    }

    async fn make_if_missing(&self, object: Value) -> Result<(), Status> {
        let version = object["apiVersion"].as_str().unwrap_or_default();
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        let kinds = self.kinds();
        let kind = object["kind"].as_str().unwrap_or_default();
        let Some(resource) = kinds.of(group, version).find(|resource| resource.kind == kind) else {
            return Err(Status::internal(format!("no kind {kind} of {version} is served")));
        };
        let (name, namespace) = (metadata::text(&object, "name").to_owned(), metadata::text(&object, "namespace").to_owned());
        let target = Target { resource: resource.clone(), namespace, name: Some(name), subresource: String::new() };
        if self.store().get(&self.key(&target)).is_some() {
            return Ok(());
        }
        let mut request = Request::new(Bytes::new());
        *request.method_mut() = Method::POST;
        let mut call = Call::new(request, &User::admin());
        call.own = true;
        let ownership = Ownership { manager: "kube-apiserver".to_owned(), subresource: String::new(), settled: false };
        match self.create_object(&call, &target, object, &ownership).await {
            Err(status) if status.reason != "AlreadyExists" => Err(status),
            _ => Ok(()),
        }
    }
}
