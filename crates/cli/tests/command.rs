//! The command as a shell sees it: exit status, standard output, standard error. Without any stack.
#![expect(clippy::unwrap_used, reason = "a test ends there")]

use std::{
    io::{Read, Write},
    net::TcpListener,
    process::{Command, Output, Stdio},
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
    for said in ["tieout submit orders examples/orders/orders.csv --wait", "Exit status", "feed", "reference", "watch"]
    {
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
        // No region.
        &["run", "list"],
    ] {
        let output = tieout(arguments).output().unwrap();
        let (stdout, stderr) = texts(&output);
        assert_eq!((output.status.code(), stdout.as_str()), (Some(2), ""), "{arguments:?}: {stderr}");
        assert!(stderr.contains("error: "), "{arguments:?}: {stderr}");
    }
}

/// A place that answers each request in the same way, as STS would: enough to get past the door.
fn only_sts() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let body = "<GetCallerIdentityResponse><GetCallerIdentityResult><Account>000000000000</Account>\
                    </GetCallerIdentityResult></GetCallerIdentityResponse>";
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 16 * 1024]);
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            let _ = stream.write_all((head + body).as_bytes());
        }
    });
    address
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
    let doubles = at("doubles.csv", "id,price\na,1\na,2\n");
    let missing = folder.path().join("missing.csv").to_str().unwrap().to_owned();
    let endpoint = only_sts();
    for (arguments, said) in [
        (&["submit", "default", &missing][..], "missing.csv: "),
        (&["submit", "default", folder.path().to_str().unwrap()], "directory"),
        (&["feed", "put", &missing], "missing.csv: "),
        (&["feed", "put", &no_json], "no.json: "),
        (&["feed", "put", &wrong], "field \"net\""),
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
}
