//! Arrows point one way, mains hold no business, and nothing heavy is built without being asked for.

#![expect(clippy::expect_used, reason = "a test ends there")]

use std::{collections::BTreeSet, fs, path::Path};

use cargo_metadata::{DependencyKind, Metadata, Package, camino::Utf8Path};
use tests::project::{root, workspace};

/// What a crate is to the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `functions/<pipeline>/<function>`.
    Function,
    /// A crate that functions of its name belong to.
    Pipeline,
    /// Any other crate under `crates/`.
    Library,
    /// The test packages.
    Test,
}

/// What each library crate may depend on, of this project's own. A pipeline has a line of its own in [`PIPELINE`].
const LIBRARIES: [(&str, &[&str]); 13] = [
    ("environment", &[]),
    ("error-class", &[]),
    ("money", &[]),
    ("records", &["error-class", "money"]),
    ("storage", &["error-class"]),
    ("report", &["error-class", "money"]),
    ("aws-adapters", &["error-class", "storage"]),
    ("disk-adapters", &["error-class", "storage"]),
    ("lambda-shell", &["error-class"]),
    ("ledger-model", &[]),
    ("reconcile-engine", &["error-class", "reconcile", "records", "storage"]),
    ("jobs", &["environment", "error-class", "intake", "ledger", "money", "reconcile", "records", "report", "storage"]),
    (
        "cli",
        &[
            "aws-adapters",
            "error-class",
            "intake",
            "jobs",
            "ledger",
            "money",
            "reconcile",
            "records",
            "report",
            "storage",
        ],
    ),
];
const PIPELINE: [&str; 6] = ["environment", "error-class", "money", "records", "report", "storage"];
/// And its own pipeline.
const FUNCTION: [&str; 2] = ["aws-adapters", "lambda-shell"];
/// What a pipeline's functions take from besides: its core knows nothing of them.
const AROUND: [(&str, &[&str]); 1] = [("reconcile", &["jobs", "reconcile-engine"])];

/// Libraries of others that one crate wraps for all.
const WRAPPED: [(&str, &str); 8] = [
    ("aws-sdk-", "aws-adapters"),
    ("aws-config", "aws-adapters"),
    ("aws-smithy-", "aws-adapters"),
    ("redis", "aws-adapters"),
    ("redb", "disk-adapters"),
    ("arrow", "reconcile-engine"),
    ("datafusion", "reconcile-engine"),
    ("lambda_runtime", "lambda-shell"),
];
/// Libraries that take minutes to build: no crate that `cargo build` builds names them.
const HEAVY: [&str; 2] = ["datafusion", "reconcile-engine"];
const NAMELESS: [&str; 5] = ["common", "core", "helpers", "shared", "utils"];
const MAIN_LINES_MAX: usize = 40;

/// Who depends on whom: what the checks look at.
#[derive(Debug, Clone)]
struct Crate {
    name: String,
    /// The folder, from the root: `crates/money`.
    folder: String,
    default: bool,
    /// Dependencies but for those of tests.
    uses: BTreeSet<String>,
    /// Those of tests as well.
    names: BTreeSet<String>,
}

impl Crate {
    fn of(package: &Package, metadata: &Metadata) -> Self {
        let folder = package.manifest_path.parent().unwrap_or(Utf8Path::new(""));
        let folder = folder.strip_prefix(&metadata.workspace_root).unwrap_or(folder);
        let uses = package.dependencies.iter().filter(|dependency| dependency.kind == DependencyKind::Normal);
        Self {
            name: package.name.to_string(),
            folder: folder.to_string(),
            default: metadata.workspace_default_members.contains(&package.id),
            uses: uses.map(|dependency| dependency.name.clone()).collect(),
            names: package.dependencies.iter().map(|dependency| dependency.name.clone()).collect(),
        }
    }

    /// The pipeline that a function belongs to.
    fn pipeline(&self) -> Option<&str> {
        self.folder.strip_prefix("functions/")?.split('/').next()
    }
}

fn crates() -> Vec<Crate> {
    let metadata = workspace().expect("cargo knows the workspace");
    metadata.workspace_packages().into_iter().map(|package| Crate::of(package, &metadata)).collect()
}

fn kind(of: &Crate, all: &[Crate]) -> Kind {
    if of.pipeline().is_some() {
        Kind::Function
    } else if of.folder.starts_with("tests") {
        Kind::Test
    } else if all.iter().any(|other| other.pipeline() == Some(&of.name)) {
        Kind::Pipeline
    } else {
        Kind::Library
    }
}

fn directions(all: &[Crate]) -> Vec<String> {
    let own: BTreeSet<&str> = all.iter().map(|one| one.name.as_str()).collect();
    let mut faults = Vec::new();
    for one in all {
        let mut allowed: BTreeSet<&str> = match kind(one, all) {
            Kind::Test => continue,
            Kind::Function => {
                let around = AROUND.iter().filter(|(pipeline, _)| one.pipeline() == Some(pipeline));
                FUNCTION
                    .into_iter()
                    .chain(one.pipeline())
                    .chain(around.flat_map(|(_, names)| *names).copied())
                    .collect()
            }
            Kind::Pipeline => PIPELINE.into_iter().collect(),
            Kind::Library => match LIBRARIES.iter().find(|(name, _)| *name == one.name) {
                Some((_, allowed)) => allowed.iter().copied().collect(),
                None => {
                    faults.push(format!("{} is in no line of this test", one.name));
                    continue;
                }
            },
        };
        allowed.insert(&one.name);
        let wrong = one.uses.iter().filter(|used| own.contains(used.as_str()) && !allowed.contains(used.as_str()));
        faults.extend(wrong.map(|used| format!("{} → {used} points the wrong way", one.name)));
    }
    faults
}

fn wrapped(all: &[Crate]) -> Vec<String> {
    let mut faults = Vec::new();
    // Tests may look at AWS from outside.
    for one in all.iter().filter(|one| kind(one, all) != Kind::Test) {
        for (library, wrapper) in WRAPPED.iter().filter(|(_, wrapper)| *wrapper != one.name) {
            let named = one.names.iter().filter(|name| name.starts_with(library));
            faults.extend(named.map(|name| format!("{} names {name}, which is for {wrapper} alone", one.name)));
        }
        for name in one.names.iter().filter(|name| one.default && HEAVY.iter().any(|heavy| name.starts_with(heavy))) {
            faults.push(format!("{} makes every build wait for {name}", one.name));
        }
    }
    faults
}

fn named(all: &[Crate]) -> Vec<String> {
    let mut faults = Vec::new();
    for one in all {
        if one.name.split(['-', '_']).any(|word| NAMELESS.contains(&word)) {
            faults.push(format!("{} does not say what it is for", one.name));
        }
        if one.folder.rsplit('/').next() != Some(&one.name) {
            faults.push(format!("{} lies in {}", one.name, one.folder));
        }
    }
    faults
}

/// What is wrong with a function's main.
fn main_faults(source: &str) -> Vec<String> {
    let code = source.lines().map(|line| line.split("//").next().unwrap_or_default());
    let words: BTreeSet<&str> = code.flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_')).collect();
    let decisions = ["if", "loop", "match", "for", "while"].into_iter().filter(|word| words.contains(word));
    let mut faults: Vec<String> = decisions.map(|word| format!("has `{word}`")).collect();
    if source.lines().count() > MAIN_LINES_MAX {
        faults.push(format!("has more than {MAIN_LINES_MAX} lines"));
    }
    if !source.starts_with("//! ") {
        faults.push("does not say what it is".to_owned());
    }
    faults
}

/// What lies in a folder besides `Cargo.toml` and `main.rs`.
fn strangers(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("the folder can be read");
    let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    names.filter(|name| name != "Cargo.toml" && name != "main.rs").collect()
}

/// After `breaking` the named crate, the check names the fault in these words.
fn finds(check: fn(&[Crate]) -> Vec<String>, fault: &str, name: &str, breaking: impl FnOnce(&mut Crate)) {
    let mut all = crates();
    breaking(all.iter_mut().find(|one| one.name == name).expect("there is such a crate"));
    let faults = check(&all);
    assert_eq!(faults, [fault]);
}

#[test]
fn dependencies_point_one_way() {
    let all = crates();
    assert_eq!(directions(&all), [""; 0]);
    let kinds = |of: Kind| all.iter().filter(|one| kind(one, &all) == of).count();
    assert!(kinds(Kind::Pipeline) >= 1 && kinds(Kind::Function) >= 5 && kinds(Kind::Library) >= LIBRARIES.len());
    for (from, to) in [
        ("records", "storage"),
        ("money", "intake"),
        ("intake", "aws-adapters"),
        ("intake", "lambda-shell"),
        ("storage", "records"),
        ("splitter", "records"),
        ("splitter", "merger"),
        ("aws-adapters", "intake"),
    ] {
        finds(directions, &format!("{from} → {to} points the wrong way"), from, |one| {
            one.uses.insert(to.to_owned());
        });
    }
    finds(directions, "ledgers is in no line of this test", "money", |one| one.name = "ledgers".to_owned());
}

#[test]
fn pipelines_do_not_know_one_another() {
    let mut all = crates();
    let mut other = all.iter().find(|one| one.name == "intake").expect("there is intake").clone();
    other.name = "ledger".to_owned();
    other.uses.insert("intake".to_owned());
    let mut function = all.iter().find(|one| one.name == "splitter").expect("there is splitter").clone();
    function.name = "reducer".to_owned();
    function.folder = "functions/ledger/reducer".to_owned();
    all.extend([other, function]);
    assert_eq!(directions(&all), ["ledger → intake points the wrong way", "reducer → intake points the wrong way"],);
}

#[test]
fn one_crate_wraps_each_service() {
    assert_eq!(wrapped(&crates()), [""; 0]);
    for (library, wrapper) in
        [("aws-sdk-s3", "aws-adapters"), ("redis", "aws-adapters"), ("lambda_runtime", "lambda-shell")]
    {
        finds(wrapped, &format!("cli names {library}, which is for {wrapper} alone"), "cli", |one| {
            one.names.insert(library.to_owned());
        });
    }
    finds(wrapped, "records makes every build wait for reconcile-engine", "records", |one| {
        one.names.insert("reconcile-engine".to_owned());
    });
    finds(wrapped, "reconcile-engine makes every build wait for datafusion-common", "reconcile-engine", |one| {
        one.default = true;
        one.names.retain(|name| name == "datafusion-common");
    });
}

#[test]
fn crates_are_named_after_what_they_are_for() {
    assert_eq!(named(&crates()), [""; 0]);
    finds(named, "shared-money does not say what it is for", "money", |one| {
        one.name = "shared-money".to_owned();
        one.folder = "crates/shared-money".to_owned();
    });
    finds(named, "money lies in crates/amounts", "money", |one| one.folder = "crates/amounts".to_owned());
}

#[test]
fn functions_are_a_manifest_and_a_main_without_business() {
    let functions: Vec<Crate> = crates().into_iter().filter(|one| one.pipeline().is_some()).collect();
    assert!(functions.len() >= 5);
    for function in functions {
        let folder = root().join(&function.folder);
        assert_eq!(strangers(&folder), [""; 0], "{}", function.name);
        let main = fs::read_to_string(folder.join("main.rs")).expect("there is a main.rs");
        assert_eq!(main_faults(&main), [""; 0], "{}", function.name);
    }
    assert_eq!(strangers(&root().join("crates/money")), ["src"]);
}

#[test]
fn business_in_a_main_is_seen() {
    assert_eq!(main_faults("//! x\n// if\nfn main() { form(\"x\"); }\n"), [""; 0]);
    assert_eq!(main_faults("//! x\nfn main() { if x { loop {} } }\n"), ["has `if`", "has `loop`"]);
    assert_eq!(main_faults("//! x\nfn main() { match x {} for y in z {} }\n"), ["has `match`", "has `for`"]);
    assert_eq!(main_faults(&format!("//! x\n{}", "\n".repeat(40))), ["has more than 40 lines"]);
    assert_eq!(main_faults("fn main() {}"), ["does not say what it is"]);
}
