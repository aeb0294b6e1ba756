//! The embedded control plane of `up`: store, API, TLS, node agent, controllers.

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use embedded::api::authorize::Tokens;
use embedded::api::{Api, ApiOptions};
use embedded::node::{Agent, Images, Launcher, NodeOptions, PodNetwork, Program};
use embedded::server::kubeconfig::Credentials;
use embedded::server::{Authenticator, FixedTokens, Kubeconfig, Limits, Listener, Pki, Rbac, ServiceAccountTokens, rbac, tokens};
use embedded::store::Store;
use embedded::user::User;
use kube::Client;
use runtime::tasks::Tasks;
use tokio_util::sync::CancellationToken;

use crate::commands::launcher;

/// A control plane whose port is taken, and that does not serve yet.
pub struct Plane {
    api: Api,
    store: Store,
    pki: Pki,
    listener: Listener,
    fixed: FixedTokens,
    issued: Arc<dyn Tokens>,
    admin_token: String,
    data: PathBuf,
}

impl Plane {
    /// Opens the store and takes the port.
    ///
    /// # Errors
    /// A data folder in use, unwritable or damaged; a port in use.
    pub async fn open(data: &Path, port: u16) -> Result<Self, Box<dyn Error>> {
        // For its owner only: it holds keys, and what systems wrote.
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(data)
            .map_err(|error| format!("the data folder {} cannot be made: {error}; choose another with --data", data.display()))?;
        let store = Store::open(data)?;
        // Stale from a run that was killed: whoever waits for it must not be told too early.
        let _ = std::fs::remove_file(data.join("ready"));
        let pki = Pki::open(data, &[])?;
        let listener = Listener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), "--api-port").await?;
        let api = Api::new(store.clone(), ApiOptions::default());
        api.bootstrap(rbac::default_objects()).await?;
        let issued: Arc<dyn Tokens> = Arc::new(ServiceAccountTokens::open(&data.join("tokens.key"), store.clone())?);
        api.set_tokens(Arc::clone(&issued));
        api.set_authorizer(Arc::new(Rbac::new(store.clone())));
        let admin_token = tokens::kept_in(&data.join("admin.token"))?;
        let fixed = FixedTokens::new()?.with(&admin_token, User::admin());
        Ok(Self { api, store, pki, listener, fixed, issued, admin_token, data: data.to_owned() })
    }

    /// A client that may do everything.
    pub fn admin(&self) -> Client {
        self.api.client(User::admin())
    }

    /// A client with the rights of a ServiceAccount.
    pub fn service_account(&self, namespace: &str, name: &str) -> Client {
        self.api.client(User::service_account(namespace, name, ""))
    }

    /// The API, for its counters.
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// Its authority and certificates, which the object store beside it shares.
    pub fn pki(&self) -> &Pki {
        &self.pki
    }

    /// Where it serves.
    pub fn server(&self) -> String {
        format!("https://{}", self.listener.address())
    }

    /// Writes the kubeconfig and returns its path.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_kubeconfig(&self) -> Result<PathBuf, Box<dyn Error>> {
        let path = self.data.join("kubeconfig");
        let kubeconfig = Kubeconfig {
            name: "switchboard",
            user: "admin",
            server: &self.server(),
            authority: self.pki.authority(),
            credentials: Credentials::Token(&self.admin_token),
            namespace: "default",
        };
        // For whoever is to trust API and object store: the authority's file beside it holds its key too.
        let authority = self.data.join("ca.crt");
        std::fs::write(&authority, self.pki.authority()).map_err(|error| format!("cannot write {}: {error}", authority.display()))?;
        kubeconfig.write(&path)?;
        Ok(path.canonicalize().unwrap_or(path))
    }

    /// Starts serving, and the node agent and the controllers of the control plane.
    ///
    /// # Errors
    /// The certificates cannot be used, or the program does not find itself.
    pub fn start(self, tasks: &mut Tasks, images: &[String], shutdown: &CancellationToken) -> Result<Store, Box<dyn Error>> {
        let program = std::env::current_exe().map_err(|error| format!("the program does not find its own file: {error}"))?;
        let mapped =
            images.iter().fold(Images::new(), |all, image| all.with(image, Program { path: program.clone(), ..Program::default() }));
        let launcher = Launcher { program, arguments: vec![launcher::WORD.to_owned()] };
        let node = self.data.canonicalize().unwrap_or(self.data.clone()).join("node");
        let network = pod_network(self.listener.address().port());
        let agent = Agent::new(self.admin(), NodeOptions { network, ..NodeOptions::new(node, mapped, launcher) });
        self.api.set_node(agent.node());
        tasks.spawn("the node agent", agent.run(shutdown.clone()));
        let options = embedded::controllers::Options { root_certificates: Some(self.pki.authority().to_owned()), ..Default::default() };
        tasks.spawn("the controllers of the control plane", embedded::controllers::run(self.admin(), options, shutdown.clone()));
        let config = self.pki.server_config()?;
        let api = self.api.clone();
        let handler = move |request: http::Request<Bytes>, user: User| {
            let api = api.clone();
            async move { api.handle(request, &user).await }
        };
        let authenticator = Authenticator::new(self.fixed, Some(self.issued));
        let stop = shutdown.clone();
        tasks.spawn("the API server", async move {
            self.listener.serve(config, authenticator, Arc::new(handler), Limits::default(), stop.cancelled()).await;
            Ok::<(), std::convert::Infallible>(())
        });
        Ok(self.store)
    }
}

/// Addresses for pods out of 127.0.0.0/8: the 254 that belong to the port of the API. Two planes on one machine have two ports, so their pods
/// never want the same address.
fn pod_network(api_port: u16) -> PodNetwork {
    let [high, low] = api_port.to_be_bytes();
    PodNetwork { first: Ipv4Addr::new(127, high, low, 1), count: 254 }
}
