//! The authorities of an operator with several replicas, in one Secret: made once, by whichever replica comes first, and never overwritten. One signs for
//! systems and gateways, the other for replicas alone, so that no system's certificate ever passes for a replica's.

use std::collections::BTreeMap;

use gateway::Authority;
use gateway::authority::AuthorityError;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use kube::{Api, Client};

/// Keys of the Secret: certificate and key of each.
const SYSTEMS: [&str; 2] = ["systems.crt", "systems.key"];
const REPLICAS: [&str; 2] = ["replicas.crt", "replicas.key"];

/// The authorities.
#[derive(Debug)]
pub struct Authorities {
    /// Signs what systems connect with, and what gateways show.
    pub systems: Authority,
    /// Signs what replicas show each other.
    pub replicas: Authority,
}

/// Why there are none.
#[derive(Debug, thiserror::Error)]
pub enum AuthoritiesError {
    /// The API server did not do its part.
    #[error("the Secret {place} with the authorities cannot be {action}")]
    Api {
        /// `namespace/name`.
        place: String,
        /// What was tried.
        action: &'static str,
        /// Its answer.
        source: kube::Error,
    },
    /// The Secret holds something else.
    #[error(
        "the Secret {place} is damaged: {key}: {cause}; put it back from a backup. Only where there is none, delete it: then every system must enrol again"
    )]
    Damaged {
        /// `namespace/name`.
        place: String,
        /// Which of its keys.
        key: &'static str,
        /// What is wrong with it.
        cause: String,
    },
    /// A new one cannot be made.
    #[error(transparent)]
    Make(#[from] AuthorityError),
}

/// Name of the Secret.
pub fn secret_name(name: &str) -> String {
    format!("{name}-authority")
}

/// Takes the authorities from the Secret; where there is none, makes it. `present`: one that systems trust already, from before there were replicas.
///
/// # Errors
/// The Secret is damaged, or cannot be read or made.
pub async fn load_or_create(
    client: &Client,
    namespace: &str,
    name: &str,
    present: Option<Authority>,
) -> Result<Authorities, AuthoritiesError> {
    let secret_name = secret_name(name);
    let place = format!("{namespace}/{secret_name}");
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let failed = |action| {
        let place = place.clone();
        move |source| AuthoritiesError::Api { place, action, source }
    };
    if let Some(secret) = api.get_opt(&secret_name).await.map_err(failed("read"))? {
        return read(&secret, &place);
    }
    let imported = present.is_some();
    let systems = present.map_or_else(Authority::create, Ok)?;
    let secret = secret(name, &secret_name, &systems, &Authority::create()?);
    match api.create(&PostParams::default(), &secret).await {
        Ok(secret) => {
            tracing::info!(secret = place, imported, "the authorities were made and are kept in a Secret: back it up");
            read(&secret, &place)
        }
        // Another replica was faster.
        Err(kube::Error::Api(status)) if status.code == 409 => {
            let secret = api.get(&secret_name).await.map_err(failed("read"))?;
            read(&secret, &place)
        }
        Err(error) => Err(failed("made")(error)),
    }
}

fn secret(name: &str, secret_name: &str, systems: &Authority, replicas: &Authority) -> Secret {
    let mut data = BTreeMap::new();
    for ([certificate, key], authority) in [(SYSTEMS, systems), (REPLICAS, replicas)] {
        data.insert(certificate.to_owned(), ByteString(authority.certificate_pem().as_bytes().to_vec()));
        data.insert(key.to_owned(), ByteString(authority.key_pem().expose().as_bytes().to_vec()));
    }
    let mut secret = Secret { data: Some(data), type_: Some("switchboard.dev/authority".to_owned()), ..Secret::default() };
    secret.metadata.name = Some(secret_name.to_owned());
    let labels = [(crate::MANAGED_BY, "switchboard"), ("app.kubernetes.io/instance", name), ("app.kubernetes.io/component", "authority")];
    secret.metadata.labels = Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    secret
}

fn read(secret: &Secret, place: &str) -> Result<Authorities, AuthoritiesError> {
    let damaged = |key, cause: String| AuthoritiesError::Damaged { place: place.to_owned(), key, cause };
    let bytes = |key: &'static str| {
        let found = secret.data.as_ref().and_then(|data| data.get(key)).map(|bytes| bytes.0.as_slice());
        found.filter(|bytes| !bytes.is_empty()).ok_or_else(|| damaged(key, "it is missing".to_owned()))
    };
    let authority = |[certificate, key]: [&'static str; 2]| {
        Authority::from_pem(bytes(certificate)?, bytes(key)?).map_err(|error| match error {
            AuthorityError::Damaged { cause, .. } => damaged(certificate, cause),
            other => AuthoritiesError::Make(other),
        })
    };
    Ok(Authorities { systems: authority(SYSTEMS)?, replicas: authority(REPLICAS)? })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use std::sync::{Arc, Mutex};

    use http::{Method, Request, Response};
    use http_body_util::BodyExt as _;
    use kube::client::Body;

    use super::*;

    /// An API server with one Secret, which another replica may make between a look and a create.
    #[derive(Clone, Default)]
    struct Server(Arc<Mutex<State>>);

    #[derive(Default)]
    struct State {
        secret: Option<serde_json::Value>,
        comes_meanwhile: Option<serde_json::Value>,
        writes: usize,
    }

    impl Server {
        fn client(&self) -> Client {
            let server = self.clone();
            let service = tower::service_fn(move |request: Request<Body>| {
                let server = server.clone();
                async move { Ok::<_, std::convert::Infallible>(server.answer(request).await) }
            });
            Client::new(service, "ns")
        }

        async fn answer(&self, request: Request<Body>) -> Response<Body> {
            let (head, body) = request.into_parts();
            let sent = body.collect().await.unwrap().to_bytes();
            let mut state = self.0.lock().unwrap();
            let (code, answer) = match (head.method, state.secret.clone()) {
                (Method::GET, Some(secret)) => (200, secret),
                (Method::GET, None) => {
                    state.secret = state.comes_meanwhile.take();
                    (404, failure(404, "NotFound"))
                }
                (Method::POST, Some(_)) => (409, failure(409, "AlreadyExists")),
                (Method::POST, None) => {
                    state.writes += 1;
                    let secret: serde_json::Value = serde_json::from_slice(&sent).unwrap();
                    state.secret = Some(secret.clone());
                    (201, secret)
                }
                (method, _) => panic!("a Secret that is never overwritten got a {method}"),
            };
            Response::builder().status(code).body(Body::from(answer.to_string().into_bytes())).unwrap()
        }
    }

    fn failure(code: u16, reason: &str) -> serde_json::Value {
        serde_json::json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code, "message": reason})
    }

    #[tokio::test]
    async fn the_authority_of_an_operator_that_was_alone_is_taken_over_once_and_all_replicas_use_it() {
        let server = Server::default();
        let before = Authority::create().unwrap();
        let trusted = before.certificate_pem().to_owned();
        let first = load_or_create(&server.client(), "ns", "com", Some(before)).await.unwrap();
        assert_eq!(first.systems.certificate_pem(), trusted);
        let second = load_or_create(&server.client(), "ns", "com", Some(Authority::create().unwrap())).await.unwrap();
        assert_eq!((second.systems.certificate_pem(), server.0.lock().unwrap().writes), (trusted.as_str(), 1));
        assert_eq!(first.replicas.certificate_pem(), second.replicas.certificate_pem());
    }

    #[tokio::test]
    async fn of_two_replicas_that_start_at_once_one_makes_the_secret_and_both_use_it() {
        let (server, faster) = (Server::default(), Server::default());
        let theirs = load_or_create(&faster.client(), "ns", "com", None).await.unwrap();
        server.0.lock().unwrap().comes_meanwhile = faster.0.lock().unwrap().secret.clone();
        let ours = load_or_create(&server.client(), "ns", "com", None).await.unwrap();
        assert_eq!(ours.systems.certificate_pem(), theirs.systems.certificate_pem());
        assert_eq!(server.0.lock().unwrap().writes, 0);
    }

    #[test]
    fn what_was_kept_is_read_and_what_is_damaged_is_said() {
        let (systems, replicas) = (Authority::create().unwrap(), Authority::create().unwrap());
        let kept = secret("switchboard", "switchboard-authority", &systems, &replicas);
        let found = read(&kept, "ns/switchboard-authority").unwrap();
        assert_eq!(found.systems.certificate_pem(), systems.certificate_pem());
        assert_eq!(found.replicas.certificate_pem(), replicas.certificate_pem());
        let with = |change: &dyn Fn(&mut BTreeMap<String, ByteString>)| {
            let mut other = kept.clone();
            change(other.data.as_mut().unwrap());
            read(&other, "ns/switchboard-authority").unwrap_err().to_string()
        };
        let said = with(&|data| drop(data.remove("replicas.key")));
        assert!(said.contains("ns/switchboard-authority is damaged: replicas.key: it is missing"), "{said}");
        let said = with(&|data| drop(data.insert("systems.crt".into(), ByteString(b"nothing".to_vec()))));
        assert!(said.contains("systems.crt") && said.contains("enrol again"), "{said}");
        // Certificate and key of two authorities.
        let said = with(&|data| drop(data.insert("systems.key".into(), data["replicas.key"].clone())));
        assert!(said.contains("does not belong"), "{said}");
    }
}
