#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use super::*;
use crate::testing::Folder;

fn sources(folder: &Folder) -> Sources {
    let at = |name: &str| folder.path().join(name);
    for name in ["subscription", "passwords"] {
        std::fs::create_dir(at(name)).unwrap();
    }
    std::fs::write(at("causes"), "serviceUsers: [{name: COMAdmin, passwordSecretKey: com}]").unwrap();
    Sources { causes: at("causes"), subscription: at("subscription"), passwords: at("passwords") }
}

#[test]
fn a_missing_file_of_the_subscription_is_named_until_all_are_there() {
    let folder = Folder::new();
    let sources = sources(&folder);
    for (name, value) in [("gateway", "https://127.0.0.1:8443\n"), ("ca.crt", "PEM"), ("customerId", "acme\n"), ("systemId", "hq")] {
        let missing = read(&sources, None).unwrap().subscription.unwrap_err();
        assert!(missing.contains(name), "{missing}");
        std::fs::write(sources.subscription.join(name), value).unwrap();
    }
    let subscription = read(&sources, None).unwrap().subscription.unwrap();
    assert_eq!(subscription.gateway, GatewayAddress { host: "127.0.0.1".into(), port: 8443 });
    assert_eq!((subscription.system_id.as_str(), subscription.enrolment_code), ("hq", None));
    std::fs::remove_file(sources.subscription.join("systemId")).unwrap();
    std::fs::write(&sources.causes, "systemId: branch").unwrap();
    assert_eq!(read(&sources, None).unwrap().subscription.unwrap().system_id.as_str(), "branch");
}

#[test]
fn causes_that_cannot_be_read_leave_the_last_good_ones_and_say_why() {
    let folder = Folder::new();
    let sources = sources(&folder);
    let good = read(&sources, None).unwrap().causes;
    for broken in ["systemName: [", "colour: Green"] {
        std::fs::write(&sources.causes, broken).unwrap();
        let inputs = read(&sources, Some(&good)).unwrap();
        assert_eq!(inputs.causes, good);
        assert!(inputs.problems[0].contains("last good causes"), "{:?}", inputs.problems);
        assert!(read(&sources, None).unwrap_err().contains("starts once"));
    }
    std::fs::remove_file(&sources.causes).unwrap();
    assert_eq!(read(&sources, Some(&good)).unwrap().causes, good);
}

#[test]
fn a_password_is_its_file_without_the_last_line_break() {
    let folder = Folder::new();
    let sources = sources(&folder);
    assert!(read(&sources, None).unwrap().problems[0].contains("password com"));
    std::fs::write(sources.passwords.join("com"), "s ecret \n").unwrap();
    let inputs = read(&sources, None).unwrap();
    assert_eq!(inputs.passwords["com"], Secret::new("s ecret "));
    assert!(inputs.problems.is_empty());
}

#[test]
fn only_addresses_of_a_gateway_are_taken() {
    for good in ["https://com.example.org:8443", "wss://com.example.org:8443/"] {
        assert_eq!(GatewayAddress::parse(good).unwrap().host, "com.example.org");
    }
    assert_eq!(GatewayAddress::parse("https://[::1]:1").unwrap(), GatewayAddress { host: "::1".into(), port: 1 });
    assert_eq!(GatewayAddress::parse("https://a").unwrap().port, 443);
    for bad in ["http://a:1", "a:1", "", "https://a/path", "https://"] {
        assert!(GatewayAddress::parse(bad).unwrap_err().contains("for example"), "{bad}");
    }
}

#[tokio::test]
async fn a_swapped_symbolic_link_is_seen() {
    let folder = Folder::new();
    let mut sources = sources(&folder);
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("v1"), "systemName: One").unwrap();
    std::fs::write(at("v2"), "systemName: Two").unwrap();
    std::os::unix::fs::symlink(at("v1"), at("link")).unwrap();
    sources.causes = at("link");
    let (publish, mut inputs) = watch::channel(Arc::new(read(&sources, None).unwrap()));
    let following = tokio::spawn(follow(sources, Duration::from_millis(5), publish));
    std::os::unix::fs::symlink(at("v2"), at("next")).unwrap();
    std::fs::rename(at("next"), at("link")).unwrap();
    tokio::time::timeout(Duration::from_secs(10), inputs.changed()).await.unwrap().unwrap();
    assert_eq!(inputs.borrow().causes.system_name.as_deref(), Some("Two"));
    drop(inputs);
    tokio::time::timeout(Duration::from_secs(10), following).await.unwrap().unwrap();
}
