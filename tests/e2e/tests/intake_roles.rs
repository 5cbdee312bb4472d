//! Least privilege in force: what functions are refused.

use std::fs;

use e2e::{
    DATA, INPUT, Stack, WORK,
    command::invoke,
    roles::{
        Act::{Delete, Get, List, Put, Read, Scan, SendMail, SignLinks, Start, Write},
        Double,
    },
};
use intake::messages::RunId;
use serde_json::json;
use storage::{Location, Objects, objects::PutOptions};

const UPLOAD: &str = "default/intake/orders/e2e-roles.csv";
const PLAN: &str = "default/runs/default-none/plan.json";
const END: &str = "default/runs/default-none/end.json";
const OUTPUT: &str = "default/runs/default-none/output/none/o.csv";
const ARCHIVE: &str = "default/archive/orders/default-none/o.csv";

/// Each role's policies, tried with real calls. The acts that are allowed show that a refusal is one.
#[tokio::test]
async fn a_role_may_do_its_work_and_nothing_else() {
    let stack = Stack::connect().await;
    let of_nobody = [
        Write(INPUT, UPLOAD),
        Delete(INPUT, UPLOAD),
        Delete(DATA, ARCHIVE),
        Delete(DATA, END),
        Put("tieout-feeds"),
        Put("tieout-reference"),
        Scan("tieout-runs"),
        Scan("tieout-reference"),
    ];
    let roles = [
        (
            "FileArrivalRole",
            &[Read(INPUT, UPLOAD), List(INPUT), Put("tieout-runs"), Start("intake")][..],
            &[Read(WORK, PLAN), Read(DATA, OUTPUT), Write(DATA, END), Get("tieout-feeds"), SendMail, SignLinks][..],
        ),
        (
            "SplitterRole",
            &[Read(INPUT, UPLOAD), Write(WORK, PLAN), Get("tieout-feeds")],
            &[Read(DATA, OUTPUT), Write(DATA, END), Get("tieout-rejects"), Start("intake"), SendMail, SignLinks],
        ),
        (
            "ChunkProcessorRole",
            &[Read(INPUT, UPLOAD), Read(WORK, PLAN)],
            &[
                Read(DATA, OUTPUT),
                Write(WORK, PLAN),
                Write(DATA, END),
                Get("tieout-feeds"),
                Start("intake"),
                SendMail,
                SignLinks,
            ],
        ),
        (
            "MergerRole",
            &[Read(WORK, PLAN), Write(DATA, OUTPUT), Delete(DATA, OUTPUT), Read(INPUT, UPLOAD)],
            &[Write(WORK, PLAN), Get("tieout-feeds"), Get("tieout-reference"), Start("intake"), SendMail, SignLinks],
        ),
        (
            "EmailerRole",
            &[Read(DATA, END), Get("tieout-runs"), SendMail],
            &[
                Read(INPUT, UPLOAD),
                Read(WORK, PLAN),
                Read(DATA, OUTPUT),
                Write(DATA, OUTPUT),
                Get("tieout-feeds"),
                Start("intake"),
            ],
        ),
    ];
    for (role, allowed, refused) in roles {
        let double = Double::of(&stack, role).await;
        for act in allowed {
            assert!(double.may(*act).await, "{role} may not: {act:?}");
        }
        for act in refused.iter().chain(&of_nobody) {
            assert!(!double.may(*act).await, "{role} may: {act:?}");
        }
        double.delete().await;
    }
}

/// The functions that a payload can send somewhere are sent where their roles do not let them go. (None can send emailer
/// anywhere: it goes by its own bucket.)
#[tokio::test]
async fn a_function_that_is_sent_astray_is_stopped() {
    let stack = Stack::connect().await;
    let objects = stack.session.objects();
    let folder = tempfile::tempdir().unwrap();
    let stolen = json!({ "bucket": DATA, "key": "default/runs/secret.csv" });
    let at = Location::new(DATA, "default/runs/secret.csv");
    objects.put(&at, "a\n1\n".into(), PutOptions::default()).await.unwrap();

    let run = RunId::of("default", DATA, &at.key, "", 1);
    let request = json!({ "run": run, "feed": "default", "input": stolen });
    let mut plan = json!({
        "request": request,
        "feed": { "name": "default" },
        "mail_to": [],
        "mail_from": "",
        "header": ["a"],
        "compression": "none",
        "split": { "bucket": WORK, "ranges": "none", "chunks": 1, "records": 1, "bytes": 4 }
    });
    let plan_at = Location::new(WORK, intake::manifest::plan_key(&run));
    objects.put(&plan_at, plan.to_string().into(), PutOptions::default()).await.unwrap();
    let chunk = json!({ "index": 0, "start": 2, "end": 4, "records": 1, "first_row": 1 });

    // The merger's plan names ranges in a bucket that it may not read.
    let other = RunId::of("default", DATA, &at.key, "", 2);
    plan["request"]["run"] = json!(other);
    plan["split"]["bucket"] = json!(INPUT);
    let plan_at = Location::new(WORK, intake::manifest::plan_key(&other));
    objects.put(&plan_at, plan.to_string().into(), PutOptions::default()).await.unwrap();
    objects.put(&Location::new(INPUT, "none"), "[]".into(), PutOptions::default()).await.unwrap();

    let third = RunId::of("default", DATA, &at.key, "", 3);
    let arrival = json!({
        "detail-type": "Object Created",
        "detail": { "bucket": { "name": WORK }, "object": { "key": format!("default/intake/orders/{run}") } }
    });
    let at = Location::new(WORK, format!("default/intake/orders/{run}"));
    objects.put(&at, "a\n1\n".into(), PutOptions::default()).await.unwrap();
    for (function, event) in [
        ("file-arrival", arrival),
        ("splitter", json!({ "run": third, "feed": "default", "input": stolen })),
        ("chunk-processor", json!({ "run": run, "chunk": chunk })),
        ("merger", json!({ "run": other })),
    ] {
        let file = folder.path().join(function);
        fs::write(&file, event.to_string()).unwrap();
        let called = invoke(function, Some(&file));
        assert_eq!(called.status, 1, "{function} went where it must not: {called:?}");
        assert!(called.stdout.contains("not allowed to"), "{function}: {called:?}");
    }
}
