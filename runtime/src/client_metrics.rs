//! Requests of this process to the Kubernetes API, as it sees them: how many, what came of them, and how long the answer took.

use std::time::Instant;

use http::{Method, Request};
use kube::Client;
use kube::client::Body;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

/// Methods the Kubernetes API knows; anything else is counted under the last.
const METHODS: [Method; 5] = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

/// The same client, whose requests are counted in metrics that it registers.
///
/// # Errors
/// They are registered already.
pub fn counted(registry: &Registry, client: &Client) -> Result<Client, prometheus::Error> {
    let total = IntCounterVec::new(
        Opts::new(
            "switchboard_kubernetes_requests_total",
            "Requests to the Kubernetes API, by method and status code; code failed: no answer came.",
        ),
        &["method", "code"],
    )?;
    let seconds = HistogramVec::new(
        HistogramOpts::new(
            "switchboard_kubernetes_request_seconds",
            "Time until an answer of the Kubernetes API began, in seconds; a watch is answered when it begins.",
        )
        .buckets(vec![0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0]),
        &["method"],
    )?;
    for method in METHODS {
        // There from the start, so that the first failure is a step from 0 to 1 and rates see it.
        total.with_label_values(&[label(&method), "failed"]);
        seconds.with_label_values(&[label(&method)]);
    }
    registry.register(Box::new(total.clone()))?;
    registry.register(Box::new(seconds.clone()))?;
    let inner = client.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let (inner, total, seconds, method) = (inner.clone(), total.clone(), seconds.clone(), label(request.method()));
        async move {
            let started = Instant::now();
            let answer = inner.send(request).await;
            let code = answer.as_ref().map_or_else(|_| "failed".to_owned(), |answer| answer.status().as_u16().to_string());
            total.with_label_values(&[method, code.as_str()]).inc();
            seconds.with_label_values(&[method]).observe(started.elapsed().as_secs_f64());
            answer
        }
    });
    Ok(Client::new(service, client.default_namespace()))
}

fn label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "get",
        "POST" => "post",
        "PUT" => "put",
        "PATCH" => "patch",
        _ => "delete",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use http::Response;
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::Api;

    use super::*;

    #[tokio::test]
    async fn answers_and_their_absence_are_counted_by_method_and_code() {
        let server = tower::service_fn(|request: Request<Body>| async move {
            let status = match request.uri().path().rsplit('/').next() {
                Some("missing") => 404,
                Some("gone") => return Err(std::io::Error::other("no connection")),
                _ => 200,
            };
            let body =
                serde_json::json!({"metadata": {"name": "a"}, "status": "Failure", "reason": "NotFound", "message": "", "code": status});
            Ok(Response::builder().status(status).body(Body::from(body.to_string().into_bytes())).unwrap())
        });
        let registry = Registry::new();
        let client = counted(&registry, &Client::new(server, "n")).unwrap();
        assert_eq!(client.default_namespace(), "n");
        let api: Api<ConfigMap> = Api::namespaced(client, "n");
        api.get("there").await.unwrap();
        assert!(api.get_opt("missing").await.unwrap().is_none());
        assert!(api.get("gone").await.is_err());
        assert!(api.delete("missing", &Default::default()).await.is_err());
        let families = registry.gather();
        let total = families.iter().find(|family| family.name() == "switchboard_kubernetes_requests_total").unwrap();
        let mut counted: Vec<(String, f64)> = total
            .get_metric()
            .iter()
            .map(|metric| {
                (metric.get_label().iter().map(|label| label.value()).collect::<Vec<_>>().join(" "), metric.get_counter().get_value())
            })
            .filter(|(_, count)| *count > 0.0)
            .collect();
        counted.sort_by(|a, b| a.0.cmp(&b.0));
        let expected = [("200 get", 1.0), ("404 delete", 1.0), ("404 get", 1.0), ("failed get", 1.0)];
        assert_eq!(counted, expected.map(|(labels, count)| (labels.to_owned(), count)));
    }
}
