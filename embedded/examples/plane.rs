//! The control plane alone: store, API and TLS server, without controllers and node agent. For conformance runs and for a look with kubectl.
//!
//! `cargo run -p embedded --example plane -- --data FOLDER [--port 6550] [--token TOKEN=USER[:GROUP,…]]…`
//!
//! Writes `FOLDER/kubeconfig`, `FOLDER/authority.crt` and `FOLDER/admin.token`, and `FOLDER/ready` once it serves.

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use embedded::api::authorize::Tokens;
use embedded::api::{Api, ApiOptions};
use embedded::server::kubeconfig::Credentials;
use embedded::server::{Authenticator, FixedTokens, Kubeconfig, Limits, Listener, Pki, Rbac, ServiceAccountTokens, rbac, tokens};
use embedded::store::Store;
use embedded::user::User;

struct Arguments {
    data: PathBuf,
    port: u16,
    tokens: Vec<(String, User)>,
}

fn arguments() -> Result<Arguments, String> {
    let mut out = Arguments { data: PathBuf::from("plane"), port: 6550, tokens: Vec::new() };
    let mut words = std::env::args().skip(1);
    while let Some(flag) = words.next() {
        let value = words.next().ok_or_else(|| format!("{flag} needs a value"))?;
        match flag.as_str() {
            "--data" => out.data = PathBuf::from(value),
            "--port" => out.port = value.parse().map_err(|cause| format!("--port {value}: {cause}"))?,
            "--token" => {
                out.tokens.push(token(&value).ok_or_else(|| format!("--token {value}: say TOKEN=USER or TOKEN=USER:GROUP,GROUP"))?)
            }
            _ => return Err(format!("{flag} is not known; there are --data, --port and --token")),
        }
    }
    Ok(out)
}

fn token(text: &str) -> Option<(String, User)> {
    let (token, user) = text.split_once('=')?;
    let (name, groups) = user.split_once(':').unwrap_or((user, ""));
    let groups: Vec<&str> = groups.split(',').filter(|group| !group.is_empty()).collect();
    Some((token.to_owned(), User::new(name, &groups)))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = arguments()?;
    let data = &arguments.data;
    std::fs::create_dir_all(data)?;
    let _ = std::fs::remove_file(data.join("ready"));
    let store = Store::open(data)?;
    let pki = Pki::open(data, &[])?;
    let listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], arguments.port)), "--port").await?;

    let api = Api::new(store.clone(), ApiOptions::default());
    api.bootstrap(rbac::default_objects()).await?;
    let issued: Arc<dyn Tokens> = Arc::new(ServiceAccountTokens::open(&data.join("tokens.key"), store.clone())?);
    api.set_tokens(issued.clone());
    api.set_authorizer(Arc::new(Rbac::new(store.clone())));

    let admin = tokens::kept_in(&data.join("admin.token"))?;
    let fixed =
        arguments.tokens.into_iter().fold(FixedTokens::new()?.with(&admin, User::admin()), |all, (token, user)| all.with(&token, user));
    let server = format!("https://{}", listener.address());
    let kubeconfig = Kubeconfig {
        name: "embedded",
        user: "admin",
        server: &server,
        authority: pki.authority(),
        credentials: Credentials::Token(&admin),
        namespace: "default",
    };
    kubeconfig.write(&data.join("kubeconfig"))?;
    std::fs::write(data.join("authority.crt"), pki.authority())?;
    std::fs::write(data.join("ready"), &server)?;

    let handler = move |request: http::Request<Bytes>, user: User| {
        let api = api.clone();
        async move { api.handle(request, &user).await }
    };
    let stop = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    listener.serve(pki.server_config()?, Authenticator::new(fixed, Some(issued)), Arc::new(handler), Limits::default(), stop).await;
    store.close();
    Ok(())
}
