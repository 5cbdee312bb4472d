//! What a person can do about a failed run.

use error_class::ErrorClass;

use crate::{RunFigures, text::command};

/// What to do, by error class. `figures` is a failed run's.
pub(crate) fn advice(figures: &RunFigures, class: &str) -> String {
    let RunFigures { run, feed, tenant, .. } = figures;
    let (show_run, show_feed) =
        (command(tenant, &format!("run show {run}")), command(tenant, &format!("feed show {feed}")));
    let list = command(tenant, "run list");
    let again = "upload it again, under the same name or another: that starts a new run";
    match ErrorClass::ALL.into_iter().find(|known| known.as_str() == class) {
        Some(ErrorClass::InvalidInput) => {
            format!("Correct the file, or the feed if it asks for the wrong thing ({show_feed}). Then {again}.")
        }
        Some(ErrorClass::Throttled | ErrorClass::Unavailable | ErrorClass::WorkerLost) => format!(
            "The file is not at fault. tieout tried several times and gave up. To try once more, {again}. \
             If that fails too, tell the people who run tieout: {show_run} is what they need."
        ),
        Some(ErrorClass::ControlTotalMismatch) => format!(
            "Two independent counts or sums of the same records differ, so nothing was published. This is never the \
             sender's fault. Tell the people who run tieout: {show_run} is what they need."
        ),
        Some(ErrorClass::Conflict) => format!(
            "Another run took the same file, or something was in the way of this one. {list} shows whether it \
             was published; if it was not, {again}."
        ),
        Some(ErrorClass::TooLarge | ErrorClass::Bug) | None => format!(
            "This is a fault of tieout or of its set-up, not of the file. Tell the people who run tieout: \
             {show_run} is what they need."
        ),
    }
}
