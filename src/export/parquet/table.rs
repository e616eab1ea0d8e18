//! One Parquet file, row by row.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::column::writer::ColumnWriter;
use parquet::data_type::{ByteArray, FixedLenByteArray};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::TypePtr;

use crate::export::ExportError;

/// Rows of one group: it is what a reader takes at once, and in memory until it is whole.
const GROUP_ROWS: usize = 64 << 10;
/// Bytes of one group, for rows with codes in them. They are in memory twice while the group is written.
const GROUP_BYTES: usize = 32 << 20;

/// A value of one column.
#[derive(Clone, Debug)]
pub(super) enum Cell {
    Int32(Option<i32>),
    Int64(Option<i64>),
    Double(f64),
    /// Of a fixed length or any.
    Bytes(Option<Vec<u8>>),
}

/// A file that rows are added to.
pub(super) struct Table {
    path: PathBuf,
    writer: SerializedFileWriter<File>,
    rows: Vec<Vec<Cell>>,
    bytes: usize,
}

/// The columns of a table.
pub(super) fn schema(columns: &str) -> Result<TypePtr, ExportError> {
    let schema = parse_message_type(columns);
    schema.map(Arc::new).map_err(|error| failed(Path::new("a table"), error))
}

impl Table {
    pub(super) fn create(path: &Path, schema: &TypePtr) -> Result<Self, ExportError> {
        let file = File::create(path).map_err(|source| ExportError::Write { path: path.into(), source })?;
        // Fast, small and read by everything; hashes do not shrink, whatever is used.
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let writer = SerializedFileWriter::new(file, schema.clone(), Arc::new(properties));
        let writer = writer.map_err(|error| failed(path, error))?;
        Ok(Self { path: path.into(), writer, rows: Vec::new(), bytes: 0 })
    }

    /// Adds a row with a cell for each column, in their order.
    pub(super) fn add(&mut self, row: Vec<Cell>) -> Result<(), ExportError> {
        self.bytes += row.iter().map(Cell::bytes).sum::<usize>();
        self.rows.push(row);
        if self.rows.len() < GROUP_ROWS && self.bytes < GROUP_BYTES { Ok(()) } else { self.write_group() }
    }

    /// Ends the file and brings it to the disk; how many bytes it has.
    pub(super) fn finish(mut self) -> Result<u64, ExportError> {
        self.write_group()?;
        let path = self.path;
        let file = self.writer.into_inner().map_err(|error| failed(&path, error))?;
        let synced = file.sync_all().and_then(|()| file.metadata());
        Ok(synced.map_err(|source| ExportError::Write { path, source })?.len())
    }

    fn write_group(&mut self) -> Result<(), ExportError> {
        let rows = std::mem::take(&mut self.rows);
        self.bytes = 0;
        if rows.is_empty() {
            return Ok(());
        }
        write_columns(&mut self.writer, rows).map_err(|error| failed(&self.path, error))
    }
}

fn write_columns(writer: &mut SerializedFileWriter<File>, rows: Vec<Vec<Cell>>) -> Result<(), ParquetError> {
    let mut group = writer.next_row_group()?;
    let mut rows: Vec<_> = rows.into_iter().map(Vec::into_iter).collect();
    while let Some(column) = group.next_column()? {
        let cells = rows.iter_mut().filter_map(Iterator::next).collect();
        write_column(column, cells)?;
    }
    group.close()?;
    Ok(())
}

fn write_column(mut column: SerializedColumnWriter<'_>, cells: Vec<Cell>) -> Result<(), ParquetError> {
    let levels: Vec<i16> = cells.iter().map(|cell| i16::from(cell.is_some())).collect();
    // What a required column makes nothing of.
    let levels = Some(levels.as_slice());
    match column.untyped() {
        ColumnWriter::Int32ColumnWriter(writer) => {
            writer.write_batch(&values(cells, Cell::int32), levels, None)?;
        }
        ColumnWriter::Int64ColumnWriter(writer) => {
            writer.write_batch(&values(cells, Cell::int64), levels, None)?;
        }
        ColumnWriter::DoubleColumnWriter(writer) => {
            writer.write_batch(&values(cells, Cell::double), levels, None)?;
        }
        ColumnWriter::ByteArrayColumnWriter(writer) => {
            let bytes = values(cells, Cell::into_bytes);
            writer.write_batch(&bytes.into_iter().map(ByteArray::from).collect::<Vec<_>>(), levels, None)?;
        }
        ColumnWriter::FixedLenByteArrayColumnWriter(writer) => {
            let bytes = values(cells, Cell::into_bytes).into_iter();
            let bytes: Vec<_> = bytes.map(|bytes| FixedLenByteArray::from(ByteArray::from(bytes))).collect();
            writer.write_batch(&bytes, levels, None)?;
        }
        _ => return Err(ParquetError::General("a column of a type that no table has".into())),
    }
    column.close()
}

fn values<T>(cells: Vec<Cell>, value: fn(Cell) -> Option<T>) -> Vec<T> {
    cells.into_iter().filter_map(value).collect()
}

impl Cell {
    fn is_some(&self) -> bool {
        match self {
            Self::Int32(value) => value.is_some(),
            Self::Int64(value) => value.is_some(),
            Self::Double(_) => true,
            Self::Bytes(value) => value.is_some(),
        }
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + if let Self::Bytes(Some(bytes)) = self { bytes.len() } else { 0 }
    }

    fn int32(self) -> Option<i32> {
        if let Self::Int32(value) = self { value } else { None }
    }

    fn int64(self) -> Option<i64> {
        if let Self::Int64(value) = self { value } else { None }
    }

    fn double(self) -> Option<f64> {
        if let Self::Double(value) = self { Some(value) } else { None }
    }

    fn into_bytes(self) -> Option<Vec<u8>> {
        if let Self::Bytes(value) = self { value } else { None }
    }
}

fn failed(path: &Path, error: ParquetError) -> ExportError {
    let source = match error {
        ParquetError::External(error) => match error.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(error) => io::Error::other(error),
        },
        other => io::Error::other(other),
    };
    ExportError::Write { path: path.into(), source }
}
