//! What operations rely on: probes, metrics, logs, and a fleet at rest that leaves the API alone.

use std::io::Write as _;
use std::time::Duration;

use harness::metrics::{all, request, value, wait_until_at_rest, writes, writes_since};
use harness::objects;
use harness::switchboard::Switchboard;
use harness::wait;
use serde_json::json;

#[test]
fn a_fleet_at_rest_writes_nothing_but_leases() {
    let plane = Switchboard::start(&["--demo"]);
    let kubectl = plane.kubectl();
    plane.wait_for_log("Switchboard is up.");
    for (system, colour) in [("acme-hq", "Green"), ("acme-shop", "Amber"), ("globex-office", "Red"), ("initech-plant", "Green")] {
        kubectl.wait_for_field("demo", &format!("ipo/{system}"), "{.status.connection.colour}", colour);
    }
    wait_until_at_rest(&plane);
    let (before, revision) = (writes(&plane), kubectl.revision());
    // A window of observation: what must not happen needs time not to happen in. Longer than every period of the operator and the node but the
    // keepalive, and than the time between two renewals of a Lease.
    wait::observe(Duration::from_secs(15));
    // Read within the window in which writes are counted: a Lease that is renewed between the two readings is counted then, and not missed.
    let grown = kubectl.revision() - revision;
    assert_eq!(writes_since(&plane, &before), [].into(), "a fleet at rest writes");
    let leases: u64 = writes(&plane).iter().filter(|(name, _)| name.ends_with("leases.coordination.k8s.io")).map(|(_, count)| count).sum();
    let leases_before: u64 = before.iter().filter(|(name, _)| name.ends_with("leases.coordination.k8s.io")).map(|(_, count)| count).sum();
    assert!(grown <= leases - leases_before, "the store was written to more often than Leases were");
}

#[test]
fn probes_metrics_and_the_log_level_answer_while_it_runs() {
    let mut plane = Switchboard::start(&[]);
    let kubectl = plane.kubectl();
    assert_eq!(request(&plane, "GET", "/healthz", ""), (200, "ok\n".to_owned()));
    assert_eq!(request(&plane, "GET", "/readyz", ""), (200, "ok\n".to_owned()));
    assert_eq!(request(&plane, "GET", "/nothing", "").0, 404);
    assert_eq!(request(&plane, "POST", "/healthz", "").0, 405);

    // INFO says what happened, DEBUG also how, ERROR only what needs somebody.
    let level = |level: &str| assert_eq!(request(&plane, "PUT", "/log-level", level), (200, format!("{level}\n")));
    assert_eq!(request(&plane, "GET", "/log-level", ""), (200, "INFO\n".to_owned()));
    kubectl.apply(&objects::tenancy("levels"));
    kubectl.apply(&objects::system("levels", "springfield"));
    kubectl.wait("levels", "ipo/springfield", "condition=Ready");
    assert!(plane.log().contains(" INFO connection changed") && !plane.log().contains(" DEBUG "), "INFO is the level at the start");
    level("DEBUG");
    // Something that nobody needs to know.
    std::net::TcpStream::connect(("127.0.0.1", plane.ports.gateway)).unwrap().write_all(b"no TLS at all\n\n\n\n").unwrap();
    plane.wait_for_log("DEBUG TLS handshake failed");
    level("ERROR");
    wait_until_at_rest(&plane);
    let quiet = plane.log().len();
    std::net::TcpStream::connect(("127.0.0.1", plane.ports.gateway)).unwrap().write_all(b"no TLS at all\n\n\n\n").unwrap();
    kubectl.apply(&[objects::simulated_system("levels", "springfield", &json!({"network": {"connected": false}}))]);
    kubectl.wait_for_field("levels", "ipo/springfield", "{.status.connection.colour}", "Red");
    assert_eq!(plane.log()[quiet..].to_owned(), "", "at ERROR an outage of a system is no line");
    let (status, refused) = request(&plane, "PUT", "/log-level", "LOUD");
    assert!(status == 400 && refused.contains("ERROR") && refused.contains("DEBUG"), "{status} {refused}");
    assert_eq!(request(&plane, "GET", "/log-level", ""), (200, "ERROR\n".to_owned()));
    level("INFO");
    kubectl.apply(&[objects::simulated_system("levels", "springfield", &json!({}))]);
    kubectl.wait("levels", "ipo/springfield", "condition=Ready");
    assert!(plane.log()[quiet..].contains(" INFO connection changed"));

    // Gauges are the state, and carry no names of systems; those of customers have series of their own, as many as they have systems.
    wait::until_true("the gauge of connected systems", wait::SOON, || {
        value(&plane, "switchboard_system_connectivity{message=\"ConnectionSuccessful\"}") == 1.0
    });
    assert_eq!(value(&plane, "switchboard_customers"), 1.0);
    let names = all(&plane);
    let of_systems: Vec<&String> = names.keys().filter(|series| series.contains("springfield")).collect();
    assert_eq!(of_systems, [""; 0], "series grow with systems");
    let of_customers = |series: &&String| series.starts_with("switchboard_customer_");
    let named: Vec<&String> = names.keys().filter(|series| series.contains("levels") && !of_customers(series)).collect();
    assert_eq!(named, [""; 0], "series grow with customers");
    assert_eq!(names["switchboard_customer_systems{colour=\"green\",customer=\"acme\",tenancy=\"levels\"}"], 1.0);

    // Secrets never reach the log.
    let code = kubectl.field("levels", "secret/acme-subscription", "{.data.enrolmentCode}");
    let log = plane.log();
    assert!(!log.contains(objects::PASSWORD) && !log.contains(&code) && !log.contains(&decoded(&code)));
    assert_eq!(plane.stop(rustix::process::Signal::TERM), Some(0));
}

fn decoded(text: &str) -> String {
    use base64::Engine as _;
    String::from_utf8(base64::engine::general_purpose::STANDARD.decode(text).unwrap()).unwrap()
}
