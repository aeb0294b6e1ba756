//! Requests counted by verb, resource and code: what shows that a cluster at rest writes nothing.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// What a count is of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestKind {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, or the HTTP method of a path that is no resource.
    pub verb: String,
    /// Plural with subresource and group (`deployments/status.apps`); `-` for a path that is no resource.
    pub resource: String,
    /// HTTP code of the answer.
    pub code: u16,
}

#[derive(Default)]
pub(super) struct Requests(Mutex<BTreeMap<RequestKind, u64>>);

impl Requests {
    pub fn count(&self, verb: &str, resource: &str, code: u16) {
        let kind = RequestKind { verb: verb.to_owned(), resource: resource.to_owned(), code };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(kind).or_default() += 1;
    }

    /// The counts as Prometheus reads them, under the name and with the labels of a Kubernetes API server.
    pub fn exposition(&self) -> String {
        let mut text = "# HELP apiserver_request_total Requests answered, by verb, resource and HTTP code.\n".to_owned();
        text.push_str("# TYPE apiserver_request_total counter\n");
        for (RequestKind { verb, resource, code }, count) in self.read() {
            let verb = match verb.as_str() {
                "create" => "POST".to_owned(),
                "update" => "PUT".to_owned(),
                other => other.to_uppercase(),
            };
            let (path, group) = resource.split_once('.').unwrap_or((&resource, ""));
            let (plural, subresource) = path.split_once('/').unwrap_or((path, ""));
            let plural = if plural == "-" { "" } else { plural };
            let labels = format!(r#"code="{code}",group="{group}",resource="{plural}",subresource="{subresource}",verb="{verb}""#);
            text.push_str(&format!("apiserver_request_total{{{labels}}} {count}\n"));
        }
        text
    }

    pub fn read(&self) -> BTreeMap<RequestKind, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
