//! Columns of a plan as arrays: [`Type`]s as Arrow has them, and single cells as [`Value`]s.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions},
    datatypes::{
        DataType, Date32Type, Decimal128Type, Field, Int64Type, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType,
    },
    error::ArrowError,
};
use reconcile::{
    Type, Value,
    decimal::DIGITS_MAX,
    expression::ColumnId,
    plan::{Place, PlanColumn},
};

/// The digits of every decimal column.
pub(crate) const PRECISION: u8 = {
    assert!(DIGITS_MAX == 38, "Arrow's decimals of 128 bits have 38 digits");
    38
};

/// How the cells of a type are laid out.
pub(crate) fn data_type(kind: Type) -> DataType {
    match kind {
        Type::Text => DataType::Utf8View,
        Type::Integer => DataType::Int64,
        // A type has at most 20 decimals.
        Type::Decimal(scale) => DataType::Decimal128(PRECISION, i8::try_from(scale).unwrap_or(i8::MAX)),
        Type::Date => DataType::Date32,
        Type::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        Type::Boolean => DataType::Boolean,
    }
}

/// What a column is called in batches: by its number, for names may be shared.
pub(crate) fn field_name(id: ColumnId) -> String {
    format!("c{}", id.0)
}

/// The schema of a relation's batches.
pub(crate) fn schema_of(columns: &[PlanColumn]) -> SchemaRef {
    let field = |column: &PlanColumn| Field::new(field_name(column.id), data_type(column.kind), true);
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
}

/// A batch of these columns; of none it has `rows` rows all the same.
pub(crate) fn batch(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch, ArrowError> {
    RecordBatch::try_new_with_options(
        Arc::clone(schema),
        columns,
        &RecordBatchOptions::new().with_row_count(Some(rows)),
    )
}

/// The batch in that schema, with `new` as the column of that number.
pub(crate) fn with(
    before: &RecordBatch,
    column: ColumnId,
    new: &ArrayRef,
    schema: &SchemaRef,
) -> Result<RecordBatch, ArrowError> {
    let name = field_name(column);
    let of = |field: &Arc<Field>| match *field.name() == name {
        true => Ok(Arc::clone(new)),
        false => named(before, field.name()).cloned(),
    };
    let columns = schema.fields().iter().map(of).collect::<Result<_, _>>()?;
    batch(schema, columns, before.num_rows())
}

fn named<'b>(batch: &'b RecordBatch, name: &str) -> Result<&'b ArrayRef, ArrowError> {
    batch.column_by_name(name).ok_or_else(|| ArrowError::SchemaError(format!("column {name} is not there")))
}

/// The column of that number.
pub(crate) fn column(batch: &RecordBatch, id: ColumnId) -> Result<&ArrayRef, ArrowError> {
    named(batch, &field_name(id))
}

/// The cell of a row.
pub(crate) fn value(array: &dyn Array, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Blank;
    }
    match array.data_type() {
        DataType::Utf8View => Value::text(array.as_string_view().value(row)),
        DataType::Int64 => Value::Integer(array.as_primitive::<Int64Type>().value(row)),
        DataType::Decimal128(..) => Value::Decimal(array.as_primitive::<Decimal128Type>().value(row)),
        DataType::Date32 => Value::Date(array.as_primitive::<Date32Type>().value(row)),
        DataType::Timestamp(..) => Value::Timestamp(array.as_primitive::<TimestampMicrosecondType>().value(row)),
        DataType::Boolean => Value::Boolean(array.as_boolean().value(row)),
        _ => Value::Blank,
    }
}

/// The cells of a row in these columns.
pub(crate) fn values(batch: &RecordBatch, columns: &[PlanColumn], row: usize) -> Result<Vec<Value>, ArrowError> {
    columns.iter().map(|one| Ok(value(column(batch, one.id)?, row))).collect()
}

/// Which row of an input a row is made of: the object and the row in it.
pub(crate) fn origin(batch: &RecordBatch, place: &Place, row: usize) -> Option<(i64, i64)> {
    let number = |id: ColumnId| match value(column(batch, id).ok()?, row) {
        Value::Integer(number) => Some(number),
        _ => None,
    };
    Some((number(place.object)?, number(place.row)?))
}
