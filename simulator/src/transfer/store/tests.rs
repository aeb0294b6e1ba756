#![allow(clippy::unwrap_used, reason = "tests")]
use super::*;

fn target(url: &str) -> Result<Target, StoreFailure> {
    Target::of(&PresignedRequest { method: "PUT".into(), url: Secret::new(url), headers: [].into() })
}

#[test]
fn a_target_is_known_by_what_it_is_for_not_by_its_signature() {
    let identity = |url: &str| target(url).unwrap().identity();
    let one = identity("https://s3:9000/b/k?partNumber=1&uploadId=u&X-Amz-Date=1&X-Amz-Signature=a");
    assert_eq!(one, identity("https://s3:9000/b/k?X-Amz-Signature=b&uploadId=u&partNumber=1&x-amz-date=2"));
    for other in [
        "https://s3:9000/b/k?partNumber=2&uploadId=u",
        "https://s3:9000/b/k?partNumber=1&uploadId=v",
        "https://s4:9000/b/k?partNumber=1&uploadId=u",
    ] {
        assert_ne!(one, identity(other), "{other}");
    }
}

#[test]
fn nothing_of_a_url_but_its_host_is_shown() {
    let shown = format!("{:?}", target("https://[::1]:9000/bucket/key?X-Amz-Signature=secret").unwrap());
    assert_eq!(shown, "[::1]:9000");
    for bad in ["ftp://host/secret", "secret", "https:///secret", "", "/secret"] {
        let failure = target(bad).unwrap_err();
        assert!(failure.status.is_none() && !failure.message.contains("secret"), "{failure:?}");
    }
}

#[test]
fn only_a_plain_code_is_taken_from_a_refusal() {
    assert_eq!(code_in("<?xml?><Error><Code>AccessDenied</Code><StringToSign>secret</StringToSign></Error>"), "AccessDenied");
    for text in ["", "<Code>", "<Code>a b</Code>", "<html>403</html>"] {
        assert_eq!(code_in(text), "");
    }
    assert_eq!(code_in(&format!("<Code>{}</Code>", "a".repeat(65))), "");
}

#[test]
fn an_authority_that_is_none_is_named() {
    let dialer = Dialer::new(Some("no PEM".to_owned()), &SystemClock::new(Arc::new(crate::clock::MachineClock), 0));
    assert!(dialer.tls.unwrap_err().message.contains("no certificate in PEM"));
}
