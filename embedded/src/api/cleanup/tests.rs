#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::*;

async fn soon(future: impl Future<Output = ()>) {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("it did not end within twenty seconds");
}

#[tokio::test]
async fn a_failed_clean_up_is_tried_again() {
    let mut attempts = 0;
    let attempt = || {
        attempts += 1;
        std::future::ready(if attempts < 3 { Err(Status::internal("not yet")) } else { Ok(()) })
    };
    soon(persist("lamps", &Notify::new(), attempt)).await;
    assert_eq!(attempts, 3);
}

#[tokio::test]
async fn a_clean_up_ends_with_the_store() {
    soon(persist("lamps", &Notify::new(), || std::future::ready(Err(closed())))).await;
}
