//! Watches that one undecodable object cannot stop (promise: one bad object never stops the others).
//!
//! What a watch brings is kept in caches for long, so managed fields, which may be larger than all the rest, are left out at once.

use std::borrow::Cow;
use std::fmt::Debug;

use futures::{Stream, StreamExt as _, future};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::Resource;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Watches all objects of a kind in all namespaces, as [`tolerant_in`] does.
pub fn tolerant<K>(client: Client, config: watcher::Config) -> impl Stream<Item = watcher::Result<Event<K>>> + Send + 'static
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Debug + Clone + Send + 'static,
{
    watcher::watcher(Api::<Perhaps<K>>::all(client), config).filter_map(|event| future::ready(convert(event)))
}

/// Watches all objects of a kind in one namespace. An object that is not of the type is left out and logged; the others arrive.
pub fn tolerant_in<K>(
    client: Client,
    namespace: &str,
    config: watcher::Config,
) -> impl Stream<Item = watcher::Result<Event<K>>> + Send + 'static
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope> + DeserializeOwned + Debug + Clone + Send + 'static,
{
    watcher::watcher(Api::<Perhaps<K>>::namespaced(client, namespace), config).filter_map(|event| future::ready(convert(event)))
}

fn convert<K: Resource<DynamicType = ()>>(event: watcher::Result<Event<Perhaps<K>>>) -> Option<watcher::Result<Event<K>>> {
    match event {
        Ok(Event::Apply(object)) => object.read().map(|object| Ok(Event::Apply(object))),
        Ok(Event::Delete(object)) => object.read().map(|object| Ok(Event::Delete(object))),
        Ok(Event::InitApply(object)) => object.read().map(|object| Ok(Event::InitApply(object))),
        Ok(Event::Init) => Some(Ok(Event::Init)),
        Ok(Event::InitDone) => Some(Ok(Event::InitDone)),
        Err(error) => Some(Err(error)),
    }
}

/// An object of the type, or what is known of one that is not.
#[derive(Debug, Clone)]
enum Perhaps<K> {
    Read(K),
    Unreadable { metadata: Box<ObjectMeta>, error: String },
}

impl<K: Resource<DynamicType = ()>> Perhaps<K> {
    fn read(self) -> Option<K> {
        match self {
            Self::Read(object) => Some(object),
            Self::Unreadable { metadata, error } => {
                let (namespace, name) = (metadata.namespace.unwrap_or_default(), metadata.name.unwrap_or_default());
                tracing::error!(kind = %K::kind(&()), namespace, name, error, "an object cannot be read and is left alone: correct it, or install the version of its CustomResourceDefinition that fits");
                None
            }
        }
    }
}

impl<'de, K: DeserializeOwned> Deserialize<'de> for Perhaps<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut value = Value::deserialize(deserializer)?;
        if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
        }
        Ok(match K::deserialize(&value) {
            Ok(object) => Self::Read(object),
            Err(error) => {
                let metadata = value.get_mut("metadata").map(Value::take).unwrap_or_default();
                Self::Unreadable { metadata: Box::new(serde_json::from_value(metadata).unwrap_or_default()), error: error.to_string() }
            }
        })
    }
}

impl<K: Resource<DynamicType = ()>> Resource for Perhaps<K> {
    type DynamicType = ();
    type Scope = K::Scope;

    fn kind((): &()) -> Cow<'_, str> {
        K::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        K::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        K::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        K::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        match self {
            Self::Read(object) => object.meta(),
            Self::Unreadable { metadata, .. } => metadata,
        }
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        match self {
            Self::Read(object) => object.meta_mut(),
            Self::Unreadable { metadata, .. } => metadata,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use k8s_openapi::api::core::v1::ConfigMap;
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_of_another_shape_is_named_and_left_out_and_managed_fields_are_not_kept() {
        let managed = json!([{"manager": "m", "operation": "Apply", "fieldsV1": {"f:data": {}}}]);
        let metadata = json!({"name": "a", "namespace": "n", "managedFields": managed});
        let good: Perhaps<ConfigMap> = serde_json::from_value(json!({"metadata": metadata, "data": {"k": "v"}})).unwrap();
        let good = good.read().unwrap();
        assert_eq!((good.metadata.name.as_deref(), good.metadata.managed_fields.as_deref()), (Some("a"), None));
        let bad: Perhaps<ConfigMap> = serde_json::from_value(json!({"metadata": metadata, "data": 7})).unwrap();
        assert_eq!(bad.meta().name.as_deref(), Some("a"));
        assert!(bad.read().is_none());
    }
}
