//! What is in a backup, and what comes back.

use protocol::message::{AnswerResult, Settings};

use crate::support::gateway::TestGateway;
use crate::support::store::SIGNATURE;
use crate::support::{Site, USER};
use crate::world::*;

#[tokio::test]
async fn what_was_backed_up_comes_back_byte_for_byte() {
    let mut world = World::new(NETWORK).await;
    let before = world.content();
    let elements = world.backup("backup", &EVERYTHING).await;
    assert_eq!(elements.len(), 6 + 2 + 5 + 3, "{elements:?}");
    assert!(!world.site.disk().join("transfer/backup").exists(), "the end of an operation leaves nothing");
    let revision = world.facts.configuration_revision;
    world.session.configure("other", Settings { time_zone: Some("Asia/Tokyo".into()), ..Settings::default() }).await;
    world.change("servers/primary/IPOffice/users.csv", "nobody");
    world.change("voicemail/mailboxes/200/extra.wav", "extra");
    std::fs::remove_file(world.site.disk().join("content/voicemail/prompts/prompt-002.wav")).unwrap();
    assert_ne!(world.content(), before);
    world.fetch_all("restore", &elements).await;
    let preview = world.preview("restore", &elements).await;
    let of = |name: &str| preview.iter().find(|changes| changes.element == name).unwrap();
    assert_eq!((of("AllVoicemails").removed, of("CustomPrompts").added, of("VoicemailConfiguration").changed), (1, 1, 0));
    assert_eq!(of("Configuration/IPOffice/HQ").examples, ["~ settings.json", "~ users.csv"]);
    world.apply("restore", &elements).await;
    assert_eq!(world.content(), before);
    assert_eq!((world.facts.time_zone.as_str(), world.facts.configuration_revision), ("UTC", revision + 2));
    let restored = world.facts.last_restore.clone().unwrap();
    assert_eq!((restored.operation.as_str(), restored.backup_id.as_str(), restored.configuration_revision), ("restore", "b-1", 5));
    assert_eq!(restored.failure, None);
    assert!(!world.site.disk().join("transfer/restore").exists());
    let asked_again = world.ask("restore", apply(&elements)).await;
    assert_eq!(asked_again, AnswerResult::Done { configuration_revision: revision + 2, output: None }, "nothing is done twice");
    let log = world.site.log();
    assert!(log.contains("backup b-1 restored") && !log.contains(SIGNATURE), "{log}");
    for (path, bytes) in files(&world.site.disk()) {
        assert!(!String::from_utf8_lossy(&bytes).contains(SIGNATURE), "{path} holds what is secret in a URL");
    }
}

#[tokio::test]
async fn selected_mailboxes_come_back_and_the_others_stay() {
    let mut world = World::new(NETWORK).await;
    let elements = world.backup("backup", &["SelectiveVoicemails"]).await;
    let before = world.content();
    for mailbox in ["200", "201", "203"] {
        world.change(&format!("voicemail/mailboxes/{mailbox}/message-0001.wav"), "newer");
        world.change(&format!("voicemail/mailboxes/{mailbox}/message-0009.wav"), "newest");
    }
    world.fetch_all("restore", &elements).await;
    let changes = world.preview("restore", &elements).await.remove(0);
    assert_eq!((changes.changed, changes.removed, changes.added, changes.unchanged), (2, 2, 0, 2));
    world.apply("restore", &elements).await;
    let after = world.content();
    for (path, bytes) in &before {
        let stays = path.starts_with("voicemail/mailboxes/200/message-0001");
        assert_eq!(after[path] == *bytes, !stays, "{path}");
    }
    assert!(after.contains_key("voicemail/mailboxes/200/message-0009.wav"));
    assert!(!after.contains_key("voicemail/mailboxes/201/message-0009.wav"));
}

#[tokio::test]
async fn phones_and_the_small_community_network_show_in_the_log() {
    let causes = format!("{USER}phones: {{count: 2, series: '9600'}}\nsmallCommunityNetwork: {{name: Coast, units: [Bergen, Oslo]}}\n");
    let mut gateway = TestGateway::start().await;
    let mut site = Site::new(&gateway, &causes);
    site.start();
    gateway.session().await.greet().await;
    let log = site.log();
    assert_eq!(log.matches("series 9600").count(), 2, "{log}");
    assert!(log.contains("took 46xxsettings.txt") && log.contains("\"Coast\" with Bergen, Oslo"), "{log}");
    assert!(site.disk().join("content/servers/primary/IPOffice/settings.json").exists());
}

#[tokio::test]
async fn light_content_is_made_only_when_a_backup_needs_it() {
    let causes = "
serviceUsers: [{name: COMAdmin, passwordSecretKey: com}]
remoteOperations: {remoteUpgradeBackup: true}
content: {extensions: 0, mailboxes: 0}
logging: {linesPerMinute: 0}
";
    let mut world = World::new(causes).await;
    assert!(!world.site.disk().join("content").exists());
    let elements = world.pack("backup", &["Configuration"]).await;
    assert_eq!(names(&elements), ["Configuration/IPOffice/hq"]);
    assert!(world.site.disk().join("content").exists());
}
