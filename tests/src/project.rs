//! The project's files.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    fs, io,
    path::{Path, PathBuf},
};

use cargo_metadata::{Metadata, MetadataCommand, TargetKind};
use regex::Regex;
use serde_json::Value;

use crate::{
    cloudformation::{self, logical_id},
    machine::render,
};

/// A function's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// The pipeline, `functions/<pipeline>/…`.
    pub pipeline: String,
    /// The name, `functions/…/<name>`.
    pub name: String,
    /// The binaries that the workspace builds of it.
    pub binaries: Vec<String>,
    /// The variables that its code reads from the environment.
    pub variables: BTreeSet<String>,
}

/// Everything that has to agree. Tests change a copy to see that a disagreement is found.
#[derive(Debug, Clone, PartialEq)]
pub struct Project {
    /// `template.yaml`.
    pub template: Value,
    /// `state-machines/<name>.asl.json`, by name: text, because it is JSON only once its placeholders are filled in.
    pub machines: BTreeMap<String, String>,
    /// `functions/`.
    pub functions: Vec<Function>,
    /// `events/<pipeline>/<name>.json`, by `<pipeline>/<name>`.
    pub events: BTreeMap<String, Value>,
    /// `events/env.json`.
    pub environment: Value,
}

/// The project's root folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What cargo knows of the workspace's own packages.
pub fn workspace() -> Result<Metadata, cargo_metadata::Error> {
    MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec()
}

impl Project {
    /// Reads the project's files.
    pub fn read() -> Result<Self, Box<dyn Error>> {
        let root = root();
        let mut machines = BTreeMap::new();
        for (name, path) in files(&root.join("state-machines"), ".asl.json")? {
            machines.insert(name, fs::read_to_string(path)?);
        }
        let mut events = BTreeMap::new();
        for pipeline in folders(&root.join("events"))? {
            for (name, path) in files(&root.join("events").join(&pipeline), ".json")? {
                events.insert(format!("{pipeline}/{name}"), serde_json::from_str(&fs::read_to_string(path)?)?);
            }
        }
        Ok(Self {
            template: cloudformation::parse(&fs::read_to_string(root.join("template.yaml"))?)?,
            machines,
            functions: functions(&root)?,
            events,
            environment: serde_json::from_str(&fs::read_to_string(root.join("events/env.json"))?)?,
        })
    }

    /// A state machine as it is deployed to AWS.
    pub fn deployed(&self, name: &str) -> Result<Value, String> {
        let resource = self.template.pointer(&format!("/Resources/{}/Properties", logical_id(name)));
        let substitutions = resource.and_then(|properties| properties.get("DefinitionSubstitutions"));
        let text = self.machines.get(name).ok_or_else(|| format!("{name} has no definition"))?;
        serde_json::from_str(&render(text, &self.template, substitutions.unwrap_or(&Value::Null)))
            .map_err(|error| format!("{name} is no JSON once it is filled in: {error}"))
    }
}

fn functions(root: &Path) -> Result<Vec<Function>, Box<dyn Error>> {
    let packages = workspace()?.packages;
    let mut functions = Vec::new();
    for pipeline in folders(&root.join("functions"))? {
        for name in folders(&root.join("functions").join(&pipeline))? {
            let folder = root.join("functions").join(&pipeline).join(&name);
            let here = fs::canonicalize(folder.join("Cargo.toml"))?;
            let package = packages.iter().find(|package| package.manifest_path.as_std_path() == here);
            let binaries = package.into_iter().flat_map(|package| &package.targets);
            let binaries = binaries.filter(|target| target.kind.contains(&TargetKind::Bin));
            functions.push(Function {
                binaries: binaries.map(|target| target.name.clone()).collect(),
                variables: variables(root, &fs::read_to_string(folder.join("main.rs"))?)?,
                pipeline: pipeline.clone(),
                name,
            });
        }
    }
    Ok(functions)
}

/// The variables that a function reads: those of the module whose `Config` its main takes
/// (`use intake::split::{Config, …}`) and of those that this leaves some to, and those of the adapters that it asks for
/// (`aws_adapters::cache()`), which read them in the function of that name or in the module of that name.
fn variables(root: &Path, main: &str) -> Result<BTreeSet<String>, Box<dyn Error>> {
    let mut read = BTreeSet::new();
    for module in Regex::new(r"(?m)^use (\w+)::(\w+)::\{?[^;]*\bConfig\b")?.captures_iter(main) {
        read.extend(read_by(&root.join("crates").join(&module[1]).join("src"), &module[2])?);
    }
    let adapters = root.join("crates/aws-adapters/src");
    let doors = fs::read_to_string(adapters.join("lib.rs"))?;
    for adapter in Regex::new(r"\baws_adapters::(\w+)\(")?.captures_iter(main) {
        let door = Regex::new(&format!(r"(?s)\bfn {}\(.*?\n\}}\n", &adapter[1]))?;
        read.extend(names(door.find(&doors).map_or("", |found| found.as_str()))?);
        read.extend(names(&source(&adapters, &adapter[1])?)?);
    }
    Ok(read)
}

/// The variables that a module's `Config` reads: itself, in the module that it takes `Config` from
/// (`pub use crate::backlog::Config;`), and in those whose `from_env` it calls: of another module's `Config`
/// (`backlog::Config::from_env()`), or of a type of its own name (`Places::from_env()`, `Places as Config`).
fn read_by(folder: &Path, module: &str) -> Result<BTreeSet<String>, Box<dyn Error>> {
    let text = source(folder, module)?;
    let mut read = names(&text)?;
    for other in Regex::new(r"\b(\w+)::Config(?:;|::from_env\(\))")?.captures_iter(&text) {
        read.extend(read_by(folder, &other[1])?);
    }
    for other in Regex::new(r"[^:\w](\w+)::from_env\(\)|(\w+) as Config;")?.captures_iter(&text) {
        let other = other.get(1).or_else(|| other.get(2)).map_or("", |name| name.as_str());
        let of_type = Regex::new(&format!(r"(?s)\nimpl {other} \{{\n.*?\n\}}\n"))?;
        for (_, path) in files(folder, ".rs")? {
            read.extend(names(of_type.find(&fs::read_to_string(path)?).map_or("", |found| found.as_str()))?);
        }
    }
    Ok(read)
}

/// A module's source without its tests; nothing where there is no such module.
fn source(folder: &Path, module: &str) -> io::Result<String> {
    let text = match fs::read_to_string(folder.join(format!("{module}.rs"))) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        other => other?,
    };
    Ok(text.split("#[cfg(test)]").next().unwrap_or_default().to_owned())
}

/// Names of variables: capitals in quotes, the first argument of a call.
fn names(source: &str) -> Result<BTreeSet<String>, regex::Error> {
    let pattern = Regex::new(r#"\w\("([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)""#)?;
    Ok(pattern.captures_iter(source).map(|found| found[1].to_owned()).collect())
}

/// The files of a folder whose names end so, by what stands before that.
fn files(folder: &Path, ending: &str) -> io::Result<Vec<(String, PathBuf)>> {
    let all = entries(folder)?.into_iter().filter(|path| path.is_file());
    Ok(all.filter_map(|path| Some((path.file_name()?.to_str()?.strip_suffix(ending)?.to_owned(), path))).collect())
}

fn folders(folder: &Path) -> io::Result<Vec<String>> {
    let all = entries(folder)?.into_iter().filter(|path| path.is_dir());
    Ok(all.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}
