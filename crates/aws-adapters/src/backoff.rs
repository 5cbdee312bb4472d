//! Waiting between tries: exponential, capped, with full jitter, so that many workers that were slowed down together
//! do not come back together.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

/// How often, and how far apart, something is tried again.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    tries_left: u32,
    ceiling: Duration,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(50);
    const CAP: Duration = Duration::from_secs(3);

    /// This many tries after the first.
    pub(crate) fn tries(tries: u32) -> Self {
        Self { tries_left: tries, ceiling: Self::FIRST }
    }

    /// Waits before the next try; `false`, at once, when none is left.
    pub(crate) async fn wait(&mut self) -> bool {
        if self.tries_left == 0 {
            return false;
        }
        self.tries_left -= 1;
        tokio::time::sleep(self.delay()).await;
        true
    }

    fn delay(&mut self) -> Duration {
        let ceiling = self.ceiling;
        self.ceiling = (ceiling * 2).min(Self::CAP);
        // A fresh `RandomState` is keyed at random: enough to spread workers, and no dependency.
        let random = u128::from(RandomState::new().hash_one(()));
        let nanos = (ceiling.as_nanos() * random) >> u64::BITS;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tries_end() {
        let mut backoff = Backoff::tries(2);
        assert!(backoff.wait().await && backoff.wait().await);
        assert!(!backoff.wait().await);
    }

    #[test]
    fn delays_grow_to_the_cap_and_are_spread() {
        let mut backoff = Backoff::tries(100);
        let delays: Vec<_> = (0..60).map(|_| (backoff.ceiling, backoff.delay())).collect();
        assert!(delays.iter().all(|(ceiling, delay)| delay <= ceiling && *ceiling <= Backoff::CAP));
        let (low, high): (Vec<_>, Vec<_>) =
            delays.into_iter().skip(20).partition(|(_, delay)| *delay < Backoff::CAP / 2);
        assert!(!low.is_empty() && !high.is_empty(), "{low:?} {high:?}");
    }
}
