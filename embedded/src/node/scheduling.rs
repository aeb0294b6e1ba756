//! Whether the node takes a pod: selectors, gates, cordons and taints.

use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{Node, Pod, Taint, Toleration};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};

use super::options::NodeOptions;
use super::registration;

/// What the Node object says of the node as a place for pods.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Place {
    cordoned: bool,
    taints: Vec<Taint>,
}

impl Place {
    fn of(node: &Node) -> Self {
        let spec = node.spec.clone().unwrap_or_default();
        let keeps_away = |taint: &Taint| taint.effect == "NoSchedule" || taint.effect == "NoExecute";
        Self { cordoned: spec.unschedulable == Some(true), taints: spec.taints.into_iter().flatten().filter(keeps_away).collect() }
    }

    /// What the Node object says now.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn now(client: &Client, name: &str) -> Result<Self, kube::Error> {
        Ok(Self::of(&Api::<Node>::all(client.clone()).get(name).await?))
    }

    /// What it says from now on.
    pub fn changes(client: &Client, name: &str) -> BoxStream<'static, Self> {
        let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let nodes = watcher::watcher(Api::<Node>::all(client.clone()), config).default_backoff().applied_objects();
        let noted = nodes.inspect_err(|error| tracing::warn!(%error, "the watch of the node was interrupted; it is taken up again"));
        noted.filter_map(|node| async move { node.ok().map(|node| Self::of(&node)) }).boxed()
    }

    /// Why the node cannot take a pod. Resources are not counted: processes share the machine as they do anyway.
    pub fn refusal(&self, pod: &Pod, options: &NodeOptions) -> Option<String> {
        let spec = pod.spec.as_ref()?;
        let gates: Vec<&str> = spec.scheduling_gates.iter().flatten().map(|gate| gate.name.as_str()).collect();
        if !gates.is_empty() {
            return Some(format!("Scheduling is blocked due to non-empty scheduling gates: {}", gates.join(", ")));
        }
        if self.cordoned {
            return Some("0/1 nodes are available: 1 node(s) were unschedulable.".to_owned());
        }
        let tolerated = |taint: &Taint| spec.tolerations.iter().flatten().any(|toleration| tolerates(toleration, taint));
        if let Some(taint) = self.taints.iter().find(|taint| !tolerated(taint)) {
            let value = taint.value.as_deref().unwrap_or_default();
            return Some(format!("0/1 nodes are available: 1 node(s) had untolerated taint {{{}: {value}}}.", taint.key));
        }
        let label = |key: &str| match key {
            "kubernetes.io/hostname" => Some(options.name.as_str()),
            "kubernetes.io/os" => Some("linux"),
            "kubernetes.io/arch" => Some(registration::architecture()),
            _ => None,
        };
        let (key, value) = spec.node_selector.iter().flatten().find(|(key, value)| label(key) != Some(value.as_str()))?;
        Some(format!("0/1 nodes are available: 1 node(s) didn't match Pod's node selector: {key}={value}"))
    }
}

fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let key = toleration.key.as_deref().unwrap_or_default();
    let exists = toleration.operator.as_deref() == Some("Exists");
    let same_key = key == taint.key || (key.is_empty() && exists);
    let same_value = exists || toleration.value.as_deref().unwrap_or_default() == taint.value.as_deref().unwrap_or_default();
    let same_effect = toleration.effect.as_deref().is_none_or(|effect| effect.is_empty() || effect == taint.effect);
    same_key && same_value && same_effect
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use serde_json::{Value, json};

    use super::*;
    use crate::node::{Images, Launcher};

    fn refusal(node: Value, pod: Value) -> Option<String> {
        let node = serde_json::from_value(json!({"metadata": {}, "spec": node})).unwrap();
        let pod = serde_json::from_value(json!({"metadata": {}, "spec": pod})).unwrap();
        let options = NodeOptions::new("/tmp", Images::new(), Launcher { program: "/bin/true".into(), arguments: Vec::new() });
        Place::of(&node).refusal(&pod, &options)
    }

    #[test]
    fn a_cordon_and_taints_keep_pods_away_that_do_not_tolerate_them() {
        let plain = json!({"containers": []});
        assert_eq!(refusal(json!({}), plain.clone()), None);
        assert!(refusal(json!({"unschedulable": true}), plain.clone()).unwrap().contains("unschedulable"));
        let tainted = json!({"taints": [{"key": "k", "value": "v", "effect": "NoSchedule"}]});
        assert_eq!(refusal(tainted.clone(), plain.clone()).unwrap(), "0/1 nodes are available: 1 node(s) had untolerated taint {k: v}.");
        assert_eq!(refusal(json!({"taints": [{"key": "k", "effect": "PreferNoSchedule"}]}), plain), None);
        for (toleration, fits) in [
            (json!({"key": "k", "operator": "Equal", "value": "v", "effect": "NoSchedule"}), true),
            (json!({"key": "k", "value": "w"}), false),
            (json!({"key": "k", "operator": "Exists"}), true),
            (json!({"operator": "Exists"}), true),
            (json!({"key": "k", "operator": "Exists", "effect": "NoExecute"}), false),
        ] {
            let pod = json!({"containers": [], "tolerations": [toleration]});
            assert_eq!(refusal(tainted.clone(), pod).is_none(), fits, "{toleration}");
        }
    }
}
