//! The embedded control plane of `up`: store, API, TLS, node agent, controllers.

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use embedded::api::authorize::Tokens;
use embedded::api::{Api, ApiOptions};
use embedded::controllers::accounts::Accounts;
use embedded::controllers::api_server::{self, ApiServerAddress};
use embedded::network::renumber::renumber;
use embedded::network::{Block, proxy};
use embedded::node::{Agent, ApiServer, Images, Launcher, NodeOptions, Program, claims};
use embedded::server::kubeconfig::Credentials;
use embedded::server::{Authenticator, FixedTokens, Kubeconfig, Limits, Listener, Pki, Rbac, ServiceAccountTokens, rbac, tokens};
use embedded::store::Store;
use embedded::user::User;
use kube::Client;
use runtime::tasks::Tasks;
use tokio_util::sync::CancellationToken;

use crate::arguments::ImageMapping;
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
    block: Block,
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
        let block = Block::claim(data, port)?;
        let services = block.services();
        let pki = Pki::open(data, &[services.first.into()])?;
        let listener = Listener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), "--api-port").await?;
        let renumbered = renumber(&store, services).await?;
        if renumbered > 0 {
            tracing::info!(services = renumbered, network = %services, "services were given addresses of this plane's network");
        }
        let api = Api::new(store.clone(), ApiOptions { service_network: services });
        api.bootstrap(rbac::default_objects()).await?;
        api.bootstrap(vec![claims::storage_class()]).await?;
        let issued: Arc<dyn Tokens> = Arc::new(ServiceAccountTokens::open(&data.join("tokens.key"), store.clone())?);
        api.set_tokens(Arc::clone(&issued));
        api.set_authorizer(Arc::new(Rbac::new(store.clone())));
        let admin_token = tokens::kept_in(&data.join("admin.token"))?;
        let fixed = FixedTokens::new()?.with(&admin_token, User::admin());
        let plane = Self { api, store, pki, listener, fixed, issued, admin_token, block, data: data.to_owned() };
        api_server::ensure(&plane.admin(), plane.api_server()).await?;
        Ok(plane)
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

    /// Where it is, and the address by which pods know it.
    fn api_server(&self) -> ApiServerAddress {
        let server = SocketAddrV4::new(Ipv4Addr::LOCALHOST, self.listener.address().port());
        ApiServerAddress { server, service: self.block.services().first }
    }

    /// What pods are told of it. Ports below 1024 are for root on many machines: there it is the server's own address.
    fn told_to_pods(&self) -> ApiServer {
        let ApiServerAddress { server, service } = self.api_server();
        let service = SocketAddrV4::new(service, api_server::PORT);
        let can_be_opened = std::net::TcpListener::bind(service).is_ok();
        let service = if can_be_opened { service } else { server };
        ApiServer { url: self.server(), authority: self.pki.authority().to_owned(), service }
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
    pub fn start(
        self,
        tasks: &mut Tasks,
        simulator_image: &str,
        images: &[ImageMapping],
        shutdown: &CancellationToken,
    ) -> Result<Store, Box<dyn Error>> {
        let program = std::env::current_exe().map_err(|error| format!("the program does not find its own file: {error}"))?;
        let mapped = image_map(&program, simulator_image, images);
        let launcher = Launcher { program, arguments: vec![launcher::WORD.to_owned()] };
        let node = self.data.canonicalize().unwrap_or(self.data.clone()).join("node");
        let options = NodeOptions {
            network: self.block.pods(),
            api_server: Some(self.told_to_pods()),
            image_remedy: "start switchboard up with --image NAME=PROGRAM".to_owned(),
            ..NodeOptions::new(node, mapped, launcher)
        };
        let agent = Agent::new(self.admin(), options);
        self.api.set_node(agent.node());
        tasks.spawn("the node agent", agent.run(shutdown.clone()));
        let root_certificates = Some(self.pki.authority().to_owned());
        let api = self.api.clone();
        let accounts = Accounts::new(move |name| api.client(User::service_account("kube-system", name, "")));
        let api_server = Some(self.api_server());
        let options = embedded::controllers::Options { root_certificates, api_server, accounts: Some(accounts), ..Default::default() };
        tasks.spawn("the controllers of the control plane", embedded::controllers::run(self.admin(), options, shutdown.clone()));
        let (client, stop, block) = (self.admin(), shutdown.clone(), self.block);
        tasks.spawn("the addresses of services", async move {
            // The block of addresses is the plane's for as long as this runs.
            proxy::run(client, block.services(), Ipv4Addr::LOCALHOST, stop).await
        });
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

/// Images that are this program, and those that the user has programs for.
fn image_map(own: &Path, simulator_image: &str, images: &[ImageMapping]) -> Images {
    let program = |path: &Path| Program { path: path.to_owned(), ..Program::default() };
    let map = Images::new().with(simulator_image, program(own)).with_anywhere("switchboard", program(own));
    images.iter().fold(map, |map, mapping| map.with(&mapping.image, program(&mapping.program)))
}
