use std::{
    env, fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use redis::{
    Client, ConnectionAddr, FromRedisValue, IntoConnectionInfo, Pipeline, RedisConnectionInfo, RedisError,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use storage::{Cache, Source, StorageError};
use tokio::sync::OnceCell;
use tracing::warn;

/// A cache that takes longer than this is slower than what it caches.
const TIMEOUT: Duration = Duration::from_millis(500);
/// How long a cache that failed is left alone.
const REST: Duration = Duration::from_secs(5);
/// How many keys go into one command: a server serves others between commands, not within one.
const BATCH: usize = 500;

/// Where the cache is.
#[derive(Clone, PartialEq, Eq)]
pub struct CacheConfig {
    /// The server's name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether to speak TLS. The authorities believed are the system's or, if it is set, those in the file
    /// `SSL_CERT_FILE`.
    pub tls: bool,
    /// The password of the default user, where it has one.
    pub password: Option<String>,
}

/// What is wrong with the cache's settings.
#[derive(Debug, thiserror::Error)]
pub enum CacheConfigError {
    /// Not a port.
    #[error("REDIS_PORT is {0:?}, which is no port")]
    Port(String),
    /// Neither yes nor no.
    #[error("REDIS_TLS is {0:?}, neither true nor false")]
    Tls(String),
}

impl CacheConfig {
    /// From `REDIS_HOST`, `REDIS_PORT` (6379 if absent), `REDIS_TLS` (`true` or `false`, which is the default) and
    /// `REDIS_PASSWORD`; none where there is no host. Empty is absent.
    pub fn from_env() -> Result<Option<Self>, CacheConfigError> {
        Self::from_vars(|name| env::var(name).ok())
    }

    fn from_vars(var: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, CacheConfigError> {
        let var = |name| var(name).filter(|value| !value.is_empty());
        let Some(host) = var("REDIS_HOST") else { return Ok(None) };
        let port = match var("REDIS_PORT") {
            Some(port) => port.parse().map_err(|_| CacheConfigError::Port(port))?,
            None => 6379,
        };
        let tls = match var("REDIS_TLS") {
            Some(tls) => tls.parse().map_err(|_| CacheConfigError::Tls(tls))?,
            None => false,
        };
        Ok(Some(Self { host, port, tls, password: var("REDIS_PASSWORD") }))
    }

    fn connect(&self) -> Result<ConnectionManager, RedisError> {
        let host = self.host.clone();
        let address = if self.tls {
            // Fails only where a provider has been chosen already: as good.
            let _ = rustls::crypto::ring::default_provider().install_default();
            ConnectionAddr::TcpTls { host, port: self.port, insecure: false, tls_params: None }
        } else {
            ConnectionAddr::Tcp(host, self.port)
        };
        let mut settings = RedisConnectionInfo::default();
        if let Some(password) = &self.password {
            settings = settings.set_password(password);
        }
        let info = address.into_connection_info()?.set_redis_settings(settings);
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(1)
            .set_connection_timeout(Some(TIMEOUT))
            .set_response_timeout(Some(TIMEOUT));
        ConnectionManager::new_lazy_with_config(Client::open(info)?, config)
    }
}

impl fmt::Debug for CacheConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, tls, password } = self;
        let password = password.as_ref().map(|_| "…");
        f.debug_struct("CacheConfig")
            .field("host", host)
            .field("port", port)
            .field("tls", tls)
            .field("password", &password)
            .finish()
    }
}

/// A cache in a Valkey or Redis server (one shard).
///
/// It is connected to when first used. A server that fails costs one short time-out, then nothing: for some seconds
/// every call fails at once.
pub struct ValkeyCache {
    config: CacheConfig,
    connection: OnceCell<ConnectionManager>,
    rests_until: Mutex<Option<Instant>>,
}

impl ValkeyCache {
    /// A cache at this address; nothing is asked of it yet.
    pub fn new(config: CacheConfig) -> Self {
        Self { config, connection: OnceCell::new(), rests_until: Mutex::default() }
    }

    /// Runs a pipeline, unless the server failed a moment ago.
    async fn run<T: FromRedisValue>(&self, pipeline: &Pipeline) -> Result<T, StorageError> {
        if self.lock_rest().is_some_and(|until| Instant::now() < until) {
            return Err(self.unavailable("it failed a moment ago and is left alone for some seconds"));
        }
        let attempt = async {
            let connection = self.connection.get_or_try_init(async || self.config.connect()).await?;
            pipeline.query_async(&mut connection.clone()).await
        };
        attempt.await.map_err(|error: RedisError| {
            warn!(host = self.config.host, reason = %error, seconds = REST.as_secs(), "cache failed, left alone");
            *self.lock_rest() = Some(Instant::now() + REST);
            self.unavailable(error)
        })
    }

    fn lock_rest(&self) -> MutexGuard<'_, Option<Instant>> {
        self.rests_until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unavailable(&self, source: impl Into<Source>) -> StorageError {
        let CacheConfig { host, port, .. } = &self.config;
        StorageError::Unavailable { what: format!("cache {host}:{port}"), source: source.into() }
    }
}

impl fmt::Debug for ValkeyCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ValkeyCache").field("config", &self.config).finish_non_exhaustive()
    }
}

#[async_trait]
impl Cache for ValkeyCache {
    async fn get_many(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>, StorageError> {
        let mut values = Vec::with_capacity(keys.len());
        for keys in keys.chunks(BATCH) {
            let mut pipeline = redis::pipe();
            pipeline.mget(keys);
            let (found,): (Vec<Option<Vec<u8>>>,) = self.run(&pipeline).await?;
            values.extend(found.into_iter().map(|value| value.map(Bytes::from)));
        }
        Ok(values)
    }

    fn requests(&self, keys: usize) -> u64 {
        keys.div_ceil(BATCH) as u64
    }

    async fn put_many(&self, entries: Vec<(String, Bytes)>, lifetime: Duration) -> Result<(), StorageError> {
        let milliseconds = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX);
        if milliseconds == 0 {
            return Ok(());
        }
        for entries in entries.chunks(BATCH) {
            let mut pipeline = redis::pipe();
            for (key, value) in entries {
                pipeline.pset_ex(key, &value[..], milliseconds).ignore();
            }
            self.run::<()>(&pipeline).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(vars: &[(&str, &str)]) -> Result<Option<CacheConfig>, CacheConfigError> {
        CacheConfig::from_vars(|name| vars.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string()))
    }

    #[test]
    fn no_host_is_no_cache() {
        assert_eq!(config(&[]).unwrap(), None);
        assert_eq!(config(&[("REDIS_HOST", ""), ("REDIS_PORT", "6379")]).unwrap(), None);
    }

    #[test]
    fn settings_are_read() {
        let plain = config(&[("REDIS_HOST", "h")]).unwrap().unwrap();
        assert_eq!((plain.port, plain.tls, plain.password), (6379, false, None));
        let vars = [("REDIS_HOST", "h"), ("REDIS_PORT", "1"), ("REDIS_TLS", "true"), ("REDIS_PASSWORD", "secret")];
        let full = config(&vars).unwrap().unwrap();
        assert_eq!((full.port, full.tls, full.password.as_deref()), (1, true, Some("secret")));
        assert!(!format!("{full:?}").contains("secret"));
    }

    #[test]
    fn bad_settings_are_named() {
        let port = config(&[("REDIS_HOST", "h"), ("REDIS_PORT", "70000")]).unwrap_err();
        assert_eq!(port.to_string(), "REDIS_PORT is \"70000\", which is no port");
        assert!(config(&[("REDIS_HOST", "h"), ("REDIS_TLS", "yes")]).is_err());
    }

    #[tokio::test]
    async fn a_dead_server_is_asked_once() {
        let config = CacheConfig { host: "127.0.0.1".to_owned(), port: 1, tls: false, password: None };
        let cache = ValkeyCache::new(config);
        let key = ["key".to_owned()];
        let first = cache.get_many(&key).await.unwrap_err();
        assert!(first.to_string().starts_with("cache 127.0.0.1:1 is unavailable"), "{first}");
        let start = Instant::now();
        for _ in 0..1000 {
            cache.get_many(&key).await.unwrap_err();
            cache.put_many(vec![("key".to_owned(), Bytes::new())], REST).await.unwrap_err();
        }
        assert!(start.elapsed() < TIMEOUT, "{:?}", start.elapsed());
    }
}
