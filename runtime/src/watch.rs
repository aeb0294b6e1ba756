//! Watches that one undecodable object cannot stop (promise: one bad object never stops the others).

use std::fmt::Debug;

use futures::{Stream, StreamExt as _, future};
use kube::api::DynamicObject;
use kube::core::{ApiResource, Resource};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};
use serde::de::DeserializeOwned;

/// Watches all objects of a kind in all namespaces. An object that is not of the type is left out and logged; the others arrive.
pub fn tolerant<K>(client: Client, config: watcher::Config) -> impl Stream<Item = watcher::Result<Event<K>>> + Send + 'static
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Debug + Clone + Send + 'static,
{
    let api: Api<DynamicObject> = Api::all_with(client, &ApiResource::erase::<K>(&()));
    watcher::watcher(api, config).filter_map(|event| future::ready(convert(event)))
}

fn convert<K: Resource<DynamicType = ()> + DeserializeOwned>(
    event: watcher::Result<Event<DynamicObject>>,
) -> Option<watcher::Result<Event<K>>> {
    match event {
        Ok(Event::Apply(object)) => decode(object).map(|object| Ok(Event::Apply(object))),
        Ok(Event::Delete(object)) => decode(object).map(|object| Ok(Event::Delete(object))),
        Ok(Event::InitApply(object)) => decode(object).map(|object| Ok(Event::InitApply(object))),
        Ok(Event::Init) => Some(Ok(Event::Init)),
        Ok(Event::InitDone) => Some(Ok(Event::InitDone)),
        Err(error) => Some(Err(error)),
    }
}

fn decode<K: Resource<DynamicType = ()> + DeserializeOwned>(object: DynamicObject) -> Option<K> {
    let name = object.metadata.name.clone().unwrap_or_default();
    let namespace = object.metadata.namespace.clone().unwrap_or_default();
    let decoded = serde_json::to_value(object).and_then(serde_json::from_value);
    decoded
        .map_err(|error| {
            tracing::error!(kind = %K::kind(&()), namespace, name, %error, "an object cannot be read and is left alone: correct it, or install the version of its CustomResourceDefinition that fits");
        })
        .ok()
}
