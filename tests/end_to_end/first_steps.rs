//! What a newcomer does with the demo.

use harness::switchboard::Switchboard;
use harness::wait;
use rustix::process::Signal;

/// Rows of a table without the headers, as cells. Columns are divided by two blanks or more.
fn rows(table: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect();
    table.lines().skip(1).map(cells).collect()
}

fn wait_for_the_demo(plane: &Switchboard) {
    let kubectl = plane.kubectl();
    plane.wait_for_log("Switchboard is up.");
    for (system, message) in [
        ("acme-hq", "Connection successful"),
        ("acme-shop", "Authorization failed"),
        ("globex-office", "Waiting for initial connection"),
        ("initech-plant", "Legacy"),
    ] {
        kubectl.wait_for_field("demo", &format!("ipo/{system}"), "{.status.connection.message}", message);
    }
    kubectl.wait_for_field("demo", "customer/acme", "{.status.systems.amber}", "1");
    kubectl.wait_for_field("demo", "customer/acme", "{.status.systems.green}", "1");
}

#[test]
fn the_demo_shows_what_is_well_and_what_is_not_and_says_what_to_do() {
    let plane = Switchboard::start(&["--demo"]);
    let kubectl = plane.kubectl();
    wait_for_the_demo(&plane);

    // get: columns that answer "is it well?"
    let customers = kubectl.ok(&["get", "customers", "-A"]);
    assert_eq!(
        customers.split_whitespace().take(9).collect::<Vec<_>>(),
        ["NAMESPACE", "NAME", "CUSTOMER", "READY", "SYSTEMS", "GREEN", "AMBER", "RED", "AGE"]
    );
    let acme = rows(&customers).into_iter().find(|row| row[1] == "acme").unwrap();
    assert_eq!(acme[2..8], ["Acme Foods", "True", "2", "1", "1", "0"]);
    let systems = kubectl.ok(&["get", "ipoffices", "-A"]);
    assert_eq!(
        systems.lines().next().unwrap().split_whitespace().collect::<Vec<_>>(),
        ["NAMESPACE", "NAME", "CUSTOMER", "COLOUR", "READY", "CONNECTION", "SINCE", "VERSION", "AGE"]
    );
    let of = |name: &str| rows(&systems).into_iter().find(|row| row[1] == name).unwrap();
    assert_eq!(of("acme-hq")[2..6], ["acme", "Green", "True", "Connection successful"]);
    assert_eq!(of("acme-shop")[2..6], ["acme", "Amber", "False", "Authorization failed"]);
    assert_eq!(of("globex-office")[2..6], ["globex", "Red", "False", "Waiting for initial connection"]);
    assert_eq!(of("initech-plant")[2..6], ["initech", "Green", "True", "Legacy"]);
    let both = kubectl.ok(&["get", "customers,ipoffices", "-A"]);
    assert!(both.contains("customer.switchboard.dev/acme ") && both.contains("ipoffice.switchboard.dev/acme-hq "), "{both}");
    let all = kubectl.ok(&["get", "switchboard", "-n", "demo", "-o", "name"]);
    assert_eq!(all.lines().count(), 3 + 4 + 3 + 1, "the category lists every kind: {all}");

    // describe: conditions that say what, why and what to do, and an event for each transition, which may come a moment later
    let described = wait::until_ok(wait::SOON, || {
        let described = kubectl.ok(&["describe", "ipo", "acme-shop", "-n", "demo"]);
        let events: Vec<Vec<String>> = rows(described.split("Events:\n").nth(1).unwrap_or_default());
        let reasons: Vec<&str> =
            events.iter().filter_map(|event| event.get(1)).map(String::as_str).filter(|word| !word.starts_with('-')).collect();
        let as_wished = reasons == ["WaitingForInitialConnection", "AuthorizationFailed"];
        if as_wished { Ok(described) } else { Err(format!("not one event a transition: {described}")) }
    });
    let advice = "Authorization failed: the password in the Secret service-user-mistyped is not the one of COMAdmin on the system; correct one of them";
    assert!(described.contains(advice) && described.contains("Type:                  Authorized"), "{described}");

    // explain: the reference
    let explained = kubectl.ok(&["explain", "ipoffice.spec.servers"]);
    assert!(explained.contains("FIELD: servers <[]Object>") && explained.contains("role	<string> -required-"), "{explained}");
    assert!(kubectl.ok(&["explain", "ipoffice.spec.servers.role"]).contains("What the server does."));
    assert!(kubectl.ok(&["explain", "ipoffice.status.connection.colour"]).contains("Red: no connection"));

    // wait, as scripts do
    kubectl.ok(&["wait", "-n", "demo", "ipo/acme-hq", "ipo/acme-shop", "--for=condition=Connected", "--timeout=60s"]);
    assert_eq!(kubectl.run(&["wait", "-n", "demo", "ipo/globex-office", "--for=condition=Connected", "--timeout=1s"]).code, 1);
}

#[test]
fn a_watch_shows_a_transition_and_a_followed_log_grows() {
    let plane = Switchboard::start(&["--demo"]);
    let kubectl = plane.kubectl();
    wait_for_the_demo(&plane);

    let watch = kubectl.follow(&["get", "ipo", "-n", "demo", "-w"]);
    let seen = watch.line(0, |line| line.starts_with("acme-shop ") && line.contains("Amber"));
    let log = kubectl.follow(&["logs", "-f", "acme-shop", "-n", "demo"]);
    let read = log.line(0, |line| line.contains("start number 1"));
    let signed_in = |line: &str| line.contains("signed in with 4 of the rights COM needs");
    assert!(!log.lines().iter().any(|line| signed_in(line)));

    // What was mistyped is typed again.
    let right = harness::objects::secret("demo", "service-user-mistyped", harness::objects::PASSWORD);
    kubectl.apply(&[right]);
    watch.line(seen, |line| line.starts_with("acme-shop ") && line.contains("Green"));
    log.line(read, signed_in);
}

#[test]
fn what_was_stopped_goes_on_where_it_was_with_the_next_start() {
    let mut plane = Switchboard::start(&["--demo"]);
    let kubectl = plane.kubectl();
    wait_for_the_demo(&plane);
    let processes = plane.simulated_systems();
    assert_eq!(processes.len(), 3);
    kubectl.ok(&["delete", "ipo/globex-office", "customer/globex", "-n", "demo", "--timeout=60s"]);
    let uid = kubectl.field("demo", "ipo/acme-hq", "{.metadata.uid}");
    let enrolment = kubectl.field("demo", "ipo/acme-hq", "{.status.enrolment.id}");
    let revision = kubectl.revision();

    // Ctrl-C
    assert_eq!(plane.stop(Signal::INT), Some(0), "a clean end");
    assert_eq!(plane.simulated_systems(), [0_u32; 0], "Ctrl-C stops everything it started");
    assert!(!plane.data().join("ready").exists());

    plane.start_again();
    wait_for_systems_to_return(&plane);
    assert_eq!(kubectl.field("demo", "ipo/acme-hq", "{.metadata.uid}"), uid);
    assert_eq!(kubectl.field("demo", "ipo/acme-hq", "{.status.enrolment.id}"), enrolment, "it is still enrolled");
    assert!(kubectl.revision() > revision);
    assert!(kubectl.refused(&["get", "customer", "globex", "-n", "demo"], "").contains("NotFound"), "the demo is not applied again");
    assert_eq!(plane.simulated_systems().len(), 3);
    assert_eq!(plane.stop(Signal::TERM), Some(0));
}

fn wait_for_systems_to_return(plane: &Switchboard) {
    wait::until_true("sessions of all systems", wait::SOON, || {
        let connected = harness::metrics::value(plane, "switchboard_gateway_sessions{state=\"connected\"}");
        let signed_in = harness::metrics::value(plane, "switchboard_gateway_sessions{state=\"signed_in\"}");
        (connected, signed_in) == (1.0, 2.0)
    });
    let kubectl = plane.kubectl();
    for (system, colour) in [("acme-hq", "Green"), ("acme-shop", "Amber"), ("initech-plant", "Green")] {
        kubectl.wait_for_field("demo", &format!("ipo/{system}"), "{.status.connection.colour}", colour);
    }
}
