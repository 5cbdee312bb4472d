//! Items that a task makes in the background, ahead of whoever takes them.

use std::fmt;

use datafusion_common::{DataFusionError, Result};
use tokio::{
    sync::mpsc::{self, Receiver, Sender},
    task::JoinSet,
};

/// The items that a task sends. It is stopped when nobody takes them any more.
pub(crate) struct Feed<T> {
    items: Receiver<Result<T>>,
    task: JoinSet<()>,
}

/// Whatever its items are.
impl<T> fmt::Debug for Feed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").finish_non_exhaustive()
    }
}

impl<T: Send + 'static> Feed<T> {
    /// Begins a task, which may be that many items ahead.
    pub(crate) fn of<F>(ahead: usize, task: impl FnOnce(Sender<Result<T>>) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (sender, items) = mpsc::channel(ahead);
        let mut set = JoinSet::new();
        set.spawn(task(sender));
        Self { items, task: set }
    }

    /// The next item; `None` behind the last. A task that panics has not sent its last: that is an error.
    pub(crate) async fn next(&mut self) -> Result<Option<T>> {
        if let Some(item) = self.items.recv().await {
            return item.map(Some);
        }
        match self.task.join_next().await {
            Some(Err(error)) => Err(DataFusionError::External(Box::new(error))),
            Some(Ok(())) | None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_has_not_come_to_its_end() {
        for panics in [false, true] {
            let mut feed = Feed::of(1, |sender| async move {
                sender.send(Ok(7)).await.unwrap();
                assert!(!panics, "a panic that this test wants");
            });
            assert_eq!(feed.next().await.unwrap(), Some(7));
            assert_eq!(feed.next().await.is_err(), panics);
        }
    }
}
