//! The Grafana dashboards as Prometheus and Grafana would take them. There is no Grafana among the tests: their structure is checked instead.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use super::prometheus::{read, root, text};

/// Panels that Grafana brings itself.
const PANELS: [&str; 6] = ["row", "stat", "timeseries", "bargauge", "table", "gauge"];

/// All of them, by file name.
pub fn all() -> Vec<(String, Value)> {
    let folder = root().join("charts/switchboard/files/dashboards");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
        .iter()
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), serde_json::from_str(&read(path)).unwrap()))
        .collect()
}

/// Title and expression of every question a dashboard asks, its variables filled in.
pub fn questions(dashboard: &Value, variables: &[(&str, &str)]) -> Vec<(String, String)> {
    let filled =
        |expression: &str| variables.iter().fold(expression.to_owned(), |text, (name, value)| text.replace(&format!("${name}"), value));
    let mut all = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row") {
        let targets = panel["targets"].as_array().unwrap().iter();
        all.extend(targets.map(|target| (text(&panel["title"]), filled(target["expr"].as_str().unwrap()))));
    }
    all
}

#[test]
fn dashboards_are_what_their_description_says() {
    let output = Command::new("python3").arg("tools/dashboards.py").arg("--check").current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn every_panel_says_what_it_shows_in_which_unit_and_needs_no_plugin() {
    let dashboards = all();
    let uids: BTreeSet<String> = dashboards.iter().map(|(_, dashboard)| text(&dashboard["uid"])).collect();
    assert_eq!(uids, ["switchboard-customer", "switchboard-fleet", "switchboard-operator"].map(str::to_owned).into());
    for (file, dashboard) in &dashboards {
        assert!(dashboard["schemaVersion"].as_u64().unwrap() >= 41 && dashboard["id"].is_null(), "{file}");
        let variables: Vec<String> = dashboard["templating"]["list"].as_array().unwrap().iter().map(|one| text(&one["name"])).collect();
        assert_eq!(variables[..3], ["datasource", "job", "namespace"], "{file}");
        let panels = dashboard["panels"].as_array().unwrap();
        let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
        assert_eq!(ids.len(), panels.len(), "{file}: two panels have one id");
        for panel in panels {
            let title = text(&panel["title"]);
            assert!(PANELS.contains(&panel["type"].as_str().unwrap()), "{file}, {title}");
            if panel["type"] != "row" {
                check(panel, &format!("{file}, {title}"), &variables);
            }
        }
        assert_no_overlap(file, panels);
    }
}

fn check(panel: &Value, at: &str, variables: &[String]) {
    assert!(text(&panel["description"]).len() > 10, "{at}: no description");
    let defaults = &panel["fieldConfig"]["defaults"];
    assert!(!text(&defaults["unit"]).is_empty(), "{at}: no unit");
    let steps = defaults["thresholds"]["steps"].as_array().unwrap();
    assert!(steps[0]["value"].is_null(), "{at}: the first threshold has to hold from the beginning");
    let values: Vec<f64> = steps[1..].iter().map(|step| step["value"].as_f64().unwrap()).collect();
    assert!(values.is_sorted(), "{at}: thresholds out of order");
    let targets = panel["targets"].as_array().unwrap();
    assert!(!targets.is_empty(), "{at}: no query");
    for target in targets {
        assert_eq!(target["datasource"]["uid"], "${datasource}", "{at}");
        let expression = text(&target["expr"]);
        for used in expression.split('$').skip(1).map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap()) {
            assert!(used == "__rate_interval" || variables.iter().any(|known| known == used), "{at}: there is no variable {used}");
        }
        let kept = expression.contains("job=~\"$job\",namespace=~\"$namespace\"") || expression.contains("ALERTS{");
        assert!(kept, "{at}: another installation would be counted too: {expression}");
    }
}

fn assert_no_overlap(file: &str, panels: &[Value]) {
    let mut taken = BTreeSet::new();
    for panel in panels {
        let of = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        assert!(of("x") + of("w") <= 24, "{file}: {} does not fit", panel["title"]);
        for cell in (of("x")..of("x") + of("w")).flat_map(|x| (of("y")..of("y") + of("h")).map(move |y| (x, y))) {
            assert!(taken.insert(cell), "{file}: {} lies on another panel", panel["title"]);
        }
    }
}
