//! The laws of [`Cache`].

use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;

use super::{ODD, check, noise};
use crate::Cache;

/// All laws, for a cache that is up, under keys that begin with `prefix`. `pass` lets time pass for it.
pub async fn cache(cache: &dyn Cache, prefix: &str, pass: &(dyn Fn(Duration) -> BoxFuture<'static, ()> + Sync)) {
    let space = Space(prefix.to_owned());
    check!(cache, space =>
        values_come_in_the_order_of_the_keys,
        the_last_value_put_is_kept,
        odd_keys_and_any_bytes_are_kept,
        many_entries_are_kept,
        nothing_asked_is_nothing_told,
    );
    entries_expire(cache, &space.below("entries_expire"), pass).await;
}

struct Space(String);

impl Space {
    fn below(&self, name: &str) -> Self {
        Self(self.key(name))
    }

    fn key(&self, name: &str) -> String {
        format!("{}/{name}", self.0)
    }

    fn entries(&self, pairs: &[(&str, &str)]) -> Vec<(String, Bytes)> {
        pairs.iter().map(|(name, value)| (self.key(name), Bytes::from((*value).to_owned()))).collect()
    }
}

const LONG: Duration = Duration::from_secs(600);

/// Values stand where their keys stand, absent ones between them, doubles twice.
async fn values_come_in_the_order_of_the_keys(cache: &dyn Cache, space: &Space) {
    cache.put_many(space.entries(&[("a", "1"), ("b", "2"), ("c", "")]), LONG).await.unwrap();
    let keys = ["c", "none", "a", "b", "a"].map(|name| space.key(name));
    let found = cache.get_many(&keys).await.unwrap();
    let expected = [Some(""), None, Some("1"), Some("2"), Some("1")];
    assert_eq!(found, expected.map(|value| value.map(Bytes::from)));
}

/// A later value takes the place of an earlier one, also within one call.
async fn the_last_value_put_is_kept(cache: &dyn Cache, space: &Space) {
    cache.put_many(space.entries(&[("a", "1")]), LONG).await.unwrap();
    cache.put_many(space.entries(&[("a", "2"), ("a", "3")]), LONG).await.unwrap();
    assert_eq!(cache.get_many(&[space.key("a")]).await.unwrap(), [Some(Bytes::from("3"))]);
}

/// Keys may have any letters, values any bytes.
async fn odd_keys_and_any_bytes_are_kept(cache: &dyn Cache, space: &Space) {
    let any: Bytes = (0..=u8::MAX).collect::<Vec<_>>().into();
    let keys = ODD.map(|odd| space.key(odd));
    cache.put_many(keys.iter().map(|key| (key.clone(), any.clone())).collect(), LONG).await.unwrap();
    assert!(cache.get_many(&keys).await.unwrap().into_iter().all(|value| value.as_ref() == Some(&any)));
}

/// One call takes thousands of entries.
async fn many_entries_are_kept(cache: &dyn Cache, space: &Space) {
    let entries: Vec<_> = (0..3000).map(|number| (space.key(&number.to_string()), noise(number, 300))).collect();
    cache.put_many(entries.clone(), LONG).await.unwrap();
    let (keys, values): (Vec<_>, Vec<_>) = entries.into_iter().map(|(key, value)| (key, Some(value))).unzip();
    assert!(cache.get_many(&keys).await.unwrap() == values);
}

/// No keys, no values; no entries, no error.
async fn nothing_asked_is_nothing_told(cache: &dyn Cache, _: &Space) {
    assert!(cache.get_many(&[]).await.unwrap().is_empty());
    cache.put_many(Vec::new(), LONG).await.unwrap();
}

/// An entry is gone once its lifetime is over, and others stay; one without a lifetime is not kept at all.
async fn entries_expire(cache: &dyn Cache, space: &Space, pass: &(dyn Fn(Duration) -> BoxFuture<'static, ()> + Sync)) {
    cache.put_many(space.entries(&[("short", "1")]), Duration::from_millis(1500)).await.unwrap();
    cache.put_many(space.entries(&[("long", "2")]), LONG).await.unwrap();
    cache.put_many(space.entries(&[("none", "3")]), Duration::ZERO).await.unwrap();
    let keys = ["short", "long", "none"].map(|name| space.key(name));
    let [short, long] = ["1", "2"].map(|value| Some(Bytes::from(value)));
    assert_eq!(cache.get_many(&keys).await.unwrap(), [short, long.clone(), None]);
    pass(Duration::from_millis(1600)).await;
    assert_eq!(cache.get_many(&keys).await.unwrap(), [None, long, None]);
}
