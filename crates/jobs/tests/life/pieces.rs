//! Outputs that are checked in pieces: each part is read once, whatever happens to the pieces.

use error_class::{Classified, ErrorClass};
use jobs::{
    JobError, layout,
    manifest::Finding,
    messages::{CheckAction, CheckReply, Piece},
};
use reconcile::task::TaskJob;
use storage::{Location, Objects, documents};

use crate::kit::{Handlers, ORDERS, WORK, World, attempt, body, check_request, document, lost};

/// An attempt whose four parts make three pieces, not read yet.
struct Begun {
    world: World,
    handlers: Handlers,
    job: TaskJob,
    report: Location,
    pieces: Vec<Piece>,
}

impl Begun {
    async fn new() -> Self {
        let world = World::in_pieces(60);
        world.put("acme/orders.csv", ORDERS).await;
        let handlers = world.handlers();
        world.deliver(&handlers, &body("close", &document())).await;
        let job = attempt("close", 1);
        let report = world.to_engine(&handlers, &job).await.unwrap().report;
        let CheckReply::Begun(begun) =
            handlers.checker.handle(check_request(&job, &report, CheckAction::Check)).await.unwrap()
        else {
            panic!("a check begins")
        };
        let pieces = world.pieces(&Location::new(begun.bucket, begun.pieces)).await;
        assert_eq!((begun.count, begun.figures.parts), (3, 4));
        assert_eq!(pieces.iter().map(|piece| (piece.from, piece.to)).collect::<Vec<_>>(), [(0, 2), (2, 3), (3, 4)]);
        Self { world, handlers, job, report, pieces }
    }

    async fn ask(&self, action: CheckAction) -> Result<CheckReply, JobError> {
        self.handlers.checker.handle(check_request(&self.job, &self.report, action)).await
    }

    async fn read_all(&self) {
        for piece in &self.pieces {
            self.ask(CheckAction::CheckPiece { piece: *piece }).await.unwrap();
        }
    }

    fn at(&self, piece: u32) -> Location {
        Location::new(WORK, layout::finding_key(&self.job, piece))
    }

    async fn finding(&self, piece: u32) -> Finding {
        documents::read(&*self.world.objects, &self.at(piece)).await.unwrap().expect("it was read")
    }

    async fn put(&self, piece: u32, finding: &Finding) {
        documents::write(&*self.world.objects, &self.at(piece), finding).await.unwrap();
    }

    async fn is_checked(&self) -> bool {
        let at = Location::new(WORK, layout::checked_key(&self.job));
        self.world.objects.head(&at, None).await.is_ok()
    }

    /// The sum is refused, in these words.
    async fn does_not_add_up(&self, words: &str) -> JobError {
        let error = self.ask(CheckAction::AddUp).await.unwrap_err();
        assert!(error.to_string().contains(words), "{words}: {error}");
        assert!(!self.is_checked().await, "{words}");
        error
    }
}

#[tokio::test]
async fn pieces_may_be_read_twice_late_and_at_once() {
    let mut begun = Begun::new().await;
    let [first, second, third] = begun.pieces[..] else { panic!("three pieces") };
    let read = |piece| begun.ask(CheckAction::CheckPiece { piece });
    let (one, other) = tokio::join!(read(second), read(second));
    assert_eq!((one.unwrap(), other.unwrap()), (CheckReply::Piece {}, CheckReply::Piece {}));
    assert_eq!(serde_json::to_string(&read(third).await.unwrap()).unwrap(), "{}", "children's replies share a payload");
    begun.does_not_add_up("check/00000.json is missing").await;
    read(first).await.unwrap();
    // A worker that was taken for lost has read it after all.
    begun.ask(CheckAction::ReportPiece { piece: third, failure: lost() }).await.unwrap();
    let add = || begun.ask(CheckAction::AddUp);
    let (one, other) = tokio::join!(add(), add());
    let CheckReply::Checked(figures) = one.unwrap() else { panic!("it is checked") };
    assert_eq!((figures.parts, other.unwrap()), (4, CheckReply::Checked(figures)));
    // The pieces stay as they are, with whatever bound they are asked for again.
    begun.world.piece_bytes = 100;
    let wider = begun.world.handlers();
    let again = wider.checker.handle(check_request(&begun.job, &begun.report, CheckAction::Check)).await.unwrap();
    let CheckReply::Begun(again) = again else { panic!("a check begins") };
    assert_eq!(again.count, 3);
}

#[tokio::test]
async fn a_piece_that_is_lost_or_doubled_is_noticed() {
    let begun = Begun::new().await;
    begun.read_all().await;
    let pieces = Location::new(WORK, layout::pieces_key(&begun.job));
    for (listed, words) in [
        (vec![0, 1], "part-00001.jsonl: it should be part 1 of those that were read again, which is nothing"),
        (vec![1, 2], "part-00000.csv: it should be part 0"),
        (vec![0, 1, 2, 2], "part-00001.jsonl: it should be part 2 of those that were read again, which is more"),
        (vec![0, 2, 1], "part-00000.jsonl: it should be part 0"),
    ] {
        let listed: Vec<Piece> = listed.into_iter().map(|index: usize| begun.pieces[index]).collect();
        documents::write(&*begun.world.objects, &pieces, &listed).await.unwrap();
        let error = begun.does_not_add_up(words).await;
        assert_eq!(error.class(), ErrorClass::ControlTotalMismatch);
    }
    documents::write(&*begun.world.objects, &pieces, &begun.pieces).await.unwrap();
    begun.put(2, &begun.finding(1).await).await;
    begun.does_not_add_up("part-00001.jsonl: it should be part 1").await;
}

#[tokio::test]
async fn what_was_found_in_another_attempt_does_not_count() {
    let begun = Begun::new().await;
    begun.read_all().await;
    let found = begun.finding(1).await;
    let text = serde_json::to_string(&found).unwrap();
    let other = text.replace("attempt=1", "attempt=2");
    assert_ne!(text, other);
    begun.put(1, &serde_json::from_str(&other).unwrap()).await;
    begun
        .does_not_add_up("it should be part 0 of those that were read again, which is acme/jobs/close/attempt=2")
        .await;
    // Nor does what was found in parts of other lengths: those of a report that another has replaced.
    let Finding::Read { mut outputs } = found.clone() else { panic!("{found:?}") };
    outputs[0].parts[0].bytes += 1;
    begun.put(1, &Finding::Read { outputs: outputs.clone() }).await;
    begun.does_not_add_up("it should be part 0").await;
    outputs[0].parts[0].bytes -= 1;
    outputs[0].totals.insert("net".to_owned(), "7.5".to_owned());
    begun.put(1, &Finding::Read { outputs }).await;
    begun.does_not_add_up("it has the totals").await;
    begun.put(1, &found).await;
    begun.ask(CheckAction::AddUp).await.unwrap();
    assert!(begun.is_checked().await);
}

#[tokio::test]
async fn the_reason_of_a_piece_is_the_check_s() {
    let begun = Begun::new().await;
    begun.ask(CheckAction::ReportPiece { piece: begun.pieces[0], failure: lost() }).await.unwrap();
    begun.read_all().await;
    let error = begun.does_not_add_up("it took too long").await;
    assert!(error.to_string().contains("WorkerLost"), "the first that is said of a piece stands: {error}");
    assert_eq!(error.class(), ErrorClass::Bug, "to add up again would be in vain");
}

#[tokio::test]
async fn nobody_reads_pieces_of_a_job_that_is_cancelled() {
    let begun = Begun::new().await;
    assert!(begun.world.jobs().ask_cancel(&begun.job).await.unwrap());
    for action in [CheckAction::Check, CheckAction::CheckPiece { piece: begun.pieces[0] }, CheckAction::AddUp] {
        assert_eq!(begun.ask(action).await.unwrap_err().class(), ErrorClass::Conflict);
    }
}

#[tokio::test]
async fn a_part_that_no_call_can_read_is_refused_with_advice() {
    let begun = Begun::new().await;
    let report = documents::read::<serde_json::Value>(&*begun.world.objects, &begun.report).await;
    let mut report = report.unwrap().expect("there is a report");
    report["outputs"][0]["parts"][0]["bytes"] = (9_u64 << 30).into();
    documents::write(&*begun.world.objects, &begun.report, &report).await.unwrap();
    let error = begun.ask(CheckAction::Check).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::TooLarge);
    for words in ["part-00000.csv", "it has 9216 MiB, and at most 8192 MiB", "several outputs"] {
        assert!(error.to_string().contains(words), "{words}: {error}");
    }
}
