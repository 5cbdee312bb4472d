//! The laws of [`Links`].

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::{Clock, Links, Location, StorageError};

/// All laws, for objects (there or not) in `bucket`, for a signer whose credentials live for less than a month.
pub async fn links(links: &dyn Links, clock: &dyn Clock, bucket: &str) {
    a_link_tells_when_it_expires(links, clock, bucket).await;
    a_link_never_outlives_its_signer(links, clock, bucket).await;
    each_object_has_its_own_link(links, bucket).await;
    a_link_without_a_life_is_refused(links, bucket).await;
}

async fn sign(links: &dyn Links, bucket: &str, key: &str, lifetime: Duration) -> crate::Link {
    links.sign(&Location::new(bucket, key), lifetime).await.unwrap()
}

/// A link lives for as long as was asked, to the second, and never longer than it says.
async fn a_link_tells_when_it_expires(links: &dyn Links, clock: &dyn Clock, bucket: &str) {
    let lifetime = Duration::from_secs(300);
    let before = clock.now();
    let link = sign(links, bucket, "object", lifetime).await;
    let slack = SignedDuration::from_secs(1);
    assert!(link.expires_at >= before + lifetime - slack, "{} is before {before} and {lifetime:?}", link.expires_at);
    assert!(link.expires_at <= clock.now() + lifetime);
}

/// A life longer than that of the signer's credentials is cut there.
async fn a_link_never_outlives_its_signer(links: &dyn Links, clock: &dyn Clock, bucket: &str) {
    let month = Duration::from_secs(30 * 24 * 3600);
    let link = sign(links, bucket, "object", month).await;
    let latest: Timestamp = clock.now() + Duration::from_secs(7 * 24 * 3600);
    assert!(link.expires_at <= latest, "{} is later than a signature can live", link.expires_at);
}

/// Links to two objects differ.
async fn each_object_has_its_own_link(links: &dyn Links, bucket: &str) {
    let lifetime = Duration::from_secs(60);
    let (a, b) = (sign(links, bucket, "a b+c", lifetime).await, sign(links, bucket, "a b c", lifetime).await);
    assert_ne!(a.url, b.url);
}

/// A link that would be dead at once is `Invalid`.
async fn a_link_without_a_life_is_refused(links: &dyn Links, bucket: &str) {
    let refused = links.sign(&Location::new(bucket, "object"), Duration::ZERO).await;
    assert!(matches!(refused, Err(StorageError::Invalid { .. })), "{refused:?}");
}
