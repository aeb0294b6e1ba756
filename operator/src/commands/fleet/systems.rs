//! The systems of a fleet: each is switched on once COM knows it and its customer's subscription is there, and follows what changes of it.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crds::IPOffice;
use futures::stream::BoxStream;
use futures::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::Secret as KubernetesSecret;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use model::ids::CustomerId;
use model::secret::Secret;
use simulator::causes::{Causes, Logging, ServiceUser};
use simulator::clock::MachineClock;
use simulator::disk::DiskError;
use simulator::fleet::Fleet;
use simulator::inputs::{GatewayAddress, Inputs, Subscription};
use simulator::{Options, System};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::members::{Member, text};
use crate::commands::say;

/// Finalizer by which COM says that it knows a system. One that dials before would be sent away for a while.
const KNOWN: &str = "switchboard.dev/ipoffice";
/// A light system looks at its clock this often.
const TICK: Duration = Duration::from_secs(30);
/// Key of the password in the causes.
const PASSWORD_KEY: &str = "password";
/// Label of the Secrets with subscriptions.
const SUBSCRIPTIONS: &str = "app.kubernetes.io/managed-by=switchboard";

/// Namespace and name.
type Place = (String, String);

/// What COM says.
enum News {
    /// It knows a system.
    Known(Place),
    /// A customer's subscription is this.
    Subscribed(Place, Subscribed),
}

/// What the subscription of a customer holds.
#[derive(Clone, PartialEq)]
struct Subscribed {
    gateway: GatewayAddress,
    authority: String,
    customer_id: CustomerId,
    code: Option<Secret>,
}

/// A system of the fleet.
struct Entry {
    member: Member,
    known: bool,
    /// What reaches it from outside, once it is switched on.
    inputs: Option<watch::Sender<Arc<Inputs>>>,
}

/// The systems of a fleet.
pub struct Systems {
    client: Client,
    selector: String,
    data: PathBuf,
    fleet: Arc<Fleet>,
    shutdown: CancellationToken,
    entries: HashMap<Place, Entry>,
    of_customer: HashMap<Place, Vec<Place>>,
    subscriptions: HashMap<Place, Subscribed>,
    unknown: usize,
    tasks: JoinSet<Result<(), DiskError>>,
}

impl Systems {
    /// Systems whose IPOffices have these labels, with their disks below `data`.
    pub fn new(
        client: Client,
        selector: String,
        members: Vec<Member>,
        data: PathBuf,
        fleet: Arc<Fleet>,
        shutdown: CancellationToken,
    ) -> Self {
        let mut of_customer: HashMap<Place, Vec<Place>> = HashMap::new();
        let mut entries = HashMap::new();
        for member in members {
            let place = (member.namespace.clone(), member.name.clone());
            of_customer.entry((member.namespace.clone(), member.customer.clone())).or_default().push(place.clone());
            entries.insert(place, Entry { member, known: false, inputs: None });
        }
        let (unknown, subscriptions, tasks) = (entries.len(), HashMap::new(), JoinSet::new());
        Self { client, selector, data, fleet, shutdown, entries, of_customer, subscriptions, unknown, tasks }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// Switches them on as COM gets to know them, and runs them until the shutdown.
    ///
    /// # Errors
    /// The disk of one could not be used: the others run on, and this is told at the end.
    pub async fn run(mut self) -> Result<(), DiskError> {
        let mut known = self.known();
        let mut subscribed = self.subscribed();
        let mut failed = None;
        loop {
            let waiting = self.unknown > 0;
            tokio::select! {
                biased;
                () = self.shutdown.cancelled() => break,
                Some(ended) = self.tasks.join_next() => note(ended, &mut failed),
                Some(news) = subscribed.next() => self.take(news),
                Some(news) = known.next(), if waiting => self.take(news),
            }
            if waiting && self.unknown == 0 {
                // At rest nothing of the objects is watched.
                known = stream::pending().boxed();
            }
        }
        while let Some(ended) = self.tasks.join_next().await {
            note(ended, &mut failed);
        }
        failed.map_or(Ok(()), Err)
    }

    /// Systems that COM knows: metadata is enough.
    fn known(&self) -> BoxStream<'static, News> {
        let config = watcher::Config::default().labels(&self.selector);
        let watch = watcher(Api::<PartialObjectMeta<IPOffice>>::all(self.client.clone()), config).default_backoff();
        let news = |event: watcher::Result<Event<PartialObjectMeta<IPOffice>>>| match event {
            Ok(Event::Apply(system) | Event::InitApply(system)) if system.finalizers().iter().any(|finalizer| finalizer == KNOWN) => {
                Some(News::Known((system.namespace().unwrap_or_default(), system.name_any())))
            }
            _ => None,
        };
        watch.filter_map(move |event| std::future::ready(news(event))).boxed()
    }

    fn subscribed(&self) -> BoxStream<'static, News> {
        let config = watcher::Config::default().labels(SUBSCRIPTIONS);
        let watch = watcher(Api::<KubernetesSecret>::all(self.client.clone()), config).default_backoff();
        let news = |event: watcher::Result<Event<KubernetesSecret>>| match event {
            Ok(Event::Apply(secret) | Event::InitApply(secret)) => {
                subscription(&secret).map(|(place, found)| News::Subscribed(place, found))
            }
            _ => None,
        };
        watch.filter_map(move |event| std::future::ready(news(event))).boxed()
    }

    fn take(&mut self, news: News) {
        let touched = match news {
            News::Known(place) => match self.entries.get_mut(&place) {
                Some(entry) if !entry.known => {
                    (entry.known, self.unknown) = (true, self.unknown - 1);
                    vec![place]
                }
                _ => return,
            },
            News::Subscribed(customer, subscribed) => {
                if self.subscriptions.get(&customer) == Some(&subscribed) {
                    return;
                }
                self.subscriptions.insert(customer.clone(), subscribed);
                self.of_customer.get(&customer).cloned().unwrap_or_default()
            }
        };
        for place in touched {
            self.supply(&place);
        }
    }

    /// Gives a system its inputs, and switches it on where it is not yet.
    fn supply(&mut self, place: &Place) {
        let Some(entry) = self.entries.get_mut(place).filter(|entry| entry.known) else { return };
        let customer = (entry.member.namespace.clone(), entry.member.customer.clone());
        let Some(subscribed) = self.subscriptions.get(&customer) else { return };
        let inputs = Arc::new(inputs(&entry.member, subscribed));
        if let Some(publish) = &entry.inputs {
            publish.send_replace(inputs);
            return;
        }
        let (publish, received) = watch::channel(inputs);
        entry.inputs = Some(publish);
        let folder = self.data.join(&place.0).join(&place.1);
        let options = Options { tick: TICK, echo: false, fleet: Some(self.fleet.clone()), ..Options::default() };
        let shutdown = self.shutdown.clone();
        self.tasks.spawn(async move {
            let opened = tokio::task::spawn_blocking(move || System::open(&folder, received, Arc::new(MachineClock), options)).await;
            let system = opened.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?;
            // Boxed, so that what it needed on the way does not stay with the task.
            Box::pin(system.run(shutdown)).await
        });
    }
}

fn note(ended: Result<Result<(), DiskError>, tokio::task::JoinError>, failed: &mut Option<DiskError>) {
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            say(&format!("fleet: a system stopped: {error}"));
            *failed = Some(error);
        }
        Err(error) => say(&format!("fleet: a system ended by a fault of its own: {error}")),
    }
}

/// The customer and its subscription, where the Secret is one and complete.
fn subscription(secret: &KubernetesSecret) -> Option<(Place, Subscribed)> {
    let customer = secret.owner_references().iter().find(|owner| owner.kind == "Customer")?.name.clone();
    let subscribed = Subscribed {
        gateway: GatewayAddress::parse(&text(secret, "gateway")?).ok()?,
        authority: text(secret, "ca.crt")?,
        customer_id: text(secret, "customerId")?.parse().ok()?,
        code: text(secret, "enrolmentCode").map(Secret::new),
    };
    Some(((secret.namespace().unwrap_or_default(), customer), subscribed))
}

fn inputs(member: &Member, subscribed: &Subscribed) -> Inputs {
    let (name, password) = member.service_user.clone().unzip();
    let account = |name: String| -> ServiceUser {
        ServiceUser {
            name,
            password_secret_key: Some(PASSWORD_KEY.to_owned()),
            state: Default::default(),
            locked: false,
            password_expired: false,
            new_password_required: false,
            rights: model::rights::Right::ALL.to_vec(),
        }
    };
    let causes = Causes {
        service_users: name.map(account).into_iter().collect(),
        logging: Logging { lines_per_minute: 0, ..Logging::default() },
        ..Causes::default()
    };
    let passwords: BTreeMap<String, Secret> = password.map(|password| (PASSWORD_KEY.to_owned(), password)).into_iter().collect();
    let subscription = Subscription {
        gateway: subscribed.gateway.clone(),
        authority: subscribed.authority.clone(),
        customer_id: subscribed.customer_id.clone(),
        system_id: member.system_id.clone(),
        enrolment_code: subscribed.code.clone(),
    };
    Inputs { causes, passwords, subscription: Ok(subscription), problems: Vec::new() }
}
