//! Several replicas: one knows the sessions of the others, reaches systems through them, and a system may come back to any.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use gateway::{Authority, ReplicaOptions};
use model::account::SignInOutcome;
use model::connectivity::Absence;
use protocol::link::{Done, LinkError, SessionState};
use protocol::message::{CloseReason, Command, FromGateway};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;

use crate::client::{Credential, Session};
use crate::directory::TestDirectory;
use crate::world::{BOUND, World, entry, key, soon};

/// Replicas that share what a cluster would share.
struct Cluster {
    directory: Arc<TestDirectory>,
    systems: Authority,
    replicas: Authority,
    known: watch::Sender<BTreeMap<String, SocketAddr>>,
}

impl Cluster {
    fn new() -> Self {
        let directory = Arc::new(TestDirectory::default());
        directory.systems.lock().unwrap().insert(key("hq"), entry());
        let (systems, replicas) = (Authority::create().unwrap(), Authority::create().unwrap());
        Self { directory, systems, replicas, known: watch::Sender::default() }
    }

    /// One more replica that meets the others.
    async fn replica(&self, name: &str, change: impl FnOnce(&mut gateway::Options)) -> World {
        let copy = |authority: &Authority| {
            Authority::from_pem(authority.certificate_pem().as_bytes(), authority.key_pem().expose().as_bytes()).unwrap()
        };
        let world = World::sharing(Arc::clone(&self.directory), |options| {
            options.authority = Some(copy(&self.systems));
            let address = SocketAddr::from(([127, 0, 0, 1], 0));
            options.replica = Some(ReplicaOptions { address, name: name.to_owned(), authority: copy(&self.replicas) });
            change(options);
        })
        .await;
        let replicas = world.replicas.clone().unwrap();
        self.known.send_modify(|known| {
            known.insert(name.to_owned(), replicas.address());
        });
        // Each knows of itself too, and does not dial itself.
        let (own, mut all, others) = (name.to_owned(), self.known.subscribe(), watch::Sender::default());
        let seen = others.subscribe();
        tokio::spawn(async move {
            loop {
                let mut now: BTreeMap<String, SocketAddr> = all.borrow_and_update().clone();
                now.remove(&own);
                others.send_replace(now);
                if all.changed().await.is_err() {
                    return;
                }
            }
        });
        let running = tokio::spawn(replicas.run(seen, tokio_util::sync::CancellationToken::new()));
        *world.replicas_running.lock().unwrap() = Some(running);
        world
    }
}

async fn becomes(what: &str, mut holds: impl FnMut() -> bool) {
    let began = std::time::Instant::now();
    while !holds() {
        assert!(began.elapsed() < BOUND, "{what}: not in time");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Until each of the two follows the other.
async fn met(one: &World, two: &World) {
    for world in [one, two] {
        becomes("replicas follow each other", || world.replica_count("followed") >= 1.0).await;
    }
}

fn connected(view: &protocol::link::SessionView) -> bool {
    matches!(view.state, SessionState::Connected { .. })
}

#[tokio::test]
async fn the_leader_reaches_a_system_that_is_connected_to_another_replica() {
    let cluster = Cluster::new();
    let (leader, other) = (cluster.replica("a", |_| {}).await, cluster.replica("b", |_| {}).await);
    met(&leader, &other).await;
    let credential = other.enrolled("hq").await;
    let mut session = other.connected(&credential, 1).await;
    leader.view_becomes("hq", connected).await;

    let link = Arc::clone(&leader.link);
    let asked = tokio::spawn(async move { link.request(&key("hq"), "one", Command::EndOperation).await });
    let FromGateway::Request(request) = session.next().await else { panic!("no request came") };
    assert_eq!((request.operation.as_str(), &request.command), ("one", &Command::EndOperation));
    session.say(&json!({"type": "answer", "id": request.id, "result": "done", "configurationRevision": 4})).await;
    assert_eq!(soon(asked).await.unwrap(), Ok(Done { configuration_revision: 4, output: None }));

    // What the leader of an earlier term asks is not done any more.
    other.term.store(2, Ordering::SeqCst);
    let link = Arc::clone(&other.link);
    let newer = tokio::spawn(async move { link.request(&key("hq"), "two", Command::EndOperation).await });
    let FromGateway::Request(request) = session.next().await else { panic!("no request came") };
    session.say(&json!({"type": "answer", "id": request.id, "result": "done", "configurationRevision": 5})).await;
    assert!(soon(newer).await.unwrap().is_ok());
    leader.term.store(3, Ordering::SeqCst);
    let link = Arc::clone(&leader.link);
    let asked = tokio::spawn(async move { link.request(&key("hq"), "three", Command::EndOperation).await });
    let FromGateway::Request(_) = session.next().await else { panic!("no request came") };
    asked.abort();
    leader.term.store(2, Ordering::SeqCst);
    assert_eq!(soon(leader.link.request(&key("hq"), "four", Command::EndOperation)).await, Err(LinkError::NotConnected));
    // And who does not lead asks nothing.
    leader.term.store(0, Ordering::SeqCst);
    assert_eq!(soon(leader.link.request(&key("hq"), "five", Command::EndOperation)).await, Err(LinkError::NotConnected));
}

#[tokio::test]
async fn a_system_that_dials_another_replica_takes_its_session_there_and_an_older_session_is_refused_everywhere() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.replica("a", |_| {}).await, cluster.replica("b", |_| {}).await);
    met(&one, &two).await;
    let credential = one.enrolled("hq").await;
    let mut old = one.connected(&credential, 5).await;
    two.view_becomes("hq", connected).await;
    let _new = two.connected(&credential, 6).await;
    let (reason, message) = old.closes().await;
    assert_eq!(reason, CloseReason::Superseded);
    assert!(message.contains("at another replica"), "{message}");
    for world in [&one, &two] {
        let view = world.view_becomes("hq", |view| view.session == 6).await;
        assert!(connected(&view));
        let mut older = Session::dial(world, &credential).await.unwrap();
        older.say(&crate::client::hello("hq", 6)).await;
        assert_eq!(older.closes().await.0, CloseReason::Superseded);
    }
    // And back, which nobody mistakes for the old one.
    let _newest = one.connected(&credential, 7).await;
    two.view_becomes("hq", |view| view.session == 7 && connected(view)).await;
}

#[tokio::test]
async fn the_systems_of_a_replica_that_is_gone_have_the_offline_bound_to_come_back() {
    let cluster = Cluster::new();
    let (dying, staying) =
        (cluster.replica("a", |_| {}).await, cluster.replica("b", |options| options.times.offline_after = Duration::from_secs(2)).await);
    met(&dying, &staying).await;
    let credential = dying.enrolled("hq").await;
    let session = dying.connected(&credential, 1).await;
    staying.view_becomes("hq", connected).await;
    dying.die();
    drop(session);
    becomes("the other one is missed", || staying.replica_count("lost") >= 1.0).await;
    assert!(connected(&staying.link.view(&key("hq")).unwrap()), "it has time to come back");
    let link = Arc::clone(&staying.link);
    assert_eq!(soon(link.request(&key("hq"), "one", Command::EndOperation)).await, Err(LinkError::NotConnected));
    let view = staying.view_becomes("hq", |view| !connected(view)).await;
    assert_eq!((view.state, view.session), (SessionState::Away(Absence::Offline), 1));
    let _late = staying.connected(&credential, 2).await;
}

#[tokio::test]
async fn a_request_through_a_replica_that_dies_is_interrupted() {
    let cluster = Cluster::new();
    let (leader, dying) = (cluster.replica("a", |_| {}).await, cluster.replica("b", |_| {}).await);
    met(&leader, &dying).await;
    let credential = dying.enrolled("hq").await;
    let mut session = dying.connected(&credential, 1).await;
    leader.view_becomes("hq", connected).await;
    let link = Arc::clone(&leader.link);
    let asked = tokio::spawn(async move { link.request(&key("hq"), "one", Command::EndOperation).await });
    let FromGateway::Request(_) = session.next().await else { panic!("no request came") };
    dying.die();
    assert_eq!(soon(asked).await.unwrap(), Err(LinkError::Interrupted));
}

#[tokio::test]
async fn a_refused_sign_in_is_not_repeated_at_once_by_another_replica() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.replica("a", |_| {}).await, cluster.replica("b", |_| {}).await);
    met(&one, &two).await;
    cluster.directory.set_password(&key("hq"), "wrong");
    let credential = one.enrolled("hq").await;
    let mut session = Session::open(&one, &credential, 1).await;
    session.answer_sign_in("right", None).await;
    let refused =
        |view: &protocol::link::SessionView| view.state == SessionState::Connected { sign_in: Some(SignInOutcome::WrongPassword) };
    two.view_becomes("hq", refused).await;
    let mut session = Session::open(&two, &credential, 2).await;
    two.view_becomes("hq", |view| view.session == 2 && refused(view)).await;
    // The password is mended: each replica sees that for itself.
    cluster.directory.set_password(&key("hq"), "right");
    one.link.sign_in_again(&key("hq"));
    two.link.sign_in_again(&key("hq"));
    session.answer_sign_in("right", None).await;
    one.view_becomes("hq", |view| matches!(&view.state, SessionState::Connected { sign_in: Some(SignInOutcome::Accepted { .. }) })).await;
}

#[tokio::test]
async fn a_system_that_is_forgotten_is_let_go_wherever_it_is() {
    let cluster = Cluster::new();
    let (leader, other) = (cluster.replica("a", |_| {}).await, cluster.replica("b", |_| {}).await);
    met(&leader, &other).await;
    let credential = other.enrolled("hq").await;
    let mut session = other.connected(&credential, 1).await;
    leader.view_becomes("hq", connected).await;
    leader.link.forget(&key("hq"));
    assert_eq!(session.closes().await.0, CloseReason::NotRecognised);
    becomes("nothing is known any more", || [&leader, &other].iter().all(|world| world.link.view(&key("hq")).is_none())).await;
}

#[tokio::test]
async fn replicas_that_go_in_order_let_their_systems_go_first() {
    let cluster = Cluster::new();
    let spread = |options: &mut gateway::Options| options.times.leave_within = Duration::from_millis(300);
    let (leaving, staying) = (cluster.replica("a", spread).await, cluster.replica("b", |_| {}).await);
    met(&leaving, &staying).await;
    let credential = leaving.enrolled("hq").await;
    let mut session = leaving.connected(&credential, 1).await;
    staying.view_becomes("hq", connected).await;
    leaving.shutdown.cancel();
    assert_eq!(session.closes().await.0, CloseReason::GoingAway);
    let _new = staying.connected(&credential, 2).await;
    assert!(connected(&staying.link.view(&key("hq")).unwrap()));
}

#[tokio::test]
async fn a_system_that_enrolled_a_moment_ago_elsewhere_is_let_in_and_one_that_was_withdrawn_causes_few_looks() {
    let cluster = Cluster::new();
    let enrolled_at = cluster.replica("a", |_| {}).await;
    let credential = enrolled_at.enrolled("hq").await;
    let id = cluster.directory.system_id().unwrap();
    // Another replica, whose cache is behind.
    let behind = Cluster { directory: Arc::new(TestDirectory::default()), ..cluster };
    behind.directory.systems.lock().unwrap().insert(key("hq"), entry());
    let world = behind.replica("b", |_| {}).await;
    for _ in 0..6 {
        assert!(Session::dial(&world, &credential).await.is_err());
    }
    assert_eq!(behind.directory.looks.load(Ordering::SeqCst), 3, "looks are bounded");
    let other = behind.replica("c", |_| {}).await;
    behind.directory.ahead.lock().unwrap().insert(key("hq"), id);
    let _session = other.connected(&credential, 1).await;
}

#[tokio::test]
async fn a_systems_certificate_is_none_of_a_replica() {
    let cluster = Cluster::new();
    let world = cluster.replica("a", |_| {}).await;
    let credential: Credential = world.enrolled("hq").await;
    let address = world.replicas.as_ref().unwrap().address();
    let mut stream = crate::client::dial_replica(address, &credential, &cluster.replicas).await.unwrap();
    // TLS 1.3 tells a client that its certificate was refused at its first read.
    let _ = stream.write_all(b"{\"type\":\"greeting\",\"protocol\":1,\"replica\":\"x\",\"instance\":\"y\"}\n").await;
    let mut answer = Vec::new();
    let read = soon(stream.read_to_end(&mut answer)).await;
    assert!(read.is_err() && answer.is_empty(), "{read:?} {}", String::from_utf8_lossy(&answer));
}
