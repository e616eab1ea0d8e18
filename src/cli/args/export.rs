//! The arguments of `export`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use primitive_types::H256;

use super::hash;

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

    /// The file to write. It is there under this name when it is whole, not before
    #[arg(long, value_name = "PATH")]
    pub(in crate::cli) out: PathBuf,

    /// Replace what is there
    #[arg(long)]
    pub(in crate::cli) force: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Format {
    /// Lines of JSON as `geth snapshot dump` prints them, keyed by hash
    GethDump,
}

impl Format {
    /// As it is given.
    pub(in crate::cli) fn name(self) -> &'static str {
        match self {
            Self::GethDump => "geth-dump",
        }
    }
}
