//! Time and chance.

use std::time::Duration;

use jiff::Timestamp;

/// Wall-clock time. On Lambda the process is frozen between invocations, so only the wall clock tells whether a token
/// still lives.
pub trait Clock: Send + Sync + 'static {
    fn now(&self) -> Timestamp;
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send;

    /// `None` if `work` is not done within `limit`.
    fn timeout<F: Future + Send>(&self, limit: Duration, work: F) -> impl Future<Output = Option<F::Output>> + Send {
        async move {
            tokio::select! {
                biased;
                output = work => Some(output),
                () = self.sleep(limit) => None,
            }
        }
    }
}

/// Randomness: jitter, nonces, ids.
pub trait Chance: Send + Sync + 'static {
    /// Unpredictable bytes, good enough for a nonce.
    fn bytes<const N: usize>(&self) -> [u8; N];

    /// A share of `whole` in `[0, whole)`, evenly.
    fn share(&self, whole: Duration) -> Duration {
        let share = f64::from(u32::from_be_bytes(self.bytes())) / (f64::from(u32::MAX) + 1.0);
        whole.mul_f64(share)
    }
}

/// The machine's own clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// The operating system's random numbers.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemChance;

impl Chance for SystemChance {
    fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        // Without randomness a nonce would repeat; stopping is the only safe answer.
        getrandom::fill(&mut bytes).expect("the operating system gives random numbers");
        bytes
    }
}
