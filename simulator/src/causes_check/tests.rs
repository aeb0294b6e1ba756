#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use model::rights::Right;
use model::system::Profile;

use super::*;
use crate::causes::AccountState;

#[test]
fn nothing_written_is_a_plain_ip500_without_accounts() {
    let causes = parse("").unwrap();
    assert_eq!(causes, parse("{}").unwrap());
    assert_eq!(causes.profile, Profile::Ip500V2);
    assert!(causes.network.connected && causes.service_users.is_empty());
    assert_eq!((causes.lockout.attempts, causes.sessions.limit), (5, 10));
}

#[test]
fn yaml_and_json_say_the_same() {
    let yaml = "profile: Server Edition\nserviceUsers:\n- name: COMAdmin\n  passwordSecretKey: com\n  state: DisabledByAdministrator\n  rights: [Backup]\n";
    let json = r#"{"profile":"Server Edition","serviceUsers":[{"name":"COMAdmin","passwordSecretKey":"com","state":"DisabledByAdministrator","rights":["Backup"]}]}"#;
    let causes = parse(yaml).unwrap();
    assert_eq!(causes, parse(json).unwrap());
    assert_eq!(causes.service_users[0].state, AccountState::DisabledByAdministrator);
    assert_eq!(causes.service_users[0].rights, [Right::Backup]);
    assert_eq!(parse(&serde_yaml::to_string(&causes).unwrap()).unwrap(), causes);
}

#[test]
fn an_impossible_cause_is_refused_by_its_field() {
    for (text, field) in [
        ("colour: Green", "colour"),
        ("network: {connected: true, speed: 1}", "speed"),
        ("softwareVersion: eleven", "eleven"),
        ("timeZone: Mars/Olympus", "timeZone"),
        ("systemId: A-B", "systemId"),
        ("serviceUsers: [{name: a}, {name: a}]", "serviceUsers[1].name"),
        ("serviceUsers: [{name: a, passwordSecretKey: ../../etc/passwd}]", "passwordSecretKey"),
        ("network: {lossPercent: 101}", "network.lossPercent"),
        ("lockout: {attempts: 0}", "lockout.attempts"),
        ("certificates: {automaticPhoneProvisioning: true}", "automaticPhoneProvisioning"),
        ("servers: [{name: a, role: Primary}, {name: a, role: Expansion}]", "servers[1].name"),
        ("content: {messageKilobytes: 0}", "content.messageKilobytes"),
        ("faults: {diskMegabytes: 0}", "faults.diskMegabytes"),
        ("faults: {transfers: {break: {afterKilobytes: 1, token: ''}}}", "faults.transfers.break.token"),
        ("faults: {rebootDuring: {work: Sleeping, token: a}}", "Sleeping"),
        ("phones: {count: 51}", "phones.count"),
        ("smallCommunityNetwork: {name: Coast, units: ['']}", "smallCommunityNetwork.units[0]"),
    ] {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.contains(field), "{text}: {error}");
    }
    let many: String = (0..21).map(|n| format!("{{name: u{n}}},")).collect();
    assert!(parse(&format!("serviceUsers: [{many}]")).unwrap_err().to_string().contains("at most 20"));
}

#[test]
fn the_schema_carries_documentation_bounds_and_defaults() {
    let schema = serde_json::to_value(schemars::schema_for!(Causes)).unwrap();
    let properties = schema["properties"].as_object().unwrap();
    assert!(properties.values().all(|field| field["description"].is_string()), "every field is documented");
    assert_eq!(properties["softwareVersion"]["default"], "11.1.3.2.0");
    assert_eq!(properties["serviceUsers"]["maxItems"], 20);
    assert_eq!(schema["additionalProperties"], false);
    assert!(schema.get("required").is_none(), "nothing must be written");
}
