//! SIGKILL at any time loses nothing that was acknowledged, and what ran comes back.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use harness::switchboard::Switchboard;
use harness::{metrics, objects, processes, wait};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, ResourceExt as _};
use serde_json::json;

/// Clients that write at the same time.
const WRITERS: usize = 8;
/// Writes that are acknowledged before each SIGKILL.
const ACKNOWLEDGED: usize = 300;

/// What the server promised to have: uid and version by name; the highest version of all.
#[derive(Default)]
struct Promised {
    objects: Mutex<BTreeMap<String, (String, u64)>>,
    count: AtomicUsize,
}

fn version(map: &ConfigMap) -> u64 {
    map.resource_version().unwrap().parse().unwrap()
}

impl Promised {
    fn note(&self, map: &ConfigMap) {
        self.objects.lock().unwrap().insert(map.name_any(), (map.uid().unwrap(), version(map)));
        self.count.fetch_add(1, Ordering::Relaxed);
    }
}

async fn client(kubeconfig: &Path) -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    Client::try_from(config).unwrap()
}

/// Creates and changes objects until the server is gone.
async fn write_until_it_dies(maps: Api<ConfigMap>, round: usize, writer: usize, promised: Arc<Promised>) {
    for number in 0.. {
        let name = format!("write-{round}-{writer}-{number}");
        let map = ConfigMap { metadata: kube::api::ObjectMeta { name: Some(name.clone()), ..Default::default() }, ..Default::default() };
        let Ok(created) = maps.create(&PostParams::default(), &map).await else { return };
        promised.note(&created);
        if number % 3 == 0 {
            let change = json!({"data": {"changed": "yes"}});
            let Ok(changed) = maps.patch(&name, &PatchParams::default(), &Patch::Merge(&change)).await else { return };
            promised.note(&changed);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_under_a_stream_of_writes_it_comes_back_with_all_that_it_acknowledged() {
    let mut plane = Switchboard::start(&[]);
    let kubectl = plane.kubectl();
    kubectl.apply(&objects::tenancy("crash"));
    for name in ["one", "two"] {
        kubectl.apply(&objects::system("crash", name));
        kubectl.wait("crash", &format!("ipo/{name}"), "condition=Ready");
    }
    let enrolment = kubectl.field("crash", "ipo/one", "{.status.enrolment.id}");
    let started = kubectl.field("crash", "ipo/one", "{.status.started}");
    let promised = Arc::new(Promised::default());
    for round in 0..3 {
        let maps: Api<ConfigMap> = Api::namespaced(client(&plane.kubeconfig()).await, "crash");
        let writers: Vec<_> =
            (0..WRITERS).map(|writer| tokio::spawn(write_until_it_dies(maps.clone(), round, writer, Arc::clone(&promised)))).collect();
        let goal = (round + 1) * ACKNOWLEDGED;
        wait::until_true("acknowledged writes", wait::SOON, || promised.count.load(Ordering::Relaxed) >= goal);
        let children = plane.simulated_systems();
        assert_eq!(children.len(), 2);

        plane.kill();
        wait::until_true("what it started to end with it", wait::SOON, || !children.iter().any(|id| processes::runs(*id)));
        for writer in writers {
            writer.await.unwrap();
        }

        plane.start_again();
        let maps: Api<ConfigMap> = Api::namespaced(client(&plane.kubeconfig()).await, "crash");
        check(&maps, &promised, &format!("after-{round}")).await;
        wait::until_true("sessions of both systems", wait::SOON, || {
            metrics::value(&plane, "switchboard_gateway_sessions{state=\"signed_in\"}") == 2.0
        });
        assert_eq!(plane.simulated_systems().len(), 2, "each system runs once");
    }
    for name in ["one", "two"] {
        kubectl.wait("crash", &format!("ipo/{name}"), "condition=Ready");
        kubectl.wait("crash", &format!("pod/{name}"), "condition=Ready");
    }
    assert_eq!(kubectl.field("crash", "ipo/one", "{.status.enrolment.id}"), enrolment, "it kept its certificate");
    wait::until_true("the start that the system reports", wait::SOON, || kubectl.field("crash", "ipo/one", "{.status.started}") != started);
    let events = kubectl.ok(&["events", "-n", "crash", "--for", "ipo/one"]);
    assert!(!events.contains("OfflineForLast"), "back within the bound, a restart of the operator is no outage of systems:\n{events}");
}

/// Everything acknowledged is there as it was, and versions go on from there.
async fn check(maps: &Api<ConfigMap>, promised: &Promised, next: &str) {
    let found = maps.list(&ListParams::default()).await.unwrap();
    let found: BTreeMap<String, (String, u64)> =
        found.into_iter().map(|map| (map.name_any(), (map.uid().unwrap_or_default(), version(&map)))).collect();
    let mut highest = 0;
    for (name, (uid, version)) in promised.objects.lock().unwrap().iter() {
        let Some((found_uid, found_version)) = found.get(name) else { panic!("{name} was acknowledged and is lost") };
        assert_eq!(found_uid, uid, "{name} is another object");
        // A change that was on its way may have been kept without an acknowledgement, never the other way round.
        assert!(found_version >= version, "{name} was acknowledged with version {version} and has {found_version}");
        highest = highest.max(*version);
    }
    let map = ConfigMap { metadata: kube::api::ObjectMeta { name: Some(next.to_owned()), ..Default::default() }, ..Default::default() };
    let created = maps.create(&PostParams::default(), &map).await.unwrap();
    assert!(version(&created) > highest, "versions go on: {} after {highest}", version(&created));
    promised.note(&created);
}
