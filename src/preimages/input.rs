//! A file of any size, plain or compressed, read from its beginning to its end.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::PreimageError;

/// What is read at a time, and so what can be looked at ahead.
const BUFFER_BYTES: usize = 64 << 10;
/// The first bytes of every gzip and every zstd file (RFC 1952, section 2.3.1; RFC 8878, section 3.1.1).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The longest payload whose length fits in the header byte (yellow paper, appendix B).
const MAX_SHORT: u8 = 55;

/// A file's content.
pub(super) struct Input {
    file: String,
    format: &'static str,
    content: BufReader<Box<dyn Read>>,
    /// Bytes that were taken.
    at: u64,
}

/// An item of RLP.
pub(super) enum Item {
    /// A string.
    Bytes(Vec<u8>),
    /// A list's payload.
    List(Vec<u8>),
    /// A string or list that is longer than was wanted, passed over.
    Long,
}

impl Input {
    pub(super) fn open(path: &Path) -> Result<Self, PreimageError> {
        let name = path.display().to_string();
        let failed = |source| PreimageError::Read { file: name.clone(), source };
        let mut file = BufReader::with_capacity(BUFFER_BYTES, File::open(path).map_err(failed)?);
        let first = file.fill_buf().map_err(failed)?;
        let (gzip, zstd) = (first.starts_with(&GZIP_MAGIC), first.starts_with(&ZSTD_MAGIC));
        let content: Box<dyn Read> = if gzip {
            Box::new(MultiGzDecoder::new(file))
        } else if zstd {
            Box::new(zstd::Decoder::with_buffer(file).map_err(failed)?)
        } else {
            Box::new(file)
        };
        let content = BufReader::with_capacity(BUFFER_BYTES, content);
        Ok(Self { file: name, format: "known", content, at: 0 })
    }

    /// Says what it is read as, for errors.
    pub(super) fn read_as(&mut self, format: &'static str) {
        self.format = format;
    }

    /// The first bytes of what is left; fewer than asked for only at the end.
    pub(super) fn peek(&mut self, bytes: usize) -> Result<Vec<u8>, PreimageError> {
        let mut first = Vec::new();
        let read = self.content.by_ref().take(bytes as u64).read_to_end(&mut first);
        read.map_err(|source| self.failed(source))?;
        let rest = std::mem::replace(&mut self.content, BufReader::new(Box::new(io::empty())));
        let joined: Box<dyn Read> = Box::new(io::Cursor::new(first.clone()).chain(rest));
        self.content = BufReader::with_capacity(BUFFER_BYTES, joined);
        Ok(first)
    }

    /// All that is left, to a limit.
    pub(super) fn rest(mut self, limit: u64) -> Result<(String, Vec<u8>), PreimageError> {
        let mut all = Vec::new();
        let read = self.content.by_ref().take(limit).read_to_end(&mut all);
        read.map_err(|source| self.failed(source))?;
        Ok((self.file, all))
    }

    /// So many bytes; `None` at the end.
    pub(super) fn array<const N: usize>(&mut self) -> Result<Option<[u8; N]>, PreimageError> {
        if self.is_at_end()? {
            return Ok(None);
        }
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// The next item; `None` at the end.
    pub(super) fn item(&mut self, limit: u64) -> Result<Option<Item>, PreimageError> {
        let Some([header]) = self.array()? else { return Ok(None) };
        let (is_list, code) = match header {
            0..0x80 => return Ok(Some(Item::Bytes(vec![header]))),
            0x80..0xc0 => (false, header - 0x80),
            0xc0.. => (true, header - 0xc0),
        };
        let bytes = if code <= MAX_SHORT {
            u64::from(code)
        } else {
            let mut digits = [0; 8];
            let (_, last) = digits.split_at_mut(size_of::<u64>() - usize::from(code - MAX_SHORT));
            self.fill(last)?;
            u64::from_be_bytes(digits)
        };
        if bytes > limit {
            let passed = io::copy(&mut self.content.by_ref().take(bytes), &mut io::sink());
            let passed = passed.map_err(|source| self.failed(source))?;
            self.at += passed;
            return if passed == bytes { Ok(Some(Item::Long)) } else { Err(self.wrong("it ends within an item")) };
        }
        // No more than the limit, which is small.
        let mut content = vec![0; usize::try_from(bytes).unwrap_or_default()];
        self.fill(&mut content)?;
        Ok(Some(if is_list { Item::List(content) } else { Item::Bytes(content) }))
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), PreimageError> {
        self.at += bytes.len() as u64;
        self.content.read_exact(bytes).map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof => self.wrong("it ends within an item"),
            _ => self.failed(source),
        })
    }

    fn is_at_end(&mut self) -> Result<bool, PreimageError> {
        let is_empty = self.content.fill_buf().map(<[u8]>::is_empty);
        is_empty.map_err(|source| self.failed(source))
    }

    /// The file is not what it is read as.
    pub(super) fn wrong(&self, why: &'static str) -> PreimageError {
        PreimageError::NotOne { file: self.file.clone(), format: self.format, why, at: self.at }
    }

    fn failed(&self, source: io::Error) -> PreimageError {
        PreimageError::Read { file: self.file.clone(), source }
    }
}
