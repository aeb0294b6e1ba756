//! A plane, several operators behind one address, each with a way of its own to the API server, and systems that are green.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use harness::processes::ProcessId;
use harness::proxy::{Proxy, Seen};
use harness::wait;
use http::Method;
use serde_json::{Value, json};

use super::front::Front;
use super::replica::Replica;
use crate::scene::{NAMESPACE, SYSTEM, Stage, kubeconfig, way};

/// Systems beside the one that is backed up.
pub const OTHERS: [&str; 3] = ["branch", "plant", "shop"];

/// All of it. The fields end in this order.
pub struct Replicated {
    /// The operators.
    pub replicas: Vec<Replica>,
    /// Between each of them and the API server.
    pub apis: Vec<Proxy>,
    /// Where systems dial; there as long as this is.
    front: Front,
    /// Everything else.
    pub stage: Stage,
}

impl Replicated {
    /// So many operators, and systems that are green; the one that is backed up has these causes.
    pub fn new(count: usize, causes: &Value) -> Self {
        let (stage, token) = Stage::new();
        let (front, server) = (Front::start(), way(&stage.plane));
        let (mut replicas, mut apis) = (Vec::new(), Vec::new());
        for number in 0..count {
            let name = format!("replica-{number}");
            let api = Proxy::start(server.server, &server.authority);
            let config = kubeconfig(&stage.plane, &api, &token, &format!("kubeconfig-{name}"));
            let replica = Replica::start(&stage.plane, &name, &config, NAMESPACE, front.port);
            front.add(replica.ports.gateway, replica.ports.metrics);
            replicas.push(replica);
            apis.push(api);
        }
        let mut all = Self { replicas, apis, front, stage };
        all.replicas.iter_mut().for_each(|replica| replica.wait_until_ready());
        all.front.wait_until_all_ready();
        all.stage.add_system(SYSTEM, causes);
        for system in OTHERS {
            all.stage.add_system(system, &json!({"logging": {"linesPerMinute": 0}}));
        }
        all.stage.wait_until_green();
        all.wait_until_all_connected();
        all.wait_until_each_follows(count - 1);
        all
    }

    /// Waits until exactly one of those that run leads, and returns which.
    pub fn leader(&self, of: &[usize]) -> usize {
        wait::until("exactly one leader", wait::SOON, || {
            let leading: Vec<usize> = of.iter().copied().filter(|number| self.replicas[*number].leads()).collect();
            (leading.len() == 1).then(|| leading[0])
        })
    }

    /// Waits until every system is green and has a session.
    pub fn wait_until_all_connected(&self) {
        wait::until_ok(wait::SOON, || {
            let not_green: Vec<Value> =
                self.systems().into_values().filter(|system| system["status"]["connection"]["colour"] != "Green").collect();
            if not_green.is_empty() { Ok(()) } else { Err(format!("not green: {not_green:?}")) }
        });
    }

    /// Waits until all replicas that run follow so many others.
    pub fn wait_until_each_follows(&self, others: usize) {
        wait::until_true(&format!("each replica follows {others} others"), wait::SOON, || {
            let follows = |replica: &Replica| replica.metrics().get("switchboard_replicas{state=\"followed\"}").copied();
            self.replicas.iter().filter_map(follows).all(|count| count as usize == others)
        });
    }

    /// Waits until these replicas hold a session of every system.
    pub fn wait_until_sessions(&self, of: &[usize]) {
        let all = OTHERS.len() as u64 + 1;
        wait::until_ok(wait::SOON, || {
            let held: Vec<u64> = of.iter().map(|number| self.replicas[*number].sessions()).collect();
            if held.iter().sum::<u64>() == all { Ok(()) } else { Err(format!("sessions: {held:?} of {all}")) }
        });
    }

    /// The systems by name.
    pub fn systems(&self) -> BTreeMap<String, Value> {
        let list = self.stage.cluster.list(NAMESPACE, "ipoffices");
        list.into_iter().map(|system| (system["metadata"]["name"].as_str().unwrap().to_owned(), system)).collect()
    }

    /// What changes with every write to a system: its version, and what it says of its connection.
    pub fn standing(&self) -> BTreeMap<String, (String, Value)> {
        let of = |system: Value| (system["metadata"]["resourceVersion"].to_string(), system["status"]["connection"].clone());
        self.systems().into_iter().map(|(name, system)| (name, of(system))).collect()
    }

    /// Process of the plane.
    pub fn plane_id(&self) -> ProcessId {
        self.stage.plane.id()
    }

    /// Waits until the operators have written nothing but Leases for two seconds.
    pub fn wait_until_at_rest(&self) {
        let mut last = (Instant::now(), self.written().len());
        wait::until_true("writes come to rest", wait::SOON, || {
            let now = self.written().len();
            if now != last.1 {
                last = (Instant::now(), now);
            }
            last.0.elapsed() > Duration::from_secs(2)
        });
    }

    /// What the operators wrote since the last [`Proxy::forget`], Leases left out.
    pub fn written(&self) -> Vec<Seen> {
        self.apis.iter().flat_map(Proxy::changes).collect()
    }

    /// Counts anew what the operators write.
    pub fn forget(&self) {
        self.apis.iter().for_each(Proxy::forget);
    }

    /// How often an operator said that the connection of a system changed.
    pub fn transitions(&self) -> usize {
        self.replicas.iter().map(|replica| replica.log().matches("connection changed").count()).sum()
    }

    /// Who holds the Lease of the leader.
    pub fn holder(&self) -> String {
        let path = format!("/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/switchboard");
        let lease = self.stage.cluster.request(Method::GET, &path, &Value::Null).unwrap_or_default();
        lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned()
    }
}
