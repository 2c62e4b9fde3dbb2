//! Time that a suite can let pass.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use shared::ports::{Clock, SystemClock};

/// How a suite lets time pass for the adapter under test.
pub trait Time {
    fn now(&self) -> Timestamp;
    fn advance(&self, duration: Duration) -> impl Future<Output = ()>;
}

/// Waits for real: for parts whose clock nobody can turn.
impl Time for SystemClock {
    fn now(&self) -> Timestamp {
        Clock::now(self)
    }

    async fn advance(&self, duration: Duration) {
        self.sleep(duration).await;
    }
}

/// A clock that stands until it is advanced. Clones are the same clock.
#[derive(Debug, Clone)]
pub struct TestClock {
    ms: Arc<AtomicI64>,
    advanced: Arc<tokio::sync::Notify>,
}

impl TestClock {
    pub fn at(now: Timestamp) -> Self {
        Self { ms: Arc::new(AtomicI64::new(now.as_millisecond())), advanced: Arc::default() }
    }
}

impl Default for TestClock {
    fn default() -> Self {
        Self::at(Timestamp::constant(1_800_000_000, 0))
    }
}

impl Time for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.ms.load(Ordering::SeqCst)).expect("a test does not run out of time")
    }

    async fn advance(&self, duration: Duration) {
        let ms = i64::try_from(duration.as_millis()).expect("a test does not run out of time");
        self.ms.fetch_add(ms, Ordering::SeqCst);
        self.advanced.notify_waiters();
        tokio::task::yield_now().await;
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Time::now(self)
    }

    async fn sleep(&self, duration: Duration) {
        let until = Time::now(self) + duration;
        loop {
            let mut advanced = std::pin::pin!(self.advanced.notified());
            advanced.as_mut().enable();
            if Time::now(self) >= until {
                return;
            }
            advanced.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn who_sleeps_wakes_when_the_clock_was_advanced_far_enough() {
        let clock = TestClock::default();
        let mut sleeping = std::pin::pin!(clock.sleep(Duration::from_secs(10)));
        assert!((&mut sleeping).now_or_never().is_none());
        clock.advance(Duration::from_secs(9)).await;
        assert!((&mut sleeping).now_or_never().is_none());
        clock.advance(Duration::from_secs(1)).await;
        sleeping.await;
    }
}
