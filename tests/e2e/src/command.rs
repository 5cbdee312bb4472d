//! The project's own commands, as a person runs them.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

/// The project's folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the project is where it was built")
}

/// What a command did.
#[derive(Debug)]
pub struct Ran {
    /// Its exit status.
    pub status: i32,
    /// What it printed as its result.
    pub stdout: String,
    /// What it said besides.
    pub stderr: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        Self {
            status: output.status.code().expect("not ended by a signal"),
            stdout: String::from_utf8(output.stdout).expect("text"),
            stderr: String::from_utf8(output.stderr).expect("text"),
        }
    }

    /// Its result, read as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// The same, once it is sure that it ended well.
    pub fn well(self) -> Self {
        assert_eq!(self.status, 0, "{self:?}");
        self
    }
}

/// Runs `.local/bin/tieout`.
pub fn tieout(arguments: &[&str]) -> Ran {
    let command = root().join(".local/bin/tieout");
    let output = Command::new(&command).args(arguments).current_dir(root()).output();
    Ran::of(output.unwrap_or_else(|error| panic!("{}: {error}: run `make up` first", command.display())))
}

/// Sends a file to a feed, without waiting: the run's name.
pub fn submit(feed: &str, file: &Path) -> String {
    let file = file.to_str().expect("a path in text");
    let queued = tieout(&["submit", feed, file, "--json"]).well().json();
    queued.get("run_id").and_then(Value::as_str).expect("a run").to_owned()
}

/// Follows a run to its end; the run as it is then, with its steps.
pub fn ended(run: &str) -> Value {
    tieout(&["watch", run]);
    tieout(&["run", "show", run, "--json"]).well().json()
}

/// Puts a feed in force.
pub fn put_feed(descriptor: &Value) {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), descriptor.to_string()).expect("it can be written");
    tieout(&["feed", "put", file.path().to_str().expect("a path in text")]).well();
}

/// Calls a function directly, as `make invoke` does, with its sample event or with one of the test's own.
pub fn invoke(function: &str, event: Option<&Path>) -> Ran {
    let python = root().join(".local/venvs/tools/bin/python");
    let mut command = Command::new("python3");
    command.args(["-m", "local", "with-stack"]).arg(python).args(["-m", "local.invoke", function]).args(event);
    Ran::of(command.current_dir(root()).output().expect("python3 made the stack, so it is here"))
}

/// Runs Python in the stack's environment, with boto3.
pub fn boto(script: &str) -> Ran {
    let python = root().join(".local/venvs/tools/bin/python");
    let mut command = Command::new("python3");
    command.args(["-m", "local", "with-stack"]).arg(python).args(["-c", script]).current_dir(root());
    Ran::of(command.output().expect("python3 made the stack, so it is here"))
}

/// Runs a line of Python in the project's folder: what `make` does with the stack's services.
pub fn python(line: &str) -> Ran {
    let output = Command::new("python3").args(["-c", line]).current_dir(root()).output();
    Ran::of(output.expect("python3 made the stack, so it is here"))
}
