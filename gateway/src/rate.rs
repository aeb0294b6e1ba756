//! How often something may happen, in fixed memory.

use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::options::Rate;

/// Places that one key may take in a table.
const WAYS: usize = 8;

/// A bucket of tokens, kept as the moment at which it will be full again (the generic cell rate algorithm): nanoseconds since some start.
#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    full_at: u64,
}

impl Bucket {
    fn take(&mut self, rate: Rate, count: u32, now: u64) -> Result<(), Duration> {
        let interval = nanoseconds(rate.interval);
        let full_at = self.full_at.max(now) + interval * u64::from(count);
        let latest = now + interval * u64::from(rate.burst.max(count));
        if full_at > latest {
            return Err(Duration::from_nanos(full_at - latest));
        }
        self.full_at = full_at;
        Ok(())
    }

    fn give_back(&mut self, rate: Rate) {
        self.full_at = self.full_at.saturating_sub(nanoseconds(rate.interval));
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 1_000_000)
}

/// One rate, for one owner.
#[derive(Debug)]
pub(crate) struct Meter {
    rate: Rate,
    bucket: Bucket,
    start: Instant,
}

impl Meter {
    pub(crate) fn new(rate: Rate) -> Self {
        Self { rate, bucket: Bucket::default(), start: Instant::now() }
    }

    /// Takes `count` at once, or says how long to wait for them.
    pub(crate) fn take(&mut self, count: u32) -> Result<(), Duration> {
        self.bucket.take(self.rate, count, nanoseconds(self.start.elapsed()))
    }

    fn give_back(&mut self) {
        self.bucket.give_back(self.rate);
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Place {
    key: u64,
    bucket: Bucket,
}

/// One rate for each of many keys, in a table that never grows: a key has eight places it may take, and the one that has waited longest makes room.
#[derive(Debug)]
pub(crate) struct MeterTable {
    rate: Rate,
    places: Mutex<Box<[Place]>>,
    hasher: RandomState,
    start: Instant,
}

impl MeterTable {
    pub(crate) fn new(rate: Rate, places: usize) -> Self {
        let places = places.next_multiple_of(WAYS).max(WAYS);
        Self {
            rate,
            places: Mutex::new(vec![Place::default(); places].into_boxed_slice()),
            hasher: RandomState::new(),
            start: Instant::now(),
        }
    }

    /// Takes one for the key, or says how long to wait for it.
    pub(crate) fn take(&self, key: &impl Hash) -> Result<(), Duration> {
        let now = nanoseconds(self.start.elapsed());
        self.with_place(key, |place, rate| place.bucket.take(rate, 1, now))
    }

    /// Takes it back: what it was taken for is not held against the key.
    pub(crate) fn give_back(&self, key: &impl Hash) {
        self.with_place(key, |place, rate| place.bucket.give_back(rate));
    }

    fn with_place<T>(&self, key: &impl Hash, act: impl FnOnce(&mut Place, Rate) -> T) -> T {
        let key = self.hasher.hash_one(key);
        let mut places = self.places.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let sets = places.len() / WAYS;
        let first = usize::try_from(key % sets as u64).unwrap_or_default() * WAYS;
        let set = &mut places[first..first + WAYS];
        let at = set.iter().position(|place| place.key == key).unwrap_or_else(|| {
            let oldest = (0..WAYS).min_by_key(|at| set[*at].bucket.full_at).unwrap_or_default();
            set[oldest] = Place { key, bucket: Bucket::default() };
            oldest
        });
        act(&mut set[at], self.rate)
    }

    /// Bytes of the table.
    #[cfg(test)]
    pub(crate) fn size(&self) -> usize {
        std::mem::size_of_val::<[Place]>(&self.places.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

/// A rate that many share.
#[derive(Debug)]
pub(crate) struct SharedMeter(Mutex<Meter>);

impl SharedMeter {
    pub(crate) fn new(rate: Rate) -> Self {
        Self(Mutex::new(Meter::new(rate)))
    }

    pub(crate) fn take(&self) -> Result<(), Duration> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take(1)
    }

    pub(crate) fn give_back(&self) {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).give_back();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const RATE: Rate = Rate { burst: 3, interval: Duration::from_secs(100) };

    #[test]
    fn a_burst_passes_and_then_the_wait_is_said() {
        let mut meter = Meter::new(RATE);
        assert!((0..3).all(|_| meter.take(1).is_ok()));
        let wait = meter.take(1).unwrap_err();
        assert!(wait > Duration::from_secs(90) && wait <= Duration::from_secs(100), "{wait:?}");
        meter.give_back();
        meter.take(1).unwrap();
    }

    #[test]
    fn ten_thousand_keys_take_no_more_room_than_one_and_the_guiltiest_stays() {
        let table = MeterTable::new(RATE, 64);
        let before = table.size();
        for _ in 0..3 {
            table.take(&"guilty").unwrap();
        }
        for key in 0..10_000 {
            let _ = table.take(&key);
            // Those who came once make room for each other; who came three times keeps the place.
            assert!(table.take(&"guilty").is_err(), "after {key}");
        }
        assert_eq!((table.size(), before), (64 * 16, 64 * 16));
    }
}
