//! Where a version's bytes are: compaction moves them, the cache repeats them, deletion takes old ones away.
//!
//! **Compaction and deletion are not built yet**: this model comes before them. Rules 11, 13, 19 and 20, for one key
//! that every job touches. Job n's version has sequence n and lies in file n; compaction copies it into a file of its
//! own. What the stages' model shows is taken for granted here: job n makes version n of version n − 1.

pub mod invariants;
mod steps;

use std::collections::{BTreeMap, BTreeSet};

use stateright::{Model, Property};

/// A version by its sequence, from 1; 0 stands for none.
pub type Sequence = u8;
/// A file, from 1; 0 stands for none. A job's output has the job's number. No file's name is used twice.
pub type File = u8;

/// The model.
#[derive(Debug, Clone)]
pub struct Compaction {
    /// How many jobs there are.
    pub jobs: Sequence,
    /// What else happens.
    pub budget: Budget,
    /// The rule that is broken, if any.
    pub mutation: Option<Mutation>,
}

/// What else happens, and how often: finite, so that every run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Budget {
    /// Compactions begun.
    pub compactions: u8,
    /// Files deleted.
    pub deletions: u8,
    /// Index puts that zombies repeat.
    pub repeats: u8,
    /// Artifacts read from outside.
    pub reads: u8,
    /// Readers slower than deletion waits for.
    pub overstays: u8,
}

/// A rule that is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mutation {
    /// An index put also wins over its own sequence (rule 11).
    EqualWins,
    /// The cache is keyed by artifact (rule 13).
    CacheByArtifact,
    /// A compaction sets the location whatever the index names by then (rule 19).
    NoLocationCheck,
    /// A file is deleted as soon as the index does not name it (rule 20).
    EarlyDeletion,
    /// Deletion does not know of copies that compaction has made and not yet named (rule 20).
    CopiesForgotten,
}

/// A version and where it lies: an index item, or a pointer to a previous version.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Entry {
    /// The version.
    pub sequence: Sequence,
    /// The file.
    pub file: File,
}

/// One key of a ledger.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// What the index names.
    pub index: Entry,
    /// The jobs, in line.
    pub jobs: Vec<Job>,
    /// The version in each file that exists.
    pub files: BTreeMap<File, Sequence>,
    /// Where versions were moved to, for those who know their old place.
    pub redirects: BTreeMap<Sequence, File>,
    /// What the cache holds, by file; by nothing if it is keyed by artifact.
    pub cache: BTreeMap<File, Sequence>,
    /// Copies made, not yet named by the index: what was copied, and into which file.
    pub copies: BTreeSet<(Entry, File)>,
    /// The reader from outside.
    pub reader: Option<Reader>,
    /// What may still happen.
    pub budget: Budget,
}

/// A job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Job {
    /// How far it is.
    pub step: Step,
    /// s.
    pub snapshot: Sequence,
    /// What prefetch found in the index.
    pub found: Entry,
    /// What stood there.
    pub fetched: Option<Sequence>,
    /// The pointer to the previous version, in the job's file.
    pub previous: Entry,
    /// Whether a worker is still to fill the cache.
    pub fills: bool,
}

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// Prefetch has not begun.
    Queued,
    /// s is fixed, the location read.
    Located,
    /// The bytes are read.
    Prefetched,
    /// The new version is written.
    Applied,
    /// The index names it.
    Put,
    /// Index has committed.
    Indexed,
}

/// A reader that has looked a location up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Reader {
    /// What the index named.
    pub entry: Entry,
    /// Whether it has met a 404 and looked again.
    pub again: bool,
    /// Whether deletion still waits for it.
    pub awaited: bool,
    /// What it got; nothing after the second 404.
    pub got: Option<Option<Sequence>>,
}

/// What can happen next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Prefetch is granted, and reads the index.
    Locate(Sequence),
    /// Prefetch reads the bytes, from the cache or the file.
    Fetch(Sequence),
    /// Apply writes the new version.
    Apply(Sequence),
    /// A worker puts it into the index.
    Put(Sequence),
    /// A worker fills the cache.
    Fill(Sequence),
    /// Index commits.
    Commit(Sequence),
    /// A zombie puts again.
    PutAgain(Sequence),
    /// Compaction copies what the index names.
    Copy,
    /// Compaction sets the location.
    SetLocation(Entry, File),
    /// A file is deleted.
    Delete(File),
    /// A reader looks the location up.
    Read,
    /// It reads the bytes.
    Get,
    /// It is slower than deletion waits for.
    Overstay,
    /// It is done.
    Leave,
}

impl Model for Compaction {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let job = Job {
            step: Step::Queued,
            snapshot: 0,
            found: Entry::default(),
            fetched: None,
            previous: Entry::default(),
            fills: false,
        };
        vec![State {
            index: Entry::default(),
            jobs: vec![job; usize::from(self.jobs)],
            files: BTreeMap::new(),
            redirects: BTreeMap::new(),
            cache: BTreeMap::new(),
            copies: BTreeSet::new(),
            reader: None,
            budget: self.budget,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for n in 1..=self.jobs {
            actions.extend(state.next_step(n));
            actions.extend(state.job(n).fills.then_some(Action::Fill(n)));
            let repeats = state.budget.repeats > 0 && state.job(n).step >= Step::Put;
            actions.extend(repeats.then_some(Action::PutAgain(n)));
        }
        let compacts = state.budget.compactions > 0 && (1..=state.indexed()).contains(&state.index.sequence);
        actions.extend(compacts.then_some(Action::Copy));
        actions.extend(state.copies.iter().map(|&(from, to)| Action::SetLocation(from, to)));
        let deletable = state.files.keys().filter(|file| state.budget.deletions > 0 && self.deletable(state, **file));
        actions.extend(deletable.map(|&file| Action::Delete(file)));
        actions.extend(state.next_read());
        let overstays = state.reader.is_some_and(|reader| reader.awaited) && state.budget.overstays > 0;
        actions.extend(overstays.then_some(Action::Overstay));
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut state = state.clone();
        match action {
            Action::Locate(n) => state.locate(n),
            Action::Fetch(n) => self.fetch(&mut state, n),
            Action::Apply(n) => state.apply(n),
            Action::Put(n) => state.put(n),
            Action::Fill(n) => self.fill(&mut state, n),
            Action::Commit(n) => state.job_mut(n).step = Step::Indexed,
            Action::PutAgain(n) => self.put_again(&mut state, n),
            Action::Copy => self.copy(&mut state),
            Action::SetLocation(from, to) => self.set_location(&mut state, from, to),
            Action::Delete(file) => state.delete(file),
            Action::Read => state.read(),
            Action::Get => self.get(&mut state),
            Action::Overstay => state.overstay(),
            Action::Leave => state.reader = None,
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        invariants::all(&self.budget)
    }
}

impl State {
    /// A job.
    pub fn job(&self, n: Sequence) -> &Job {
        &self.jobs[usize::from(n) - 1]
    }

    fn job_mut(&mut self, n: Sequence) -> &mut Job {
        &mut self.jobs[usize::from(n) - 1]
    }

    /// The jobs with their numbers.
    fn numbered(&self) -> impl Iterator<Item = (Sequence, &Job)> {
        (1..).zip(&self.jobs)
    }

    /// The last job whose index stage has committed.
    fn indexed(&self) -> Sequence {
        self.numbered().filter(|(_, job)| job.step == Step::Indexed).map(|(n, _)| n).last().unwrap_or(0)
    }

    /// Where a version is, for who knew it at this place.
    fn resolve(&self, entry: Entry) -> File {
        self.redirects.get(&entry.sequence).copied().unwrap_or(entry.file)
    }
}
