//! Inputs as Apache Parquet: every file stores its columns in ways of its own, in several groups of rows.

use std::{io, sync::Arc};

use parquet::{
    basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical},
    data_type::{BoolType, ByteArray, ByteArrayType, FixedLenByteArray, FixedLenByteArrayType, Int32Type, Int64Type},
    errors::ParquetError,
    file::{
        properties::{WriterProperties, WriterVersion},
        writer::{SerializedColumnWriter, SerializedFileWriter},
    },
    schema::types::Type as Schema,
};
use reconcile::{Type, Value};

use super::Data;
use crate::dice::Dice;

/// Rows as a file.
pub(super) fn bytes(dice: &mut Dice, data: &Data, rows: &[Vec<Value>]) -> io::Result<Vec<u8>> {
    let mut columns: Vec<Column> = data
        .columns
        .iter()
        .enumerate()
        .map(|(at, (name, kind))| Column::of(dice, name, *kind, rows.iter().filter_map(|row| row.get(at)).collect()))
        .collect();
    // What is not read may be of any type.
    if dice.below(3) == 0 {
        let cells = Cells::Wide(rows.iter().map(|_| (dice.below(2) == 0).then_some(7)).collect());
        let clock = LogicalType::time(true, dice.pick(&[TimeUnit::MICROS, TimeUnit::NANOS]));
        columns.push(Column { name: "another".to_owned(), note: Some(clock), cells });
    }
    let turn = dice.below(columns.len() as u64) as usize;
    columns.rotate_left(turn);
    let groups = 1 + dice.below(3) as usize;
    write(dice, &columns, rows.len(), groups).map_err(io::Error::other)
}

fn write(dice: &mut Dice, columns: &[Column], rows: usize, groups: usize) -> Result<Vec<u8>, ParquetError> {
    let fields = columns.iter().map(Column::field).collect::<Result<_, _>>()?;
    let schema = Arc::new(Schema::group_type_builder("rows").with_fields(fields).build()?);
    let packed =
        [Compression::UNCOMPRESSED, Compression::SNAPPY, Compression::LZ4_RAW, Compression::ZSTD(Default::default())];
    let properties = WriterProperties::builder()
        .set_compression(dice.pick(&packed))
        .set_dictionary_enabled(dice.below(2) == 0)
        .set_writer_version(dice.pick(&[WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0]));
    let mut file = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties.build()))?;
    let step = rows.div_ceil(groups).max(1);
    for start in (0..rows).step_by(step) {
        let mut group = file.next_row_group()?;
        for column in columns {
            let mut writer =
                group.next_column()?.ok_or_else(|| ParquetError::General("a column is missing".to_owned()))?;
            column.cells.write(&mut writer, start..rows.min(start + step))?;
            writer.close()?;
        }
        group.close()?;
    }
    file.into_inner()
}

/// A column as a file stores it.
struct Column {
    name: String,
    /// What its cells stand for, where it is not what they are.
    note: Option<LogicalType>,
    cells: Cells,
}

enum Cells {
    Truth(Vec<Option<bool>>),
    Narrow(Vec<Option<i32>>),
    Wide(Vec<Option<i64>>),
    Bytes(Vec<Option<Vec<u8>>>),
    /// All of that length.
    Fixed(usize, Vec<Option<Vec<u8>>>),
}

impl Column {
    /// A column of those values, stored in one of the ways that hold all of them.
    fn of(dice: &mut Dice, name: &str, kind: Type, values: Vec<&Value>) -> Self {
        let mut ways = ways(kind);
        let turn = dice.below(ways.len().max(1) as u64) as usize;
        ways.rotate_left(turn);
        let stored = ways.into_iter().find_map(|way| Some((way.cells(&values)?, way.note)));
        let (cells, note) = match stored {
            _ if kind == Type::Boolean && dice.below(4) > 0 => {
                let truth = |value: &&Value| if let Value::Boolean(truth) = value { Some(*truth) } else { None };
                (Cells::Truth(values.iter().map(truth).collect()), None)
            }
            Some(stored) if dice.below(6) > 0 => (stored.0, stored.1),
            _ => {
                let text =
                    |value: &&Value| (!value.is_blank() || dice.below(2) == 0).then(|| kind.format(value).into_bytes());
                (Cells::Bytes(values.iter().map(text).collect()), Some(LogicalType::String))
            }
        };
        Self { name: name.to_owned(), note, cells }
    }

    fn field(&self) -> Result<Arc<Schema>, ParquetError> {
        let (physical, length) = match &self.cells {
            Cells::Truth(_) => (Physical::BOOLEAN, -1),
            Cells::Narrow(_) => (Physical::INT32, -1),
            Cells::Wide(_) => (Physical::INT64, -1),
            Cells::Bytes(_) => (Physical::BYTE_ARRAY, -1),
            Cells::Fixed(length, _) => (Physical::FIXED_LEN_BYTE_ARRAY, i32::try_from(*length).unwrap_or(-1)),
        };
        let (scale, precision) = match &self.note {
            Some(LogicalType::Decimal(decimal)) => (decimal.scale, decimal.precision),
            _ => (-1, -1),
        };
        let field = Schema::primitive_type_builder(&self.name, physical).with_repetition(Repetition::OPTIONAL);
        let field = field.with_length(length).with_scale(scale).with_precision(precision);
        Ok(Arc::new(field.with_logical_type(self.note.clone()).build()?))
    }
}

impl Cells {
    fn write(&self, to: &mut SerializedColumnWriter<'_>, rows: std::ops::Range<usize>) -> Result<(), ParquetError> {
        fn some<V: Clone, W>(
            cells: &[Option<V>],
            rows: std::ops::Range<usize>,
            of: impl Fn(V) -> W,
        ) -> (Vec<W>, Vec<i16>) {
            let cells = cells.get(rows).unwrap_or_default();
            (
                cells.iter().flatten().cloned().map(of).collect(),
                cells.iter().map(|cell| i16::from(cell.is_some())).collect(),
            )
        }
        let bytes = |cell: Vec<u8>| ByteArray::from(cell);
        match self {
            Self::Truth(cells) => {
                let (values, levels) = some(cells, rows, |cell| cell);
                to.typed::<BoolType>().write_batch(&values, Some(&levels), None)?
            }
            Self::Narrow(cells) => {
                let (values, levels) = some(cells, rows, |cell| cell);
                to.typed::<Int32Type>().write_batch(&values, Some(&levels), None)?
            }
            Self::Wide(cells) => {
                let (values, levels) = some(cells, rows, |cell| cell);
                to.typed::<Int64Type>().write_batch(&values, Some(&levels), None)?
            }
            Self::Bytes(cells) => {
                let (values, levels) = some(cells, rows, bytes);
                to.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None)?
            }
            Self::Fixed(_, cells) => {
                let (values, levels) = some(cells, rows, |cell| FixedLenByteArray::from(bytes(cell)));
                to.typed::<FixedLenByteArrayType>().write_batch(&values, Some(&levels), None)?
            }
        };
        Ok(())
    }
}

/// How numbers are stored: units of which one is so many, or so many are one, of the value's.
struct Way {
    shape: Shape,
    note: Option<LogicalType>,
    times: i128,
    over: i128,
    least: i128,
    most: i128,
}

#[derive(Clone, Copy)]
enum Shape {
    Narrow,
    Wide,
    Bytes,
    Fixed(usize),
}

const MICROSECONDS_OF_A_DAY: i128 = 86_400_000_000;

impl Way {
    const fn new(shape: Shape, note: Option<LogicalType>, least: i128, most: i128) -> Self {
        Self { shape, note, times: 1, over: 1, least, most }
    }

    fn scaled(self, times: i128, over: i128) -> Self {
        Self { times, over, ..self }
    }

    /// The values as they are stored; `None` where one of them cannot be.
    fn cells(&self, values: &[&Value]) -> Option<Cells> {
        let unit = |value: &&Value| -> Option<Option<i128>> {
            let units = match value {
                Value::Blank => return Some(None),
                Value::Integer(number) | Value::Timestamp(number) => i128::from(*number),
                Value::Decimal(units) => *units,
                Value::Date(days) => i128::from(*days),
                Value::Text(_) | Value::Boolean(_) => return None,
            };
            let units = units.checked_mul(self.times).filter(|units| units % self.over == 0)? / self.over;
            (self.least..=self.most).contains(&units).then_some(Some(units))
        };
        let units: Vec<Option<i128>> = values.iter().map(unit).collect::<Option<_>>()?;
        let units = units.into_iter();
        Some(match self.shape {
            // What has no sign wraps.
            Shape::Narrow => Cells::Narrow(units.map(|one| one.map(|units| units as i32)).collect()),
            Shape::Wide => Cells::Wide(units.map(|one| one.map(|units| units as i64)).collect()),
            Shape::Bytes => Cells::Bytes(units.map(|one| one.map(shortest)).collect()),
            Shape::Fixed(length) => {
                Cells::Fixed(length, units.map(|one| one.map(|units| long(units, length))).collect())
            }
        })
    }
}

/// A number in the fewest bytes, the highest first.
fn shortest(number: i128) -> Vec<u8> {
    let length = (1..16).find(|length| number >> (8 * length - 1) == number >> 127).unwrap_or(16);
    long(number, length)
}

fn long(number: i128, length: usize) -> Vec<u8> {
    let sign = if number < 0 { 0xff } else { 0 };
    let mut bytes = vec![sign; length.saturating_sub(16)];
    let whole = number.to_be_bytes();
    bytes.extend(whole.iter().skip(whole.len().saturating_sub(length)));
    bytes
}

/// The ways to store values of a type, but for texts.
fn ways(kind: Type) -> Vec<Way> {
    match kind {
        Type::Integer => [integers(), decimals(0, 1, 1), decimals(3, 1_000, 1)].into_iter().flatten().collect(),
        Type::Decimal(scale) => {
            let one = 10_i128.pow(u32::from(scale));
            let whole = integers().into_iter().map(|way| way.scaled(1, one));
            let fewer = scale.checked_sub(1).map(|fewer| decimals(fewer, 1, 10));
            let others = [Some(decimals(scale, 1, 1)), Some(decimals(scale + 2, 100, 1)), fewer];
            others.into_iter().flatten().flatten().chain(whole).collect()
        }
        Type::Date => vec![Way::new(Shape::Narrow, Some(LogicalType::Date), i32::MIN.into(), i32::MAX.into())],
        Type::Timestamp => {
            let days = Way::new(Shape::Narrow, Some(LogicalType::Date), i32::MIN.into(), i32::MAX.into());
            let of = |unit, times, over| {
                let note = |zone| Some(LogicalType::timestamp(zone, unit));
                [true, false]
                    .map(|zone| Way::new(Shape::Wide, note(zone), i64::MIN.into(), i64::MAX.into()).scaled(times, over))
            };
            let units = [of(TimeUnit::NANOS, 1_000, 1), of(TimeUnit::MICROS, 1, 1), of(TimeUnit::MILLIS, 1, 1_000)];
            units.into_iter().flatten().chain([days.scaled(1, MICROSECONDS_OF_A_DAY)]).collect()
        }
        Type::Text | Type::Boolean => Vec::new(),
    }
}

fn integers() -> Vec<Way> {
    let sized = |bits: i8, signed: bool| {
        let (least, most) = if signed { (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) } else { (0, (1 << bits) - 1) };
        let shape = if bits == 64 { Shape::Wide } else { Shape::Narrow };
        Way::new(shape, Some(LogicalType::integer(bits, signed)), least, most)
    };
    let noted = [(8, true), (8, false), (16, true), (16, false), (32, true), (32, false), (64, true)];
    let mut ways: Vec<Way> = noted.into_iter().map(|(bits, signed)| sized(bits, signed)).collect();
    ways.push(Way::new(Shape::Narrow, None, i32::MIN.into(), i32::MAX.into()));
    ways.push(Way::new(Shape::Wide, None, i64::MIN.into(), i64::MAX.into()));
    ways
}

/// Decimals of that scale, in everything that holds some.
fn decimals(scale: u8, times: i128, over: i128) -> Vec<Way> {
    let shapes = [
        (Shape::Narrow, 9),
        (Shape::Wide, 18),
        (Shape::Fixed(8), 18),
        (Shape::Fixed(9), 18),
        (Shape::Fixed(16), 38),
        (Shape::Fixed(17), 38),
        (Shape::Bytes, 5),
        (Shape::Bytes, 38),
    ];
    let fits = |(_, digits): &(Shape, u8)| scale <= *digits && scale <= reconcile::SCALE_MAX;
    let way = |(shape, digits): (Shape, u8)| {
        let most = 10_i128.pow(u32::from(digits)) - 1;
        Way::new(shape, Some(LogicalType::decimal(scale.into(), digits.into())), -most, most).scaled(times, over)
    };
    shapes.into_iter().filter(fits).map(way).collect()
}
