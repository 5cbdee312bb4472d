//! What job-planner would say of a job, before it is handed in.

use std::sync::Arc;

use error_class::{Classified, ErrorClass};
use jobs::{JobError, inputs::Finder};
use reconcile::Job;
use storage::{Objects, Tables};

use crate::error::Failure;

/// Where a job finds its inputs.
pub(crate) struct Inputs {
    pub(crate) objects: Arc<dyn Objects>,
    pub(crate) tables: Arc<dyn Tables>,
    pub(crate) feeds_table: String,
    pub(crate) ledgers_table: String,
    pub(crate) bucket: String,
    pub(crate) tenant: String,
}

impl Inputs {
    /// Refuses a job that cannot be planned. What cannot be looked at from here is left to job-planner.
    pub(crate) async fn plan(&self, job: &Job) -> Result<(), Failure> {
        let finder = Finder {
            objects: &self.objects,
            tables: &self.tables,
            feeds_table: &self.feeds_table,
            ledgers_table: &self.ledgers_table,
            bucket: &self.bucket,
            tenant: &self.tenant,
        };
        let planned = async { Ok::<_, JobError>(job.plan(&finder.find(job).await?.found)?) };
        match planned.await {
            Err(error) if error.class() == ErrorClass::InvalidInput => Err(Failure::misuse(error_class::chain(&error))),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs, path::Path};

    use serde_json::{Value, json};
    use storage::{
        Location, StorageError,
        memory::{Fault, Faulty, MemoryObjects, MemoryTables, Operation},
        objects::PutOptions,
    };

    use super::*;
    use crate::job::files::WithFiles;

    fn job(column: &str) -> Job {
        let job: Value = json!({
            "version": 1,
            "inputs": {
                "here": {"format": "csv", "objects": ["files/0/here.csv"], "columns": [{"name": "id", "type": "text"}]},
                "there": {"format": "csv", "objects": ["there.csv"], "columns": [{"name": "id", "type": "text"}]},
            },
            "steps": [{"name": "long", "operation": "len", "from": "here", "column": column, "as": "long"}],
            "outputs": [{"name": "long", "from": "long", "format": "csv"}, {"name": "there", "from": "there", "format": "csv"}],
        });
        Job::from_json(&job.to_string()).unwrap()
    }

    fn inputs(objects: impl Objects + 'static, file: &Path) -> Inputs {
        let at = Location::new("data", "acme/files/0/here.csv");
        let objects = WithFiles { objects, files: BTreeMap::from([(at, file.to_owned())]) };
        Inputs {
            objects: Arc::new(objects),
            tables: Arc::new(MemoryTables::default()),
            feeds_table: "feeds".to_owned(),
            ledgers_table: "ledgers".to_owned(),
            bucket: "data".to_owned(),
            tenant: "acme".to_owned(),
        }
    }

    #[tokio::test]
    async fn a_job_over_local_files_is_planned_before_they_are_uploaded() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("here.csv");
        fs::write(&file, "id\n1\n").unwrap();
        let refused = async |column: &str, objects: MemoryObjects| match inputs(objects, &file).plan(&job(column)).await
        {
            Err(Failure::Misuse(told)) => told,
            other => panic!("{other:?}"),
        };
        let there = async || {
            let objects = MemoryObjects::default();
            let at = Location::new("data", "acme/there.csv");
            objects.put(&at, "id\n2\n".into(), PutOptions::default()).await.unwrap();
            objects
        };
        inputs(there().await, &file).plan(&job("id")).await.unwrap();
        let told = refused("idd", there().await).await;
        assert!(told.starts_with("step \"long\" (len), column \"idd\":"), "{told}");
        let told = refused("id", MemoryObjects::default()).await;
        assert!(told.contains("input \"there\": s3://data/acme/there.csv does not exist"), "{told}");
        // Who may hand in may not be allowed to look.
        let denied = |operation: &Operation| {
            let error = || StorageError::Denied { action: "HeadObject".into(), what: "there".into() };
            (operation.name == "head").then(|| Fault::Refused(error()))
        };
        inputs(Faulty::new(Arc::new(there().await), denied), &file).plan(&job("idd")).await.unwrap();
    }

    #[tokio::test]
    async fn what_is_no_parquet_is_told_of_the_file_here() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("here.parquet");
        fs::write(&file, "PAR1 but not at the end").unwrap();
        let job = json!({
            "version": 1,
            "inputs": {"here": {"format": "parquet", "objects": ["files/0/here.csv"]}},
            "outputs": [{"name": "out", "from": "here", "format": "csv"}],
        });
        let planned = inputs(MemoryObjects::default(), &file).plan(&Job::from_json(&job.to_string()).unwrap()).await;
        let Err(Failure::Misuse(told)) = planned else { panic!("{planned:?}") };
        assert!(told.contains("is no Parquet file: it does not end as one"), "{told}");
    }
}
