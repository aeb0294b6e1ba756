//! Prometheus and Grafana: the rules by promtool, and a real Prometheus that watches a running plane, evaluates every rule and answers every question of
//! the dashboards.

mod dashboards;
mod prometheus;

use harness::metrics::request;
use harness::objects;
use harness::switchboard::Switchboard;
use harness::wait;
use prometheus::{Prometheus, promtool, read, root, text};
use serde_json::json;

const RULES: &str = "charts/switchboard/files/alerts.yaml";
/// What Grafana fills in.
const VARIABLES: [(&str, &str); 5] =
    [("__rate_interval", "15s"), ("job", "switchboard"), ("namespace", ".*"), ("tenancy", "demo"), ("customer", "acme")];

/// The rules with waits that a test can await; nothing else is changed.
fn impatient_rules() -> String {
    let rules = read(&root().join(RULES));
    let waits = |line: &&str| line.trim_start().starts_with("for: ");
    assert!(rules.lines().filter(waits).count() > 10, "{RULES} has no waits to shorten");
    let lines = rules.lines().map(|line| if waits(&line) { line.replace(line.trim_start(), "for: 2s") } else { line.to_owned() });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_rules_are_sound_and_every_alert_fires_keeps_still_and_resolves_as_it_should() {
    assert!(promtool(&["check", "rules", RULES], "").status.success());
    assert!(promtool(&["test", "rules", "tests/monitoring/alerts.test.yaml"], "").status.success());
    let (rules, tests) = (read(&root().join(RULES)), read(&root().join("tests/monitoring/alerts.test.yaml")));
    for alert in rules.lines().filter_map(|line| line.trim_start().strip_prefix("- alert: ")) {
        assert!(tests.contains(&format!("alertname: {alert}\n")), "no test lets {alert} fire");
        assert!(
            tests.lines().any(|line| line.contains(&format!("alertname: {alert},")) && line.contains("exp_alerts: []")),
            "no test keeps {alert} still"
        );
    }
}

#[test]
fn a_real_prometheus_watches_a_running_plane() {
    let plane = Switchboard::start(&["--demo"]);
    let kubectl = plane.kubectl();
    for (system, colour) in [("acme-hq", "Green"), ("acme-shop", "Amber"), ("globex-office", "Red"), ("initech-plant", "Green")] {
        kubectl.wait_for_field("demo", &format!("ipo/{system}"), "{.status.connection.colour}", colour);
    }
    let (status, page) = request(&plane, "GET", "/metrics", "");
    assert_eq!(status, 200);
    assert!(promtool(&["check", "metrics"], &page).status.success());

    let prometheus = Prometheus::start(plane.ports.metrics, &impatient_rules());
    all_targets_are_up(&prometheus);
    every_rule_is_evaluated(&prometheus);
    every_question_of_the_dashboards_has_an_answer(&prometheus);
    alerts_fire_and_resolve(&plane, &prometheus);
    assert_eq!(prometheus.log().lines().filter(|line| line.contains("level=error")).collect::<Vec<_>>(), [""; 0]);
}

fn all_targets_are_up(prometheus: &Prometheus) {
    let targets = wait::until("every target up", wait::SOON, || {
        let targets = prometheus.api("/api/v1/targets")["activeTargets"].as_array().unwrap().clone();
        (!targets.is_empty() && targets.iter().all(|target| target["health"] == "up")).then_some(targets)
    });
    for target in targets {
        eprintln!("target {} of {}: {}", target["scrapeUrl"], target["scrapePool"], target["health"]);
    }
}

fn every_rule_is_evaluated(prometheus: &Prometheus) {
    let rules = wait::until("every rule evaluated", wait::SOON, || {
        let groups = prometheus.api("/api/v1/rules")["groups"].as_array().unwrap().clone();
        let rules: Vec<_> = groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect();
        rules.iter().all(|rule| rule["health"] != "unknown").then_some(rules)
    });
    let written = read(&root().join(RULES));
    assert_eq!(rules.len(), written.matches("- alert: ").count() + written.matches("- record: ").count());
    for rule in rules {
        eprintln!("rule {}: {} {}", text(&rule["name"]), text(&rule["health"]), rule["state"].as_str().unwrap_or_default());
        assert_eq!(rule["health"], "ok", "{rule}");
    }
}

fn every_question_of_the_dashboards_has_an_answer(prometheus: &Prometheus) {
    for (file, dashboard) in dashboards::all() {
        for (title, expression) in dashboards::questions(&dashboard, &VARIABLES) {
            // A rate needs two scrapes, a recording its first evaluation.
            let found = wait::until(&format!("{file}, {title}: {expression} gives data"), wait::SOON, || {
                let found = prometheus.query(&expression);
                (!found.is_empty()).then_some(found)
            });
            eprintln!("{file}, {title}: {} series", found.len());
        }
        for variable in
            dashboard["templating"]["list"].as_array().unwrap().iter().filter(|one| one["type"] == "query" && one["name"] != "namespace")
        {
            let selector = text(&variable["definition"]).trim_start_matches("label_values(").rsplit_once(", ").unwrap().0.to_owned();
            let filled = VARIABLES.iter().fold(selector, |text, (name, value)| text.replace(&format!("${name}"), value));
            assert!(!prometheus.query(&filled).is_empty(), "{file}: nothing to choose for {}", variable["name"]);
        }
    }
}

fn alerts_fire_and_resolve(plane: &Switchboard, prometheus: &Prometheus) {
    let kubectl = plane.kubectl();
    kubectl.apply(&objects::tenancy("watched"));
    kubectl.apply(&objects::system("watched", "springfield"));
    kubectl.wait("watched", "ipo/springfield", "condition=Ready");
    let lost = || prometheus.query("job:switchboard_systems_lost:sum").first().map(|found| text(&found["value"][1]));
    let state = |name: &str| prometheus.alerts().into_iter().find(|(alert, _)| alert == name).map(|(_, state)| state);
    wait::until_true("no system is lost", wait::SOON, || lost().as_deref() == Some("0"));
    // SwitchboardDown may have come before the first scrape, and goes with it.
    for alert in ["SwitchboardDown", "SwitchboardReplicaDown", "SwitchboardNotReady", "SwitchboardNoLeader", "SwitchboardSystemsRed"] {
        wait::until_true(&format!("no {alert} at a plane that is well"), wait::SOON, || state(alert).is_none());
    }

    // The very first failure of a process is seen: the counter was there with 0.
    let refused = json!({"ipOffice": "springfield", "elements": ["AllVoicemails"]});
    kubectl.apply(&[json!({"apiVersion": "switchboard.dev/v1alpha1", "kind": "Backup", "metadata": {"name": "refused", "namespace": "watched"}, "spec": refused})]);
    kubectl.wait("watched", "backup/refused", "condition=Failed");
    wait::until_true("SwitchboardActionsFail fires", wait::SOON, || state("SwitchboardActionsFail").as_deref() == Some("firing"));

    kubectl.apply(&[objects::simulated_system("watched", "springfield", &json!({"network": {"connected": false}}))]);
    wait::until_true("the system is lost", wait::SOON, || lost().as_deref() == Some("1"));
    wait::until_true("SwitchboardSystemsRed fires", wait::SOON, || state("SwitchboardSystemsRed").as_deref() == Some("firing"));
    eprintln!("SwitchboardSystemsRed fires: {:?}", prometheus.alerts());

    kubectl.apply(&[objects::simulated_system("watched", "springfield", &json!({}))]);
    kubectl.wait("watched", "ipo/springfield", "condition=Ready");
    wait::until_true("SwitchboardSystemsRed resolves", wait::SOON, || state("SwitchboardSystemsRed").is_none());
    eprintln!("SwitchboardSystemsRed is resolved: {:?}", prometheus.alerts());
}
