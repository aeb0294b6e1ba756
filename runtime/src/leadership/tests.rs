#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use prometheus::Registry;

use super::*;
use crate::election::tests::{Server, TIMING};

struct Scene {
    server: Server,
    fence: Fence,
    begun: Arc<AtomicUsize>,
    finished: Arc<AtomicUsize>,
    shutdown: CancellationToken,
}

impl Scene {
    fn new() -> Self {
        let count = Arc::<AtomicUsize>::default;
        Self { server: Server::default(), fence: Fence::closed(), begun: count(), finished: count(), shutdown: CancellationToken::new() }
    }

    /// Leads with work that ends when it is asked to; `by_itself`: at once.
    fn lead(&self, by_itself: bool) -> tokio::task::JoinHandle<Result<(), WorkError>> {
        let (fence, shutdown) = (self.fence.clone(), self.shutdown.clone());
        let (begun, finished) = (Arc::clone(&self.begun), Arc::clone(&self.finished));
        let elector = Elector::new(self.server.clone(), "switchboard", "one", TIMING);
        tokio::spawn(async move {
            let watchdog = Watchdog::start(fence.clone()).unwrap();
            let metrics = LeaderMetrics::register(&Registry::new(), fence.clone()).unwrap();
            let work = |stop: CancellationToken| {
                let (begun, finished) = (Arc::clone(&begun), Arc::clone(&finished));
                async move {
                    begun.fetch_add(1, Ordering::SeqCst);
                    if !by_itself {
                        stop.cancelled().await;
                    }
                    finished.fetch_add(1, Ordering::SeqCst);
                }
            };
            run(elector, &fence, &watchdog, &metrics, work, shutdown).await
        })
    }

    async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let began = std::time::Instant::now();
        while !holds(self) {
            assert!(began.elapsed() < Duration::from_secs(20), "{what}: not in time");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

fn count(counter: &AtomicUsize) -> usize {
    counter.load(Ordering::SeqCst)
}

#[tokio::test]
async fn work_is_dropped_with_the_leadership_and_begun_anew_with_the_next() {
    let scene = Scene::new();
    let leading = scene.lead(false);
    scene.until("the work begins", |scene| count(&scene.begun) == 1).await;
    assert!(scene.fence.is_open());
    scene.server.stand_still(true);
    scene.until("the fence closes", |scene| !scene.fence.is_open()).await;
    scene.server.stand_still(false);
    scene.until("the work begins anew", |scene| count(&scene.begun) == 2).await;
    assert_eq!(count(&scene.finished), 0, "nobody asked it to end: it was dropped");
    leading.abort();
}

#[tokio::test]
async fn at_a_shutdown_the_work_ends_in_order_and_then_the_lease_is_given_away() {
    let scene = Scene::new();
    let leading = scene.lead(false);
    scene.until("the work begins", |scene| count(&scene.begun) == 1).await;
    scene.shutdown.cancel();
    leading.await.unwrap().unwrap();
    assert_eq!((count(&scene.finished), scene.server.holder().as_str()), (1, ""));
    assert!(!scene.fence.is_open());
}

#[tokio::test]
async fn work_that_ends_by_itself_is_a_fault() {
    let scene = Scene::new();
    let ended = scene.lead(true).await.unwrap();
    assert!(matches!(ended, Err(WorkError::Ended)), "{ended:?}");
    assert!(!scene.fence.is_open());
}
