//! Least privilege in force: what the ledger's functions are refused.

use e2e::{
    DATA, INPUT, Stack, WORK,
    roles::{
        Act::{self, Delete, Get, List, Put, Read, Scan, SendMail, SignLinks, Start, Write},
        Double,
    },
};

const UPLOAD: &str = "default/batches/orders/b1/part.csv";
const PINNED: &str = "default/ledgers/orders/batches/b1/digest.json";
const SPLIT: &str = "default/ledgers/orders/job=000000000001-5f0c2a917b3e/split.json";
const REDUCED: &str = "default/ledgers/orders/job=000000000001-5f0c2a917b3e/reduce/000000.json";
const COMBINED: &str = "default/ledgers/orders/job=000000000001-5f0c2a917b3e/combine/0000.json";
const PREFETCHED: &str = "default/ledgers/orders/job=000000000001-5f0c2a917b3e/prefetch/0000.json";
const PART: &str = "default/ledgers/orders/job=000000000001-5f0c2a917b3e/apply/0000/attempt/part-00000.jsonl";
const APPLIED: &str = "default/ledgers/orders/job=000000000001-5f0c2a917b3e/apply-attempt.json";
const TASKS: &str = "default/ledgers/orders/job=000000000001-5f0c2a917b3e/index/attempt.json";
const REJECTS: &str = "default/ledgers/orders/job=000000000001-5f0c2a917b3e/rejects/reduce/attempt.csv";
const OUTPUT: &str = "default/runs/default-none/output/none/o.csv";
const LEDGERS: &str = "tieout-ledgers";
const ARTIFACTS: &str = "tieout-artifacts";

/// Nobody's.
const OF_NOBODY: [Act; 13] = [
    Write(INPUT, UPLOAD),
    Delete(INPUT, UPLOAD),
    Delete(DATA, PART),
    Delete(DATA, PINNED),
    Delete(WORK, SPLIT),
    Read(DATA, OUTPUT),
    Write(DATA, OUTPUT),
    Scan(LEDGERS),
    Scan(ARTIFACTS),
    Put("tieout-runs"),
    Start("intake"),
    SendMail,
    SignLinks,
];

/// Role, what it must be let do, and what it must not.
const ROLES: [(&str, &[Act], &[Act]); 10] = [
    (
        "BatchRegistrarRole",
        &[Read(INPUT, UPLOAD), Write(DATA, PINNED), Put(LEDGERS), Start("stateless"), Start("stateful")],
        &[Write(DATA, PART), Read(WORK, SPLIT), Put(ARTIFACTS), Get(ARTIFACTS)],
    ),
    (
        "BacklogManagerRole",
        &[Put(LEDGERS), Start("stateless"), Start("stateful")],
        &[Read(INPUT, UPLOAD), Read(DATA, PINNED), Write(DATA, PART), Read(WORK, SPLIT), Put(ARTIFACTS)],
    ),
    (
        "JobSplitterRole",
        &[Read(INPUT, UPLOAD), Read(DATA, PINNED), Write(WORK, SPLIT), List(INPUT)],
        &[Write(DATA, PINNED), Write(DATA, PART), Write(WORK, REDUCED), Put(ARTIFACTS), Start("stateless")],
    ),
    (
        "ReducerRole",
        &[Read(INPUT, UPLOAD), Read(WORK, SPLIT), Write(WORK, REDUCED), Write(DATA, REJECTS)],
        &[Write(DATA, PINNED), Write(DATA, PART), Write(WORK, COMBINED), Put(ARTIFACTS), Start("stateless")],
    ),
    (
        "CombinerRole",
        &[Read(WORK, REDUCED), Write(WORK, COMBINED), Write(DATA, REJECTS), Get(LEDGERS)],
        &[Read(INPUT, UPLOAD), Write(DATA, PART), Write(WORK, REDUCED), Put(ARTIFACTS), Start("stateless")],
    ),
    (
        "StageCoordinatorRole",
        &[Read(WORK, SPLIT), Write(DATA, APPLIED), Put(LEDGERS)],
        &[Read(INPUT, UPLOAD), Write(DATA, PART), Write(DATA, PINNED), Put(ARTIFACTS), Start("stateful")],
    ),
    (
        "PrefetcherRole",
        &[Read(WORK, COMBINED), Read(DATA, PART), Write(WORK, PREFETCHED), Get(LEDGERS)],
        &[Read(INPUT, UPLOAD), Write(DATA, PART), Put(ARTIFACTS), Start("stateful")],
    ),
    (
        "StateEngineRole",
        &[Read(WORK, COMBINED), Read(WORK, PREFETCHED), Read(DATA, PART), Write(DATA, PART), Get(LEDGERS)],
        &[Read(INPUT, UPLOAD), Write(DATA, PINNED), Write(WORK, PREFETCHED), Put(ARTIFACTS), Start("stateful")],
    ),
    (
        "IndexCoordinatorRole",
        &[Read(DATA, APPLIED), Write(WORK, TASKS), Put(LEDGERS)],
        &[Read(INPUT, UPLOAD), Write(DATA, PART), Write(DATA, APPLIED), Put(ARTIFACTS), Start("stateful")],
    ),
    (
        "IndexWorkerRole",
        &[Read(DATA, PART), Put(ARTIFACTS), Get(LEDGERS)],
        &[Read(INPUT, UPLOAD), Write(DATA, PART), Write(DATA, APPLIED), Write(WORK, TASKS), Start("stateful")],
    ),
];

/// Each role's policies, tried with real calls. The acts that are allowed show that a refusal is one.
#[tokio::test]
async fn a_role_may_do_its_work_and_nothing_else() {
    let stack = Stack::connect().await;
    for (role, allowed, refused) in ROLES {
        let double = Double::of(&stack, role).await;
        for act in allowed {
            assert!(double.may(*act).await, "{role} may not: {act:?}");
        }
        for act in refused.iter().chain(&OF_NOBODY) {
            assert!(!double.may(*act).await, "{role} may: {act:?}");
        }
        double.delete().await;
    }
}
