//! `docs/protocol.md` tells the truth: its messages are messages, its commands work.

use std::path::PathBuf;
use std::process::Stdio;

use protocol::enrolment::{CertificateAnswer, EnrolmentRequest, Problem, RenewalRequest};
use protocol::message::{FromGateway, FromSystem};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::client::Credential;
use crate::world::{CODE, Folder, World};

fn page() -> String {
    std::fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/protocol.md")).unwrap()
}

/// Blocks of a language, each with the line before it.
fn blocks(page: &str, language: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut lines = page.lines();
    let mut before = "";
    while let Some(line) = lines.next() {
        if line == format!("```{language}") {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            found.push((before.to_owned(), block.join("\n")));
        }
        before = line;
    }
    found
}

/// Reads the block as a message and writes it again: nothing in it may be unknown or have another name.
fn check<T: DeserializeOwned + Serialize>(text: &str) {
    let message: T = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(serde_json::to_value(&message).unwrap(), serde_json::from_str::<Value>(text).unwrap());
}

#[test]
fn every_message_on_the_page_is_a_message() {
    let blocks = blocks(&page(), "json");
    for (kind, text) in &blocks {
        match kind.as_str() {
            "<!-- EnrolmentRequest -->" => check::<EnrolmentRequest>(text),
            "<!-- CertificateAnswer -->" => check::<CertificateAnswer>(text),
            "<!-- RenewalRequest -->" => check::<RenewalRequest>(text),
            "<!-- Problem -->" => check::<Problem>(text),
            "<!-- FromSystem -->" => check::<FromSystem>(text),
            "<!-- FromGateway -->" => check::<FromGateway>(text),
            other => panic!("{other:?} does not say what this is: {text}"),
        }
    }
    for kind in [
        "hello",
        "challenge",
        "signInResult",
        "accountChanged",
        "report",
        "answer",
        "goodbye",
        "welcome",
        "signIn",
        "proof",
        "request",
        "close",
    ] {
        assert!(blocks.iter().any(|(_, text)| text.contains(&format!("\"type\": \"{kind}\""))), "{kind} has no example");
    }
}

#[test]
fn the_numbers_on_the_page_are_those_of_the_code() {
    let page = page();
    let limits = gateway::options::Limits::default();
    for text in [
        format!("more than {} bytes", protocol::LARGEST_MESSAGE),
        format!("every {} s", protocol::KEEPALIVE.as_secs()),
        format!("{} s for the TLS handshake", protocol::HANDSHAKE_TIMEOUT.as_secs()),
        format!("`protocol` is {}.", protocol::VERSION),
        format!("at most {} KiB", limits.body_bytes / 1024),
        format!("{} at once, {} a second", limits.messages.burst, 1000 / limits.messages.interval.as_millis()),
        format!("At most {} requests wait", limits.requests_in_flight),
        format!(
            "at most {} registrations, all customers together {}, and new ones of a customer register {} at once and then one every {} s",
            gateway::directory::REGISTRATIONS_OF_CUSTOMER,
            gateway::directory::REGISTRATIONS,
            limits.registrations.burst,
            limits.registrations.interval.as_secs()
        ),
        format!(
            "from this address ({}, then one every {} s",
            limits.failures_per_address.burst,
            limits.failures_per_address.interval.as_secs()
        ),
    ] {
        assert!(page.contains(&text), "the page does not say {text:?}");
    }
}

#[tokio::test]
async fn the_commands_on_the_page_enrol_a_system_and_renew_its_certificate() {
    let world = World::new().await;
    let folder = Folder::new();
    std::fs::write(folder.0.join("authority.pem"), &world.authority).unwrap();
    for (_, script) in blocks(&page(), "sh") {
        let output = tokio::process::Command::new("sh")
            .args(["-eu", "-c", &script])
            .current_dir(&folder.0)
            .env("GATEWAY", format!("https://localhost:{}", world.address.port()))
            .env("CUSTOMER", "acme")
            .env("SYSTEM", "hq")
            .env("CODE", CODE)
            .env("no_proxy", "*")
            .stdin(Stdio::null())
            .output()
            .await
            .unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{script}\n{said}");
        if script.contains("openssl verify") {
            for part in ["system.pem: OK", "acme/hq", "URI:switchboard:acme:hq:", "TLS Web Client Authentication"] {
                assert!(said.contains(part), "no {part} in\n{said}");
            }
        }
    }
    let answer: CertificateAnswer = serde_json::from_slice(&std::fs::read(folder.0.join("answer.json")).unwrap()).unwrap();
    assert!(answer.renew_after < answer.expires);
    let key = std::fs::read_to_string(folder.0.join("system-key.pem")).unwrap();
    let key = rcgen::KeyPair::from_pem(&key).unwrap();
    let credential = Credential { system: "hq".into(), key, certificate: answer.certificate };
    world.connected(&credential, 1).await;
}
