//! The arguments of `export`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use primitive_types::H256;

use super::hash;
use crate::export::Keys;

#[derive(Debug, Args)]
pub(in crate::cli) struct ExportArgs {
    /// The store's directory
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) datadir: PathBuf,

    /// The root to export. Default: the complete root of the highest block
    #[arg(long, value_name = "HASH", value_parser = hash)]
    pub(in crate::cli) root: Option<H256>,

    /// What to write
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub(in crate::cli) format: Format,

    /// The file, or for parquet the directory, to write. It is there under this name when it is whole, not before
    #[arg(long, value_name = "PATH")]
    pub(in crate::cli) out: PathBuf,

    /// How geth-db names nodes: as the --state.scheme of the geth that is to load them
    #[arg(long, value_name = "SCHEME", value_enum, default_value = "path")]
    pub(in crate::cli) keys: ExportKeys,

    /// Replace what is there
    #[arg(long)]
    pub(in crate::cli) force: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Format {
    /// Lines of JSON as `geth snapshot dump` prints them, keyed by hash
    GethDump,
    /// The rows of geth's database, for `geth db import`
    GethDb,
    /// Lines of JSON for `reth init-state`; needs preimages
    RethInit,
    /// A genesis allocation; needs preimages
    Alloc,
    /// A directory of tables in Apache Parquet: accounts, slots, codes
    #[cfg(feature = "parquet")]
    Parquet,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum ExportKeys {
    Hash,
    Path,
}

impl From<ExportKeys> for Keys {
    fn from(keys: ExportKeys) -> Self {
        match keys {
            ExportKeys::Hash => Self::Hash,
            ExportKeys::Path => Self::Path,
        }
    }
}

impl Format {
    /// As it is given.
    pub(in crate::cli) fn name(self) -> &'static str {
        match self {
            Self::GethDump => "geth-dump",
            Self::GethDb => "geth-db",
            Self::RethInit => "reth-init",
            Self::Alloc => "alloc",
            #[cfg(feature = "parquet")]
            Self::Parquet => "parquet",
        }
    }
}
