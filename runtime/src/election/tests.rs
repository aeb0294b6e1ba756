#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::*;

/// A server with one Lease, that can be away, and that can do what it is asked and lose the answer.
#[derive(Clone, Default)]
pub(crate) struct Server(Arc<Mutex<State>>);

#[derive(Default)]
pub(crate) struct State {
    lease: Option<Lease>,
    version: u64,
    writes: u64,
    away: bool,
    stands_still: bool,
    loses_answers: bool,
    /// The next write is done after this.
    slow: Option<Duration>,
}

impl Server {
    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.0.lock().unwrap())
    }

    pub(crate) fn stand_still(&self, stands_still: bool) {
        self.with(|state| state.stands_still = stands_still);
    }

    pub(crate) fn holder(&self) -> String {
        self.with(|state| state.lease.as_ref().and_then(|lease| lease.spec.as_ref()?.holder_identity.clone()).unwrap_or_default())
    }

    async fn answers(&self) -> Result<(), LeaseError> {
        let asked = Instant::now();
        while self.with(|state| state.stands_still) {
            sleep(Duration::from_millis(10)).await;
            // As whoever asks the API server does: see `ApiLease`.
            if asked.elapsed() > TIMING.retry * 2 {
                return Err(LeaseError::Unavailable("no answer".into()));
            }
        }
        if self.with(|state| state.away) { Err(LeaseError::Unavailable("away".into())) } else { Ok(()) }
    }

    async fn writes(&self) -> Result<(), LeaseError> {
        self.answers().await?;
        if let Some(slow) = self.with(|state| state.slow.take()) {
            sleep(slow).await;
        }
        Ok(())
    }

    fn put(state: &mut State, lease: &Lease) -> Result<Lease, LeaseError> {
        state.version += 1;
        state.writes += 1;
        let mut lease = lease.clone();
        lease.metadata.resource_version = Some(state.version.to_string());
        state.lease = Some(lease.clone());
        if state.loses_answers { Err(LeaseError::Unavailable("the answer is lost".into())) } else { Ok(lease) }
    }
}

#[async_trait]
impl Leases for Server {
    async fn read(&self) -> Result<Option<Lease>, LeaseError> {
        self.answers().await?;
        Ok(self.with(|state| state.lease.clone()))
    }
    async fn create(&self, lease: &Lease) -> Result<Lease, LeaseError> {
        self.writes().await?;
        self.with(|state| if state.lease.is_some() { Err(LeaseError::Overtaken) } else { Self::put(state, lease) })
    }
    async fn replace(&self, lease: &Lease) -> Result<Lease, LeaseError> {
        self.writes().await?;
        self.with(|state| {
            let present = state.lease.as_ref().and_then(|lease| lease.metadata.resource_version.clone());
            if present == lease.metadata.resource_version { Self::put(state, lease) } else { Err(LeaseError::Overtaken) }
        })
    }
}

/// Three fifths of the real waits: between those that must not overlap there are three seconds, which also a busy machine keeps to.
pub(crate) const TIMING: Timing =
    Timing { lease: Duration::from_secs(9), renew_within: Duration::from_secs(6), retry: Duration::from_millis(1200) };

fn candidate(server: &Server, identity: &str) -> (Elector<Server>, Fence) {
    (Elector::new(server.clone(), "switchboard", identity, TIMING), Fence::closed())
}

/// A window of observation.
async fn watch(length: Duration) {
    sleep(length).await;
}

#[tokio::test]
async fn one_leads_and_the_other_takes_over_once_it_has_seen_no_renewal_for_the_whole_time() {
    let server = Server::default();
    let (mut one, fence_one) = candidate(&server, "one");
    let (mut two, fence_two) = candidate(&server, "two");
    assert_eq!(one.acquire(&fence_one).await, 1);
    let holding = tokio::spawn(async move { one.hold(&Fence::closed()).await });
    let waiting = tokio::spawn(async move { (two.acquire(&fence_two).await, fence_two.check()) });
    watch(2 * TIMING.lease).await;
    assert!(!waiting.is_finished(), "a Lease that is renewed is not taken");
    // Killed: nothing is released.
    holding.abort();
    let died = Instant::now();
    assert_eq!(waiting.await.unwrap(), (2, Ok(2)), "the term has grown");
    let took = died.elapsed();
    assert!((TIMING.lease - 2 * TIMING.retry..2 * TIMING.lease).contains(&took), "{took:?}");
    assert_eq!(server.holder(), "two");
}

#[tokio::test]
async fn terms_grow_also_where_the_lease_is_deleted_or_made_anew_by_one_that_knows_nothing() {
    let server = Server::default();
    let remove = || server.with(|state| state.lease = None);
    let (mut one, fence_one) = candidate(&server, "one");
    let (mut two, fence_two) = candidate(&server, "two");
    assert_eq!(one.acquire(&fence_one).await, 1);
    remove();
    assert_eq!(one.acquire(&fence_one).await, 2, "who led counts on");
    assert!(matches!(two.attempt(&fence_two).await.unwrap(), Try::HeldBy(_)));
    remove();
    assert_eq!(two.acquire(&fence_two).await, 3, "who only looked on, too");
    remove();
    let (mut three, fence_three) = candidate(&server, "three");
    assert_eq!(three.acquire(&fence_three).await, 1);
    three.release(&fence_three).await;
    assert_eq!(two.acquire(&fence_two).await, 4);
}

#[tokio::test]
async fn a_leader_that_cannot_renew_stops_before_another_may_begin() {
    let server = Server::default();
    let (mut one, fence) = candidate(&server, "one");
    one.acquire(&fence).await;
    let (mut two, fence_two) = candidate(&server, "two");
    let two = tokio::spawn(async move {
        two.acquire(&fence_two).await;
        Instant::now()
    });
    for stands_still in [false, true] {
        let began = Instant::now();
        server.with(|state| (state.away, state.stands_still) = (!stands_still, stands_still));
        assert!(matches!(one.hold(&fence).await, Lost::NotRenewed { .. }));
        assert!(began.elapsed() < TIMING.lease, "stopped after {:?}", began.elapsed());
        server.with(|state| (state.away, state.stands_still) = (false, false));
        fence.close();
        assert!(!two.is_finished());
        // It stands again, and is still the holder: nobody else was there in time.
        assert_eq!(one.acquire(&fence).await, 1);
    }
    // Now it is the server's answers alone that the leader does not get: the other one does.
    one.leases = Server::default();
    one.leases.with(|state| state.away = true);
    let began = Instant::now();
    assert!(matches!(one.hold(&fence).await, Lost::NotRenewed { .. }));
    sleep_until(began + TIMING.renew_within).await;
    assert!(!fence.is_open(), "the fence closes by itself");
    let stopped = began.elapsed();
    let took = two.await.unwrap() - began;
    assert!(stopped < took, "stopped after {stopped:?}, the other began after {took:?}");
}

#[tokio::test]
async fn a_leader_that_took_the_lease_slowly_gives_up_before_its_fence_closes() {
    let server = Server::default();
    let (mut one, fence) = candidate(&server, "one");
    // Half: its tries are a second apart, and so the last one is as long before the fence closes as it can be.
    server.with(|state| state.slow = Some(TIMING.renew_within / 2));
    one.acquire(&fence).await;
    server.with(|state| state.away = true);
    assert!(matches!(one.hold(&fence).await, Lost::NotRenewed { .. }));
    assert!(fence.is_open(), "it acted on although it led no more");
}

#[tokio::test]
async fn a_lease_that_was_taken_too_slowly_to_lead_is_renewed_first() {
    let server = Server::default();
    let (mut one, fence) = candidate(&server, "one");
    server.with(|state| state.slow = Some(TIMING.renew_within * 11 / 10));
    assert_eq!(one.acquire(&fence).await, 1);
    assert!(fence.is_open());
    assert_eq!(server.with(|state| state.writes), 2);
}

#[tokio::test]
async fn a_renewal_whose_answer_is_lost_is_found_out_to_be_our_own() {
    let server = Server::default();
    let (mut one, fence) = candidate(&server, "one");
    one.acquire(&fence).await;
    let holding = tokio::spawn(async move { (one.hold(&fence).await, fence) });
    server.with(|state| state.loses_answers = true);
    watch(TIMING.renew_within / 2).await;
    server.with(|state| state.loses_answers = false);
    let before = server.with(|state| state.writes);
    watch(2 * TIMING.renew_within).await;
    assert!(!holding.is_finished());
    assert!(server.with(|state| state.writes) > before + 3);
}

#[tokio::test]
async fn a_leader_whose_lease_was_taken_stops_at_once() {
    let server = Server::default();
    let (mut one, fence) = candidate(&server, "one");
    one.acquire(&fence).await;
    server.with(|state| {
        let mut lease = state.lease.clone().unwrap();
        lease.spec.as_mut().unwrap().holder_identity = Some("thief".into());
        Server::put(state, &lease).unwrap();
    });
    assert_eq!(one.hold(&fence).await, Lost::Taken("thief".into()));
}

#[tokio::test]
async fn what_is_released_is_taken_at_the_next_look() {
    let server = Server::default();
    let (mut one, fence_one) = candidate(&server, "one");
    let (mut two, fence_two) = candidate(&server, "two");
    one.acquire(&fence_one).await;
    let two = tokio::spawn(async move { two.acquire(&fence_two).await });
    watch(TIMING.retry).await;
    let released = Instant::now();
    one.release(&fence_one).await;
    assert!(!fence_one.is_open());
    assert_eq!(two.await.unwrap(), 2);
    assert!(released.elapsed() < TIMING.lease, "{:?}", released.elapsed());
}

#[tokio::test]
async fn of_many_candidates_never_two_lead_at_a_time() {
    let server = Server::default();
    let fences: Vec<Fence> = (0..5).map(|_| Fence::closed()).collect();
    // Faster than elsewhere: it must hold at every moment, so no margin is needed, and in the same time there are more terms.
    let timing = Timing { lease: TIMING.lease / 3, renew_within: TIMING.renew_within / 3, retry: TIMING.retry / 3 };
    let mut running = Vec::new();
    for (number, fence) in fences.iter().cloned().enumerate() {
        let server = server.clone();
        running.push(tokio::spawn(async move {
            let mut elector = Elector::new(server, "switchboard", format!("{number}"), timing);
            loop {
                elector.acquire(&fence).await;
                elector.hold(&fence).await;
                fence.close();
            }
        }));
    }
    let mut terms = std::collections::BTreeSet::new();
    for tick in 0..2000_u64 {
        sleep(Duration::from_millis(10)).await;
        // Every seven seconds the server is away for half of them; every other time it stands still.
        let bad = tick % 700 > 350;
        server.with(|state| (state.away, state.stands_still) = (bad && tick % 1400 < 700, bad && tick % 1400 >= 700));
        let leading: Vec<u64> = fences.iter().filter_map(|fence| fence.check().ok()).collect();
        assert!(leading.len() <= 1, "two lead at {tick}: {leading:?}");
        terms.extend(leading);
    }
    assert!(!terms.is_empty());
    running.iter().for_each(tokio::task::JoinHandle::abort);
}
