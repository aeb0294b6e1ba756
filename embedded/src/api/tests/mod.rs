//! The API as its clients see it, over a store in memory.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod clients;
mod definitions;
mod deleting;
mod discovering;
mod guarding;
mod logging;
mod policies;
mod reading;
mod streaming;
mod watching;
mod writing;

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::{Api, ApiOptions};
use crate::store::Store;
use crate::user::User;

/// An API with the namespaces every cluster has.
struct Server {
    api: Api,
}

/// An answer, read to its end.
struct Reply {
    code: u16,
    headers: http::HeaderMap,
    body: Value,
}

impl Reply {
    /// The answer's body, if the request was good.
    fn ok(self) -> Value {
        assert!((200..300).contains(&self.code), "{}: {}", self.code, self.body);
        self.body
    }

    /// Code and message of an error.
    fn error(self) -> (u16, String) {
        assert!(self.code >= 400, "no error: {}", self.body);
        (self.code, self.body["message"].as_str().unwrap_or_default().to_owned())
    }
}

impl Server {
    async fn new() -> Self {
        let api = Api::new(Store::in_memory(), ApiOptions::default());
        api.bootstrap(Vec::new()).await.unwrap();
        Self { api }
    }

    async fn send(&self, user: &User, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Reply {
        let mut request = Request::builder().method(method).uri(path).header("user-agent", "tests/1");
        for (key, value) in headers {
            request = request.header(*key, *value);
        }
        let (parts, body) = self.api.handle(request.body(body.into()).unwrap(), user).await.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = std::str::from_utf8(&bytes).unwrap();
        Reply { code: parts.status.as_u16(), headers: parts.headers, body: text.parse().unwrap_or_else(|_| json!(text)) }
    }

    async fn get(&self, path: &str) -> Reply {
        self.send(&User::admin(), "GET", path, &[], "").await
    }

    async fn get_as(&self, path: &str, accept: &str) -> Reply {
        self.send(&User::admin(), "GET", path, &[("accept", accept)], "").await
    }

    async fn post(&self, path: &str, body: Value) -> Reply {
        self.send(&User::admin(), "POST", path, &[], body.to_string()).await
    }

    async fn put(&self, path: &str, body: Value) -> Reply {
        self.send(&User::admin(), "PUT", path, &[], body.to_string()).await
    }

    async fn delete(&self, path: &str, body: Value) -> Reply {
        self.send(&User::admin(), "DELETE", path, &[], body.to_string()).await
    }

    async fn merge(&self, path: &str, body: Value) -> Reply {
        self.send(&User::admin(), "PATCH", path, &[("content-type", "application/merge-patch+json")], body.to_string()).await
    }

    async fn apply(&self, path: &str, body: &str) -> Reply {
        self.send(&User::admin(), "PATCH", path, &[("content-type", "application/apply-patch+yaml")], body.to_owned()).await
    }

    async fn config_map(&self, name: &str, labels: Value) -> Value {
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}});
        self.post("/api/v1/namespaces/default/configmaps", object).await.ok()
    }

    /// Defines `Lamp`, with a status and a rule, and waits for nothing: it is served at once.
    async fn define_lamps(&self) {
        self.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", lamps()).await.ok();
    }
}

fn lamps() -> Value {
    let schema = json!({
        "type": "object",
        "description": "A lamp.",
        "properties": {
            "spec": {"type": "object", "properties": {"watts": {"type": "integer", "default": 40, "maximum": 100}}},
            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}
        }
    });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "lamps.light.example.org"},
        "spec": {
            "group": "light.example.org", "scope": "Namespaced",
            "names": {"plural": "lamps", "kind": "Lamp", "shortNames": ["lp"]},
            "versions": [{"name": "v1", "served": true, "storage": true, "subresources": {"status": {}}, "schema": {"openAPIV3Schema": schema}}]
        }
    })
}

const LAMPS: &str = "/apis/light.example.org/v1/namespaces/default/lamps";

fn lamp(name: &str) -> Value {
    json!({"apiVersion": "light.example.org/v1", "kind": "Lamp", "metadata": {"name": name}, "spec": {}})
}

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].as_str().unwrap()).collect()
}

/// Asks until the answer satisfies, for at most ten seconds.
async fn until(what: &str, mut ask: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !ask().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waiting).await.unwrap_or_else(|_| panic!("it never came to this: {what}"));
}
