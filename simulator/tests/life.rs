//! A whole system against a gateway: connecting, signing in, changing, restarting, and what goes wrong on the way.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Duration;

use model::account::SignInOutcome;
use model::rights::Right;
use model::switches::RemoteOperations;
use protocol::enrolment::{Problem, ProblemReason};
use protocol::message::{AnswerResult, CloseReason, Departure, FromGateway, FromSystem, Settings};
use support::gateway::{TestGateway, problem};
use support::session::TestSession;
use support::{Site, USER, soon};

fn accepted() -> SignInOutcome {
    SignInOutcome::Accepted { rights: Right::ALL.to_vec() }
}

/// A system that runs, and its first session after the greeting.
async fn connected(causes: &str) -> (TestGateway, Site, TestSession) {
    let mut gateway = TestGateway::start().await;
    let mut site = Site::new(&gateway, causes);
    site.start();
    let mut session = gateway.session().await;
    session.greet().await;
    (gateway, site, session)
}

#[tokio::test]
async fn a_system_enrols_once_connects_and_counts_its_sessions_across_restarts() {
    let mut gateway = TestGateway::start().await;
    let mut site = Site::new(&gateway, USER);
    let mut last = 0;
    for _ in 0..3 {
        site.start();
        let mut session = gateway.session().await;
        let hello = session.greet().await;
        assert!(hello.session > last);
        last = hello.session;
        assert_eq!((hello.customer_id.as_str(), hello.system_id.as_str()), ("acme", "hq"));
        assert_eq!((hello.facts.address.as_str(), hello.facts.servers.len()), ("127.0.0.1", 1));
        assert_eq!(session.sign_in("right").await, accepted());
        site.stop().await;
        assert_eq!(session.next().await, Some(FromSystem::Goodbye { reason: Departure::Shutdown }));
    }
    assert_eq!(gateway.script.lock().unwrap().enrolled.len(), 1);
    let log = site.log();
    assert!(log.contains("service user \"COMAdmin\": signed in"), "{log}");
    assert!(!log.contains("right\"") && !log.contains("code\""), "no secret is in the log");
}

#[tokio::test]
async fn a_refused_enrolment_is_tried_again_slowly_with_the_same_key() {
    let mut gateway = TestGateway::start().await;
    let reasons = [ProblemReason::NotRecognised, ProblemReason::AlreadyEnrolled, ProblemReason::TooManyRequests];
    gateway.script.lock().unwrap().enrolments = reasons.map(problem).into();
    let mut site = Site::new(&gateway, USER);
    site.start();
    gateway.session().await.greet().await;
    let script = gateway.script.lock().unwrap();
    assert_eq!(script.enrolled.len(), 4);
    let keys: Vec<_> = script
        .enrolled
        .iter()
        .map(|request| {
            let (_, pem) = x509_parser::pem::parse_x509_pem(request.certificate_request.as_bytes()).unwrap();
            let (_, request) =
                <x509_parser::certification_request::X509CertificationRequest as x509_parser::prelude::FromDer<_>>::from_der(&pem.contents)
                    .unwrap();
            request.certification_request_info.subject_pki.raw.to_vec()
        })
        .collect();
    assert!(keys.windows(2).all(|pair| pair[0] == pair[1]), "an answer that was lost can be given again for the same key");
    for reason in ["NotRecognised", "AlreadyEnrolled", "TooManyRequests"] {
        assert!(site.log().contains(&format!("COM refused ({reason}): as the test wants")), "{}", site.log());
    }
}

#[tokio::test]
async fn a_wait_that_com_asks_for_is_kept() {
    let gateway = TestGateway::start().await;
    let wait = Problem { retry_after_seconds: Some(3600), ..problem(ProblemReason::TooManyRequests) };
    gateway.script.lock().unwrap().enrolments = [wait].into();
    let mut site = Site::new(&gateway, USER);
    site.start();
    site.logged("next try in 3600.0 s").await;
}

#[tokio::test]
async fn a_missing_part_of_the_subscription_is_named_and_waited_for() {
    let mut gateway = TestGateway::start().await;
    let mut site = Site::new(&gateway, USER);
    for name in ["ca.crt", "enrolmentCode"] {
        std::fs::remove_file(site.path("subscription").join(name)).unwrap();
    }
    site.options.slow_retry = Duration::from_secs(3600);
    site.start();
    site.logged("ca.crt").await;
    site.subscription("ca.crt", &gateway.authority());
    site.logged("has no file enrolmentCode").await;
    site.subscription("enrolmentCode", "code");
    gateway.session().await.greet().await;
}

#[tokio::test]
async fn a_certificate_that_com_takes_no_more_is_replaced_by_enrolling_again() {
    let (mut gateway, mut site, _session) = connected(USER).await;
    site.stop().await;
    gateway.script.lock().unwrap().sessions = [problem(ProblemReason::CertificateNotAccepted)].into();
    site.start();
    gateway.session().await.greet().await;
    assert_eq!(gateway.script.lock().unwrap().enrolled.len(), 2);
}

#[tokio::test]
async fn a_certificate_is_renewed_when_it_is_due() {
    let mut gateway = TestGateway::start().await;
    gateway.script.lock().unwrap().renew_at_once = true;
    let mut site = Site::new(&gateway, USER);
    site.start();
    let mut session = gateway.session().await;
    session.greet().await;
    site.logged("certificate renewed").await;
    site.stop().await;
    site.start();
    gateway.session().await.greet().await;
    let script = gateway.script.lock().unwrap();
    assert_eq!((script.enrolled.len(), script.renewed), (1, 1));
}

#[tokio::test]
async fn a_clock_that_is_wrong_makes_certificates_invalid() {
    let mut gateway = TestGateway::start().await;
    let mut site = Site::new(&gateway, &format!("{USER}clock: {{offsetSeconds: -3000000000}}\n"));
    site.start();
    site.logged("TLS with COM failed").await;
    site.causes(USER);
    gateway.session().await.greet().await;
}

#[tokio::test]
async fn changed_accounts_are_announced_and_answered_as_they_now_stand() {
    let (_gateway, site, mut session) = connected(USER).await;
    assert_eq!(session.sign_in("right").await, accepted());
    let user = |rest: &str| format!("serviceUsers: [{{name: COMAdmin, passwordSecretKey: com, {rest}}}]\nlogging: {{linesPerMinute: 0}}\n");
    let full = format!("{USER}sessions: {{limit: 2, inUse: 2}}\n");
    for (causes, outcome) in [
        (user("state: DisabledByAdministrator"), SignInOutcome::DisabledByAdministrator),
        (user("state: Disabled"), SignInOutcome::Disabled),
        (user("locked: true"), SignInOutcome::LockedTemporarily),
        (full, SignInOutcome::TooManySessions),
        (user("passwordExpired: true"), SignInOutcome::PasswordExpired),
        (user("newPasswordRequired: true"), SignInOutcome::NewPasswordRequired),
        (user("rights: [Backup]"), SignInOutcome::Accepted { rights: vec![Right::Backup] }),
        ("serviceUsers: [{name: Other}]".to_owned(), SignInOutcome::UnknownUser),
        (USER.to_owned(), accepted()),
    ] {
        site.causes(&causes);
        assert_eq!(session.next().await, Some(FromSystem::AccountChanged), "{causes}");
        assert_eq!(session.sign_in("right").await, outcome, "{causes}");
    }
    site.password("another");
    assert_eq!(session.next().await, Some(FromSystem::AccountChanged));
    assert_eq!(session.sign_in("right").await, SignInOutcome::WrongPassword);
    assert_eq!(session.sign_in("another").await, accepted());
}

#[tokio::test]
async fn a_lock_that_runs_out_is_announced() {
    let (_gateway, _site, mut session) = connected(&format!("{USER}lockout: {{attempts: 2, seconds: 4}}\n")).await;
    assert_eq!(session.sign_in("wrong").await, SignInOutcome::WrongPassword);
    assert_eq!(session.sign_in("wrong").await, SignInOutcome::WrongPassword);
    assert_eq!(session.sign_in("right").await, SignInOutcome::LockedTemporarily);
    assert_eq!(session.next().await, Some(FromSystem::AccountChanged));
    assert_eq!(session.sign_in("right").await, accepted());
}

#[tokio::test]
async fn settings_are_changed_after_a_sign_in_only_and_reported_once() {
    let (_gateway, _site, mut session) = connected(USER).await;
    let settings =
        || Settings { remote_operations: Some(RemoteOperations::ALL), time_zone: Some("Asia/Tokyo".into()), ..Settings::default() };
    let refused = session.configure("op-0", settings()).await;
    assert!(matches!(refused.result, AnswerResult::Failed { reason, .. } if reason == "NotSignedIn"));
    session.sign_in("right").await;
    let done = session.configure("op-1", settings()).await.result;
    let Some(FromSystem::Report(facts)) = session.next().await else { panic!("a change is reported") };
    assert_eq!(done, AnswerResult::Done { configuration_revision: facts.configuration_revision, output: None });
    assert_eq!((facts.remote_operations, facts.time_zone.as_str()), (RemoteOperations::ALL, "Asia/Tokyo"));
    assert_eq!(session.configure("op-1", Settings::default()).await.result, done, "a repeated operation gets the same answer");
    session.send_text(r#"{"type":"request","id":77,"operation":"op-9","command":{"command":"dance"}}"#).await;
    let Some(FromSystem::Answer(answer)) = session.next().await else { panic!("nothing was reported twice") };
    assert!(matches!(answer.result, AnswerResult::Failed { reason, .. } if answer.id == 77 && reason == "UnknownCommand"));
}

#[tokio::test]
async fn switches_set_by_hand_are_reported_and_broken_causes_change_nothing() {
    let (_gateway, site, mut session) = connected(USER).await;
    site.causes("serviceUsers: [");
    site.logged("last good causes").await;
    site.causes(&format!("{USER}remoteOperations: {{remoteAccess: true}}\nsystemName: Branch\n"));
    let Some(FromSystem::Report(facts)) = session.next().await else { panic!("a change is reported") };
    assert!(facts.remote_operations.remote_access && facts.system_name == "Branch");
    assert_eq!(session.sign_in("right").await, accepted());
}

#[tokio::test]
async fn a_restart_says_goodbye_stays_away_and_comes_back_newly_started() {
    let mut gateway = TestGateway::start().await;
    let mut site = Site::new(&gateway, USER);
    let probe = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    site.listen = Some(probe);
    site.start();
    let mut session = gateway.session().await;
    let before = session.greet().await;
    assert_eq!(probed(probe, "/readyz").await, 200);
    site.causes(&format!("{USER}reboot: {{token: one, outageSeconds: 5, forChange: true}}\n"));
    assert_eq!(session.next().await, Some(FromSystem::Goodbye { reason: Departure::RebootForChange }));
    assert_eq!(session.next().await, None);
    // COM may know before the probe.
    soon("the outage", async {
        while probed(probe, "/readyz").await != 503 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(probed(probe, "/healthz").await, 200);
    assert!(!gateway.has_session(), "it is away");
    let after = gateway.session().await.greet().await;
    assert!(after.session > before.session && after.facts.started > before.facts.started);
    assert!(after.facts.started.as_second() - before.facts.started.as_second() >= 5);
    assert_eq!(probed(probe, "/readyz").await, 200);
}

#[tokio::test]
async fn a_network_cut_breaks_the_connection_and_a_silent_one_does_not_answer() {
    let (mut gateway, site, mut session) = connected(USER).await;
    site.causes(&format!("{USER}network: {{connected: false}}\n"));
    assert_eq!(session.next().await, None);
    site.logged("network link is down").await;
    assert!(!gateway.has_session());
    site.causes(USER);
    let mut session = gateway.session().await;
    session.greet().await;
    site.logged("network link is up").await;
    site.causes(&format!("{USER}systemName: Deaf\nnetwork: {{connected: false, silent: true}}\n"));
    soon("the cut", async {
        let mut ticks = tokio::time::interval(Duration::from_millis(10));
        while site.log().matches("network link is down").count() < 2 {
            ticks.tick().await;
        }
    })
    .await;
    session.ping().await;
    let heard = tokio::time::timeout(Duration::from_millis(300), session.frame()).await;
    assert!(heard.is_err(), "nothing comes, not even an answer to a ping: {heard:?}");
    site.causes(&format!("{USER}systemName: Back\n"));
    let Some(FromSystem::Report(facts)) = session.next().await else { panic!("the session goes on") };
    assert_eq!(facts.system_name, "Back");
}

#[tokio::test]
async fn silence_or_a_close_of_com_leads_to_a_new_session() {
    let mut gateway = TestGateway::start().await;
    let mut site = Site::new(&gateway, USER);
    site.options.offline_after = Duration::from_secs(2);
    site.start();
    let mut silent = gateway.session().await;
    silent.greet().await;
    let mut second = gateway.session().await;
    second.greet().await;
    site.logged("nothing was heard of COM").await;
    let message = "the gateway goes down".to_owned();
    second.send(&FromGateway::Close { reason: CloseReason::GoingAway, message }).await;
    gateway.session().await.greet().await;
    site.logged("GoingAway").await;
}

#[tokio::test]
async fn a_slow_network_delays_and_a_useless_one_carries_nothing() {
    let (mut gateway, site, mut session) = connected(&format!("{USER}network: {{latencyMilliseconds: 30}}\n")).await;
    let before = std::time::Instant::now();
    assert_eq!(session.sign_in("right").await, accepted());
    assert!(before.elapsed() >= Duration::from_millis(4 * 30), "four messages, 30 ms each");
    site.causes(&format!("{USER}systemName: Lost\nnetwork: {{lossPercent: 100}}\n"));
    assert_eq!(session.next().await, None, "the report never arrives");
    assert!(!gateway.has_session());
}

#[tokio::test]
async fn a_disk_that_is_damaged_or_in_use_ends_the_program_with_its_own_code() {
    let gateway = TestGateway::start().await;
    let mut site = Site::new(&gateway, USER);
    site.start();
    site.logged("started at").await;
    let in_use = simulator::run(site.arguments(), tokio_util::sync::CancellationToken::new()).await.unwrap_err();
    assert_eq!(in_use.exit_code(), 3);
    site.stop().await;
    let path = site.disk().join("state.json");
    std::fs::write(&path, "{\"format\":1").unwrap();
    let damaged = simulator::run(site.arguments(), tokio_util::sync::CancellationToken::new()).await.unwrap_err();
    assert_eq!(damaged.exit_code(), 2);
    assert!(damaged.to_string().contains("state.json is damaged"), "{damaged}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"format\":1");
}

async fn probed(address: std::net::SocketAddr, path: &str) -> u16 {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: probe\r\n\r\n").as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text.split(' ').nth(1).unwrap().parse().unwrap()
}
