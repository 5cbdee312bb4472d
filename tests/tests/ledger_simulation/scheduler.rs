//! Who goes on when: a seeded scheduler of actors, with a clock of its own.
//!
//! One actor at a time goes on, to its next pause; which one, the seed says. Time passes a little with every step, and
//! jumps to the next timer when everybody waits. An actor that may crash is dropped where it pauses, now and then.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use async_trait::async_trait;
use futures::{FutureExt, future::BoxFuture};
use jiff::Timestamp;
use ledger::policy::LEASE_SECONDS_MIN;
use storage::{Clock, memory::ManualClock};
use tests::dice::Dice;

/// What may go wrong, and how often: so that every run ends.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Budget {
    /// Calls of ports that fail, or whose reply is lost.
    pub(crate) faults: u64,
    /// Workers that die between two calls.
    pub(crate) crashes: u64,
    /// Calls that take seconds to half an hour.
    pub(crate) delays: u64,
    /// Invocations that are refused, whose reply is lost while the worker goes on, or that happen twice.
    pub(crate) mishaps: u64,
    /// Executions that are stopped.
    pub(crate) aborts: u64,
    /// Times that the cache is emptied, or answers nonsense.
    pub(crate) cache: u64,
    /// Batches that the operator takes out for no reason.
    pub(crate) whims: u64,
    /// Looks at the clock that show a time when every lease is over: so that the living are taken for dead.
    pub(crate) haste: u64,
}

/// What all actors have at hand: chance, time, and each other.
#[derive(Clone)]
pub(crate) struct Scene(Arc<Inner>);

struct Inner {
    clock: Arc<ManualClock>,
    ready: Arc<Mutex<Vec<usize>>>,
    state: Mutex<State>,
}

struct State {
    dice: Dice,
    budget: Budget,
    timers: BTreeMap<(Timestamp, u64), Waker>,
    timers_set: u64,
    begun: Vec<Actor>,
    situations: BTreeSet<&'static str>,
    steps: u64,
}

struct Actor {
    act: BoxFuture<'static, ()>,
    may_crash: bool,
}

/// Wakes an actor, once between two steps.
struct Signal {
    actor: usize,
    signalled: AtomicBool,
    ready: Arc<Mutex<Vec<usize>>>,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        if !self.signalled.swap(true, Ordering::Relaxed) {
            lock(&self.ready).push(self.actor);
        }
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Scene {
    pub(crate) fn new(seed: u64, budget: Budget) -> Self {
        let state = State {
            dice: Dice(seed),
            budget,
            timers: BTreeMap::new(),
            timers_set: 0,
            begun: Vec::new(),
            situations: BTreeSet::new(),
            steps: 0,
        };
        Self(Arc::new(Inner {
            clock: Arc::new(ManualClock::default()),
            ready: Arc::default(),
            state: Mutex::new(state),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0.state)
    }

    pub(crate) fn clock(&self) -> Arc<ManualClock> {
        self.0.clock.clone()
    }

    /// How many steps were made.
    pub(crate) fn steps(&self) -> u64 {
        self.state().steps
    }

    pub(crate) fn below(&self, bound: u64) -> u64 {
        self.state().dice.below(bound)
    }

    /// True once in so many times.
    pub(crate) fn once_in(&self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// True once in so many times, as often as the budget allows.
    pub(crate) fn mischief(&self, times: u64, of: impl Fn(&mut Budget) -> &mut u64) -> bool {
        let mut state = self.state();
        if *of(&mut state.budget) == 0 || state.dice.below(times) != 0 {
            return false;
        }
        *of(&mut state.budget) -= 1;
        true
    }

    /// What a simulation that is worth anything runs into.
    pub(crate) fn saw(&self, situation: &'static str) {
        self.state().situations.insert(situation);
    }

    pub(crate) fn situations(&self) -> BTreeSet<&'static str> {
        self.state().situations.clone()
    }

    /// Somebody begins to act.
    pub(crate) fn begin(&self, may_crash: bool, act: impl Future<Output = ()> + Send + 'static) {
        self.state().begun.push(Actor { act: act.boxed(), may_crash });
    }

    /// Lets others go first.
    pub(crate) async fn pause(&self) {
        if self.mischief(300, |budget| &mut budget.delays) {
            let seconds = [3, 100, 1000, 2000][self.below(4) as usize];
            return self.sleep(Duration::from_secs(seconds)).await;
        }
        Pause(false).await;
    }

    /// Lets so much time pass.
    pub(crate) async fn sleep(&self, time: Duration) {
        let until = self.0.clock.now().saturating_add(time).unwrap_or(Timestamp::MAX);
        Sleep { scene: self.clone(), until, timer: None }.await;
    }
}

struct Pause(bool);

impl Future for Pause {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

struct Sleep {
    scene: Scene,
    until: Timestamp,
    timer: Option<(Timestamp, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.scene.0.clock.now() >= self.until {
            return Poll::Ready(());
        }
        let scene = self.scene.clone();
        let mut state = scene.state();
        let timer = match self.timer {
            Some(timer) => timer,
            None => {
                state.timers_set += 1;
                let timer = (self.until, state.timers_set);
                *self.timer.insert(timer)
            }
        };
        state.timers.insert(timer, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(timer) = self.timer {
            self.scene.state().timers.remove(&timer);
        }
    }
}

/// Makes actors go on.
pub(crate) struct Scheduler {
    scene: Scene,
    actors: Vec<Option<(Actor, Arc<Signal>)>>,
}

impl Scheduler {
    pub(crate) fn new(scene: Scene) -> Self {
        Self { scene, actors: Vec::new() }
    }

    /// One step: somebody goes on to the next pause, or crashes there. Whether anybody could.
    pub(crate) fn step(&mut self) -> bool {
        self.welcome();
        // A timer of somebody who no longer waits for it wakes nobody: then the next one does.
        let chosen = loop {
            let timers_left = self.pass_time();
            match self.choose() {
                Some(chosen) => break chosen,
                None if timers_left => {}
                None => return false,
            }
        };
        let Some((actor, signal)) = &mut self.actors[chosen] else { return true };
        signal.signalled.store(false, Ordering::Relaxed);
        let dies = actor.may_crash && self.scene.mischief(150, |budget| &mut budget.crashes);
        if dies {
            self.scene.saw("a worker crashed");
        }
        let waker = Waker::from(signal.clone());
        if dies || actor.act.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
            self.actors[chosen] = None;
        }
        true
    }

    fn welcome(&mut self) {
        let begun = std::mem::take(&mut self.scene.state().begun);
        for actor in begun {
            let ready = self.scene.0.ready.clone();
            let signal = Arc::new(Signal { actor: self.actors.len(), signalled: AtomicBool::new(false), ready });
            signal.clone().wake();
            self.actors.push(Some((actor, signal)));
        }
    }

    /// A little time passes; where nobody else can go on, as much as it takes. Whether somebody waits for more.
    fn pass_time(&self) -> bool {
        let clock = &self.scene.0.clock;
        let idle = lock(&self.scene.0.ready).is_empty();
        let mut state = self.scene.state();
        state.steps += 1;
        let millis = 1 + state.dice.below(20);
        match state.timers.first_key_value() {
            Some(((until, _), _)) if idle => clock.set((*until).max(clock.now())),
            _ => clock.advance(Duration::from_millis(millis)),
        }
        let now = clock.now();
        while let Some(timer) = state.timers.first_entry().filter(|timer| timer.key().0 <= now) {
            timer.remove().wake();
        }
        !state.timers.is_empty()
    }

    fn choose(&self) -> Option<usize> {
        let mut ready = lock(&self.scene.0.ready);
        if ready.is_empty() {
            return None;
        }
        let chosen = self.scene.below(ready.len() as u64) as usize;
        Some(ready.swap_remove(chosen))
    }
}

/// The scene's clock, as a port.
pub(crate) struct SceneClock(pub(crate) Scene);

#[async_trait]
impl Clock for SceneClock {
    fn now(&self) -> Timestamp {
        self.0.0.clock.now()
    }

    async fn sleep(&self, time: Duration) {
        self.0.sleep(time).await;
    }
}

/// A manager's clock, which is hours ahead now and then.
pub(crate) struct HastyClock(pub(crate) Scene);

#[async_trait]
impl Clock for HastyClock {
    fn now(&self) -> Timestamp {
        let ahead = if self.0.mischief(20, |budget| &mut budget.haste) { 2 * LEASE_SECONDS_MIN } else { 0 };
        self.0.0.clock.now() + Duration::from_secs(ahead.into())
    }

    async fn sleep(&self, time: Duration) {
        self.0.sleep(time).await;
    }
}
