//! Fields to test with.

use serde_json::{Value, json};

use super::field::CompiledField;
use crate::descriptor::Schema;

pub(super) fn compile(field: Value) -> Result<CompiledField, String> {
    let schema: Schema = serde_json::from_value(json!({ "fields": [field] })).map_err(|error| error.to_string())?;
    let compiled = schema.compile().map_err(|error| error.to_string())?;
    Ok(compiled.fields.into_iter().next().unwrap())
}
