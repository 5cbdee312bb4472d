//! The command as a shell sees it: exit status, standard output, standard error. Without any stack.
#![expect(clippy::unwrap_used, reason = "a test ends there")]

use std::{
    io::{Read, Write},
    net::TcpListener,
    process::{Command, Output, Stdio},
    sync::mpsc::{self, Receiver},
    time::Duration,
};

const RUN: &str = "default-0123456789abcdef0123456789abcdef";

/// The command in an environment that names one place, where nothing may be found.
fn tieout(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tieout"));
    command.args(arguments).env_clear().stdin(Stdio::null());
    command.envs([
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_CONFIG_FILE", "none"),
        ("AWS_SHARED_CREDENTIALS_FILE", "none"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ]);
    command
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn help_explains_itself_to_a_stranger() {
    let output = tieout(&["--help"]).output().unwrap();
    let (stdout, stderr) = texts(&output);
    assert_eq!((output.status.code(), stderr.as_str()), (Some(0), ""));
    for said in [
        "tieout submit orders examples/orders/orders.csv --wait",
        "tieout batch submit orders examples/ledger/events/shop-2016-h1.csv",
        "Exit status",
        "feed",
        "reference",
        "watch",
        "artifact",
    ] {
        assert!(stdout.contains(said), "{said:?} in:\n{stdout}");
    }
}

#[test]
fn misuse_ends_with_two_and_nothing_on_standard_output() {
    for arguments in [
        &["nonsense"][..],
        &["submit", "orders"],
        &["run", "show", "not-a-run"],
        &["run", "link", RUN, "--minutes", "99999"],
        &["feed", "list", "--tenant", "UPPER"],
        &["run", "list", "--region", "eu-central-1", "--endpoint-url", "127.0.0.1:4566"],
        &["ledger", "show", "UPPER"],
        &["ledger", "sign", "orders", "--source", "shop"],
        &["batch", "submit", "orders", "--from", "2024-05-01"],
        &["batch", "submit", "orders", "--from", "May", "--to", "June"],
        &["batch", "submit", "orders", "--from", "2024-05-01", "--to", "2024-05-02", "--timeout", "5"],
        &["batch", "show", "orders"],
        &["artifact", "get", "orders", "A", "--history", "--lines"],
        &["batch", "submit", "orders", "--from", "2024-05-02", "--to", "2024-05-01"],
        // No region.
        &["run", "list"],
    ] {
        let output = tieout(arguments).output().unwrap();
        let (stdout, stderr) = texts(&output);
        assert_eq!((output.status.code(), stdout.as_str()), (Some(2), ""), "{arguments:?}: {stderr}");
        assert!(stderr.contains("error: "), "{arguments:?}: {stderr}");
    }
}

#[test]
fn the_command_has_its_own_name() {
    let (stdout, _) = texts(&tieout(&["--version"]).output().unwrap());
    assert_eq!(stdout, format!("tieout {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn an_address_without_its_scheme_is_explained() {
    for address in ["127.0.0.1:4566", "localhost:4566", "http://"] {
        let output = tieout(&["run", "list", "--region", "eu-central-1"]).env("AWS_ENDPOINT_URL", address).output();
        let (_, stderr) = texts(&output.unwrap());
        assert!(stderr.contains("as in http://127.0.0.1:4566"), "{address}: {stderr}");
    }
}

/// A place that knows who calls, and has empty tables. Tells when one is looked into.
fn empty_tables() -> (String, Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let identity = "<GetCallerIdentityResponse><GetCallerIdentityResult><Account>000000000000</Account>\
                        </GetCallerIdentityResult></GetCallerIdentityResponse>";
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 16 * 1024];
            let length = stream.read(&mut request).unwrap_or_default();
            let of_table =
                String::from_utf8_lossy(request.get(..length).unwrap_or_default()).to_lowercase().contains("dynamodb");
            if of_table {
                let _ = tell.send(());
            }
            let body = if of_table { "{}" } else { identity };
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            let _ = stream.write_all((head + body).as_bytes());
        }
    });
    (address, told)
}

#[test]
fn an_interrupt_ends_the_following_and_not_the_run() {
    let (endpoint, looked) = empty_tables();
    let mut command = tieout(&["watch", RUN, "--region", "eu-central-1", "--endpoint-url", &endpoint]);
    let watching = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    looked.recv_timeout(Duration::from_secs(60)).unwrap();
    assert!(Command::new("kill").args(["-INT", &watching.id().to_string()]).status().unwrap().success());
    let output = watching.wait_with_output().unwrap();
    let (stdout, stderr) = texts(&output);
    assert_eq!((output.status.code(), stdout.as_str()), (Some(130), ""), "{stderr}");
    assert_eq!(stderr, format!("the run goes on: tieout watch {RUN}\n"));
}

#[test]
fn another_tenant_s_run_is_refused() {
    let (endpoint, _looked) = empty_tables();
    for words in [
        &["run", "show"][..],
        &["run", "output"],
        &["run", "rejects"],
        &["run", "report"],
        &["run", "link"],
        &["watch"],
    ] {
        let place = [RUN, "--tenant", "acme", "--region", "eu-central-1", "--endpoint-url", &endpoint];
        let output = tieout(words).args(place).output().unwrap();
        let (stdout, stderr) = texts(&output);
        assert_eq!((output.status.code(), stdout.as_str()), (Some(2), ""), "{words:?}: {stderr}");
        assert!(stderr.ends_with("is of tenant default, not acme: --tenant default\n"), "{words:?}: {stderr}");
    }
}

#[test]
fn a_ledger_that_is_not_there_is_told_with_what_to_do() {
    let (endpoint, _looked) = empty_tables();
    for words in [
        &["ledger", "show", "orders"][..],
        &["ledger", "show", "orders", "--definition"],
        &["batch", "list", "orders"],
        &["batch", "show", "orders", "b1"],
        &["batch", "redrive", "orders", "b1"],
        &["batch", "redrive", "orders", "b1", "--afresh"],
        &["batch", "skip", "orders", "b1", "--reason", "sent twice"],
        &["batch", "submit", "orders", "--from", "2024-05-01", "--to", "2024-05-02"],
        &["artifact", "get", "orders", "A"],
    ] {
        let output = tieout(words).args(["--region", "eu-central-1", "--endpoint-url", &endpoint]).output().unwrap();
        let (stdout, stderr) = texts(&output);
        assert_eq!((output.status.code(), stdout.as_str()), (Some(2), ""), "{words:?}: {stderr}");
        assert!(stderr.starts_with("error: there is no ledger") && stderr.contains("tieout ledger put"), "{stderr}");
    }
    let output = tieout(&["ledger", "list", "--region", "eu-central-1", "--endpoint-url", &endpoint]).output().unwrap();
    let (stdout, _) = texts(&output);
    assert_eq!(
        (output.status.code(), stdout.as_str()),
        (Some(0), "no ledgers yet: tieout ledger put <definition.json>\n")
    );
}

#[test]
fn what_is_wrong_with_a_local_file_is_told_with_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let no_json = at("no.json", "{\"name\": \"orders\",");
    let wrong = at(
        "wrong.json",
        r#"{"name": "orders", "schema": {"fields": [{"name": "id", "type": "string"}]},
            "tieout": {"amounts": [{"column": "net"}]}}"#,
    );
    let measures = at(
        "measures.json",
        r#"{"name": "orders", "sources": {"shop": "2024-05-01T00:00:00Z"}, "events": {"format": "csv", "fields": [
            {"name": "id"}, {"name": "at", "type": "datetime"}]}, "artifactKey": ["id"], "eventId": "id",
            "eventTime": "at", "measures": {"paid": {"measure": "sum", "column": "amount"}}}"#,
    );
    let doubles = at("doubles.csv", "id,price\na,1\na,2\n");
    let missing = folder.path().join("missing.csv").to_str().unwrap().to_owned();
    let control = at("a\u{1b}b.csv", "a\n1\n");
    let long = folder.path().join("l".repeat(3_000)).to_str().unwrap().to_owned();
    let (endpoint, _looked) = empty_tables();
    for (arguments, said) in [
        (&["submit", "default", &missing][..], "missing.csv: "),
        (&["submit", "default", folder.path().to_str().unwrap()], "directory"),
        (&["submit", "default", "/dev/null"], "/dev/null: no regular file"),
        (&["submit", "default", &control], "a␛b.csv: the file's name has control characters"),
        (&["submit", "default", &long], "…: File name too long"),
        (&["feed", "put", &missing], "missing.csv: "),
        (&["feed", "put", &no_json], "no.json: "),
        (&["feed", "put", &wrong], "field \"net\""),
        (&["ledger", "put", &missing], "missing.csv: "),
        (&["ledger", "put", &no_json], "no.json: "),
        (&["ledger", "put", &measures], "measures.json: the definition of ledger default/orders: measures.paid.column"),
        (&["reference", "load", "prices", &doubles, "--key", "id"], "rows 1 and 2 both have the key \"a\""),
        (&["reference", "load", "prices", &doubles, "--key", "sku"], "there is no column \"sku\""),
    ] {
        let output =
            tieout(arguments).args(["--region", "eu-central-1", "--endpoint-url", &endpoint]).output().unwrap();
        let (stdout, stderr) = texts(&output);
        assert_eq!((output.status.code(), stdout.as_str()), (Some(2), ""), "{arguments:?}: {stderr}");
        assert!(stderr.starts_with("error: ") && stderr.contains(said), "{arguments:?}: {said:?} in {stderr}");
    }
}

#[test]
fn a_service_that_cannot_be_reached_ends_with_one() {
    // Bound and closed again: nobody listens there.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let endpoint = format!("http://{address}");
    let output = tieout(&["run", "list", "--region", "eu-central-1", "--endpoint-url", &endpoint]).output().unwrap();
    let (stdout, stderr) = texts(&output);
    assert_eq!((output.status.code(), stdout.as_str()), (Some(1), ""), "{stderr}");
    assert!(stderr.contains("the caller's identity"), "{stderr}");
    assert!(stderr.ends_with("\nIs the local stack running? `make up` starts it.\n"), "{stderr}");
}
