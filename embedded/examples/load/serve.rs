//! A control plane without anything around it: store, API, TLS.

use std::future::pending;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use embedded::api::{Api, ApiOptions};
use embedded::server::kubeconfig::Credentials;
use embedded::server::{Authenticator, FixedTokens, Kubeconfig, Limits, Listener, Pki, Rbac, tokens};
use embedded::store::Store;
use embedded::user::User;
use http::Request;

use crate::Failure;

/// Serves a folder on a free port until the process is killed; says `ready` once the kubeconfig is there.
pub(crate) async fn run(folder: &Path) -> Result<(), Failure> {
    let store = Store::open(folder)?;
    let api = Api::new(store.clone(), ApiOptions::default());
    api.set_authorizer(Arc::new(Rbac::new(store)));
    let pki = Pki::open(folder, &[])?;
    let token = tokens::kept_in(&folder.join("token"))?;
    let listener = Listener::bind("127.0.0.1:0".parse()?, "--api-address").await?;
    let kubeconfig = Kubeconfig {
        name: "load",
        user: "admin",
        server: &format!("https://{}", listener.address()),
        authority: pki.authority(),
        credentials: Credentials::Token(&token),
        namespace: "default",
    };
    kubeconfig.write(&folder.join("kubeconfig"))?;
    let authenticator = Authenticator::new(FixedTokens::new()?.with(&token, User::admin()), None);
    writeln!(io::stdout(), "ready")?;
    let handler = move |request: Request<Bytes>, user: User| {
        let api = api.clone();
        async move { api.handle(request, &user).await }
    };
    listener.serve(pki.server_config()?, authenticator, Arc::new(handler), Limits::default(), pending()).await;
    Ok(())
}
