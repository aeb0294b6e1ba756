//! What two replicas do while nothing goes wrong.

use harness::wait;
use serde_json::json;

use super::scene::{OTHERS, Replicated};
use crate::bad_days::small;
use crate::scene::NAMESPACE;

#[test]
fn one_of_two_leads_both_serve_systems_and_at_rest_they_write_nothing_but_leases() {
    let all = Replicated::new(2, &small());
    let leader = all.leader(&[0, 1]);
    let other = 1 - leader;
    all.wait_until_sessions(&[0, 1]);
    assert!(all.replicas.iter().all(|replica| replica.sessions() > 0), "systems are spread over both");
    // The fleet is told of once.
    let systems = |number: usize| all.replicas[number].metrics().get("switchboard_systems{colour=\"green\"}").copied();
    assert_eq!((systems(leader), systems(other)), (Some(OTHERS.len() as f64 + 1.0), None));
    // A backup of a system, wherever its session is.
    for system in OTHERS {
        all.stage.order_backup(system, &json!({"ipOffice": system}));
    }
    for system in OTHERS {
        all.stage.wait_until("backups", system, "Completed", "Stored");
    }
    let elsewhere = all.replicas[leader].metrics().get("switchboard_replica_requests_total{result=\"done\"}").copied().unwrap_or_default();
    assert!(elsewhere > 0.0 || all.replicas[other].sessions() == 0, "the leader asks systems through the other replica");
    assert!(all.holder().starts_with(all.replicas[leader].name()), "{}", all.holder());
    all.wait_until_at_rest();
    all.forget();
    // A window of observation, longer than every period of the operators but the keepalive and the probe of the store.
    wait::observe(std::time::Duration::from_secs(15));
    assert_eq!(all.written(), [], "a fleet at rest writes");
}

#[test]
fn a_second_operator_uses_the_authority_of_the_first_and_one_that_is_damaged_is_said() {
    let mut all = Replicated::new(1, &small());
    let secret = all.stage.cluster.get(NAMESPACE, "secrets", "switchboard-authority").unwrap();
    all.replicas[0].start_again();
    all.replicas[0].wait_until_ready();
    let again = all.stage.cluster.get(NAMESPACE, "secrets", "switchboard-authority").unwrap();
    assert_eq!(secret["metadata"]["resourceVersion"], again["metadata"]["resourceVersion"], "never overwritten");
    all.stage.cluster.patch(NAMESPACE, "secrets", "switchboard-authority", &json!({"data": {"systems.key": "bm90aGluZw=="}}));
    all.replicas[0].start_again();
    wait::until_true("the operator to end", wait::SOON, || !all.replicas[0].runs());
    let log = all.replicas[0].log();
    assert!(log.contains("switchboard-authority") && log.contains("put it back from a backup"), "{log}");
}
