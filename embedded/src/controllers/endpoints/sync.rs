//! Compares what is there with what is to be, and writes what differs. Nothing is written at rest.

use k8s_openapi::api::core::v1::{EndpointSubset, Endpoints, Service};
use k8s_openapi::api::discovery::v1::{EndpointPort, EndpointSlice};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::ObjectMeta;
use kube::{Client, Error, ResourceExt};
use serde_json::json;

use super::View;
use super::plan::{self, MANAGED_BY, MIRRORING, SLICES};
use super::pods::PodFacts;
use crate::controllers::workloads::context::{is_ending, is_gone};
use crate::network::names::{Name, service_of};

/// Writes endpoints.
pub(crate) struct Writer {
    client: Client,
}

impl Writer {
    /// One that writes through this client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Brings one Service's endpoints up to date. The view is told of what was written, so that the next look does not write it again.
    ///
    /// # Errors
    /// What the server says, other than that the namespace is going or that somebody was quicker: then the watch tells more.
    pub async fn bring_up_to_date(&mut self, view: &mut View, name: &Name) -> Result<(), Error> {
        let Some(service) = view.services.get(name).cloned() else { return self.forget(view, name).await };
        if service.metadata.deletion_timestamp.is_some() {
            return Ok(());
        }
        self.load_balancer(&service).await?;
        let wanted = match plan::selector(&service) {
            Some(selector) => {
                let pods = view.pods.get(&name.0).into_iter().flat_map(|pods| pods.values());
                let pods: Vec<&PodFacts> = pods.filter(|pod| pod.is_selected_by(selector)).collect();
                let (labels, subsets) = plan::endpoints(&service, &pods);
                let slices = plan::slices(&service, &pods);
                self.endpoints(view, name, labels, subsets).await?;
                slices
            }
            None => view.endpoints.get(name).map(|endpoints| plan::mirrored(&service, endpoints)).unwrap_or_default(),
        };
        self.slices(view, name, wanted).await
    }

    async fn slices(&self, view: &mut View, name: &Name, wanted: Vec<EndpointSlice>) -> Result<(), Error> {
        let api: Api<EndpointSlice> = Api::namespaced(self.client.clone(), &name.0);
        let ours: Vec<EndpointSlice> = view.slices.values().filter(|slice| is_ours(slice, name)).cloned().collect();
        for slice in ours.iter().filter(|slice| !wanted.iter().any(|wanted| wanted.metadata.name == slice.metadata.name)) {
            let preconditions = Preconditions { uid: slice.uid(), resource_version: None };
            let how = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
            passing_over(api.delete(&slice.name_any(), &how).await.map(drop))?;
            view.slices.remove(&(name.0.clone(), slice.name_any()));
        }
        for slice in wanted {
            let key = (name.0.clone(), slice.name_any());
            let written = match view.slices.get(&key) {
                Some(present) if !is_ours(present, name) => {
                    tracing::warn!(
                        namespace = key.0,
                        slice = key.1,
                        "somebody else's slice has the name of one that is to be made; delete it"
                    );
                    continue;
                }
                Some(present) if same_slice(present, &slice) => continue,
                Some(present) => {
                    let metadata = ObjectMeta { resource_version: present.resource_version(), ..slice.metadata.clone() };
                    api.replace(&key.1, &PostParams::default(), &EndpointSlice { metadata, ..slice }).await
                }
                None => api.create(&PostParams::default(), &slice).await,
            };
            if let Some(written) = passing_over(written)? {
                view.slices.insert(key, written);
            }
        }
        Ok(())
    }

    async fn endpoints(
        &self,
        view: &mut View,
        name: &Name,
        labels: std::collections::BTreeMap<String, String>,
        subsets: Vec<EndpointSubset>,
    ) -> Result<(), Error> {
        let api: Api<Endpoints> = Api::namespaced(self.client.clone(), &name.0);
        let present = view.endpoints.get(name);
        let subsets = Some(subsets).filter(|subsets| !subsets.is_empty());
        if present.is_some_and(|present| *present.labels() == labels && same_subsets(present.subsets.as_ref(), subsets.as_ref())) {
            return Ok(());
        }
        let metadata = ObjectMeta {
            name: Some(name.1.clone()),
            namespace: Some(name.0.clone()),
            labels: Some(labels),
            annotations: present.map(|present| present.annotations().clone()).filter(|all| !all.is_empty()),
            resource_version: present.and_then(ResourceExt::resource_version),
            ..ObjectMeta::default()
        };
        let endpoints = Endpoints { metadata, subsets };
        let written = match present {
            Some(_) => api.replace(&name.1, &PostParams::default(), &endpoints).await,
            None => api.create(&PostParams::default(), &endpoints).await,
        };
        if let Some(written) = passing_over(written)? {
            view.endpoints.insert(name.clone(), written);
        }
        Ok(())
    }

    /// A Service that is gone takes its Endpoints along; its slices belong to it and are collected.
    async fn forget(&self, view: &mut View, name: &Name) -> Result<(), Error> {
        // Hand-made ones may have come before their Service.
        let Some(endpoints) = view.endpoints.get(name).filter(|endpoints| plan::are_ours(endpoints)) else { return Ok(()) };
        let api: Api<Endpoints> = Api::namespaced(self.client.clone(), &name.0);
        let preconditions = Preconditions { uid: endpoints.uid(), resource_version: None };
        let how = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        passing_over(api.delete(&name.1, &how).await.map(drop))?;
        view.endpoints.remove(name);
        Ok(())
    }

    /// On one machine a Service's own address is as good as a load balancer's.
    async fn load_balancer(&self, service: &Service) -> Result<(), Error> {
        let spec = service.spec.as_ref();
        let balanced = spec.and_then(|spec| spec.type_.as_deref()) == Some("LoadBalancer");
        let address = spec.and_then(|spec| spec.cluster_ip.clone()).filter(|address| balanced && !address.is_empty());
        let status = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
        let present = status.and_then(|status| status.ingress.as_ref()).and_then(|ingress| ingress.first()).and_then(|one| one.ip.clone());
        if present == address {
            return Ok(());
        }
        let ingress = address.map(|address| json!([{"ip": address, "ipMode": "VIP"}]));
        let patch = json!({"metadata": {"uid": service.uid()}, "status": {"loadBalancer": {"ingress": ingress}}});
        let api: Api<Service> = Api::namespaced(self.client.clone(), &service.namespace().unwrap_or_default());
        let written = api.patch_status(&service.name_any(), &PatchParams::default(), &Patch::Merge(patch)).await;
        passing_over(written).map(drop)
    }
}

/// What a namespace that is going or a quicker writer brings about: the watch will tell what is so now.
fn passing_over<T>(written: Result<T, Error>) -> Result<Option<T>, Error> {
    match written {
        Ok(written) => Ok(Some(written)),
        Err(error) if is_gone(&error) || is_ending(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a slice is kept by this controller for a Service.
fn is_ours(slice: &EndpointSlice, name: &Name) -> bool {
    let keeper = slice.labels().get(MANAGED_BY).map(String::as_str);
    matches!(keeper, Some(SLICES | MIRRORING)) && service_of(slice).as_ref() == Some(name)
}

fn same_slice(present: &EndpointSlice, wanted: &EndpointSlice) -> bool {
    let ports = |slice: &EndpointSlice| -> Vec<EndpointPort> { slice.ports.clone().unwrap_or_default() };
    let endpoints = |slice: &EndpointSlice| slice.endpoints.clone().unwrap_or_default();
    endpoints(present) == endpoints(wanted)
        && ports(present) == ports(wanted)
        && present.labels() == wanted.labels()
        && present.owner_references() == wanted.owner_references()
}

/// Compared as it is written: what is empty is as good as absent.
fn same_subsets(present: Option<&Vec<EndpointSubset>>, wanted: Option<&Vec<EndpointSubset>>) -> bool {
    present.map(Vec::as_slice).unwrap_or_default() == wanted.map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[test]
    fn what_only_the_watch_can_tell_is_passed_over_and_a_refusal_is_not() {
        let answer = |code: u16, message: &str| {
            let status: Status = serde_json::from_value(json!({"code": code, "message": message})).unwrap_or_default();
            passing_over::<()>(Err(Error::Api(Box::new(status)))).is_ok()
        };
        let ending = "endpointslices \"web-1\" is forbidden: unable to create new content in namespace n because it is being terminated";
        assert!(answer(404, "") && answer(409, "") && answer(403, ending));
        assert!(!answer(403, "denied by a policy"), "otherwise nobody would ever hear why a service has no endpoints");
        assert!(!answer(500, ""));
    }
}
