//! What each action does, and when it can happen.

use super::{Action, Compaction, Entry, File, Mutation, Reader, Sequence, State, Step};

impl Compaction {
    fn broken(&self, rule: Mutation) -> bool {
        self.mutation == Some(rule)
    }

    /// Rule 13: the cache's key for a location.
    fn cache_key(&self, file: File) -> File {
        if self.broken(Mutation::CacheByArtifact) { 0 } else { file }
    }

    /// What the cache holds for a location.
    pub(super) fn cached(&self, state: &State, file: File) -> Option<Sequence> {
        state.cache.get(&self.cache_key(file)).copied()
    }

    fn bytes(&self, state: &State, file: File) -> Option<Sequence> {
        self.cached(state, file).or_else(|| state.files.get(&file).copied())
    }

    pub(super) fn fetch(&self, state: &mut State, n: Sequence) {
        let file = state.job(n).found.file;
        let fetched = self.bytes(state, file);
        let job = state.job_mut(n);
        job.step = Step::Prefetched;
        job.fetched = fetched;
    }

    /// Rule 13: only after the put has succeeded; a slow worker may be late.
    pub(super) fn fill(&self, state: &mut State, n: Sequence) {
        state.job_mut(n).fills = false;
        state.cache.insert(self.cache_key(n), n);
    }

    /// Rule 11: a put that finds its own sequence has succeeded before, and changes nothing.
    pub(super) fn put_again(&self, state: &mut State, n: Sequence) {
        state.budget.repeats -= 1;
        if self.broken(Mutation::EqualWins) && state.index.sequence <= n {
            state.index = Entry { sequence: n, file: n };
        }
    }

    /// Rule 19: only what is indexed; bytes and sequence are copied.
    pub(super) fn copy(&self, state: &mut State) {
        let to = self.jobs + self.budget.compactions - state.budget.compactions + 1;
        state.budget.compactions -= 1;
        state.files.insert(to, state.index.sequence);
        state.copies.insert((state.index, to));
    }

    /// Rule 19: if sequence and location are still the old ones. If not, the copy is of no use.
    pub(super) fn set_location(&self, state: &mut State, from: Entry, to: File) {
        state.copies.remove(&(from, to));
        if state.index == from || self.broken(Mutation::NoLocationCheck) {
            state.index = Entry { file: to, ..from };
            state.redirects.insert(from.sequence, to);
        }
    }

    /// Rule 20: nothing can reach it.
    pub(super) fn deletable(&self, state: &State, file: File) -> bool {
        let copied = state.copies.iter().any(|(from, to)| [from.file, *to].contains(&file));
        let named = state.index.file == file || copied && !self.broken(Mutation::CopiesForgotten);
        if named || self.broken(Mutation::EarlyDeletion) {
            return !named;
        }
        let pointed = state.numbered().any(|(_, job)| job.previous.file != 0 && state.resolve(job.previous) == file);
        let needed = state.numbered().any(|(n, _)| state.needed(n).contains(&file));
        let read = state.reader.is_some_and(|reader| reader.awaited && reader.entry.file == file);
        !pointed && !needed && !read
    }

    pub(super) fn get(&self, state: &mut State) {
        let Some(Reader { entry, again, .. }) = state.reader else { return };
        let got = self.bytes(state, entry.file);
        let again_entry = state.index;
        if let Some(reader) = &mut state.reader {
            if got.is_none() && !again {
                *reader = Reader { entry: again_entry, again: true, awaited: true, got: None };
            } else {
                reader.got = Some(got);
            }
        }
    }
}

impl State {
    /// The next step of a job: each stage takes the jobs in order.
    pub(super) fn next_step(&self, n: Sequence) -> Option<Action> {
        let before = if n == 1 { Step::Indexed } else { self.job(n - 1).step };
        match self.job(n).step {
            Step::Queued => (before >= Step::Prefetched).then_some(Action::Locate(n)),
            Step::Located => Some(Action::Fetch(n)),
            Step::Prefetched => (before >= Step::Applied).then_some(Action::Apply(n)),
            Step::Applied => (before == Step::Indexed).then_some(Action::Put(n)),
            Step::Put => Some(Action::Commit(n)),
            Step::Indexed => None,
        }
    }

    /// The files that a job under way may still read: what it located, the overlay of s + 1..n, and its own.
    pub(super) fn needed(&self, n: Sequence) -> Vec<File> {
        let job = self.job(n);
        let overlay = (job.snapshot + 1..n).filter(|&before| self.job(before).step >= Step::Applied);
        match job.step {
            Step::Queued | Step::Indexed => Vec::new(),
            Step::Located => overlay.chain([job.found.file]).collect(),
            Step::Prefetched => overlay.collect(),
            Step::Applied | Step::Put => vec![n],
        }
    }

    pub(super) fn locate(&mut self, n: Sequence) {
        let (snapshot, found) = (self.indexed(), self.index);
        let job = self.job_mut(n);
        (job.step, job.snapshot, job.found) = (Step::Located, snapshot, found);
        if found.file == 0 {
            job.step = Step::Prefetched;
        }
    }

    /// The base is version n − 1, from the prefetched location or the overlay.
    pub(super) fn apply(&mut self, n: Sequence) {
        let job = self.job_mut(n);
        let found = job.found;
        job.step = Step::Applied;
        job.previous = if found.sequence + 1 == n { found } else { Entry { sequence: n - 1, file: n - 1 } };
        self.files.insert(n, n);
    }

    /// Rule 11: if the index names what the version was computed from.
    pub(super) fn put(&mut self, n: Sequence) {
        if self.index.sequence == self.job(n).previous.sequence {
            self.index = Entry { sequence: n, file: n };
            let job = self.job_mut(n);
            (job.step, job.fills) = (Step::Put, true);
        }
    }

    pub(super) fn delete(&mut self, file: File) {
        self.budget.deletions -= 1;
        self.files.remove(&file);
    }

    pub(super) fn next_read(&self) -> Option<Action> {
        match self.reader {
            Some(reader) if reader.got.is_some() => Some(Action::Leave),
            Some(_) => Some(Action::Get),
            None => (self.budget.reads > 0 && self.index.file != 0).then_some(Action::Read),
        }
    }

    pub(super) fn read(&mut self) {
        self.budget.reads -= 1;
        self.reader = Some(Reader { entry: self.index, again: false, awaited: true, got: None });
    }

    pub(super) fn overstay(&mut self) {
        self.budget.overstays -= 1;
        if let Some(reader) = &mut self.reader {
            reader.awaited = false;
        }
    }
}
