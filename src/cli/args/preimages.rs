//! The arguments of `preimages`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use primitive_types::H256;

use super::{PeerArgs, hash};
use crate::preimages::FileFormat;

#[derive(Debug, Args)]
pub(in crate::cli) struct PreimagesArgs {
    #[command(subcommand)]
    pub(in crate::cli) command: PreimagesCommand,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum PreimagesCommand {
    /// Take them from a file, plain or compressed with gzip or zstd
    Import(ImportArgs),
    /// Ask peers for those that a state has use for: geth has them with --cache.preimages or --gcmode archive
    Fetch(FetchArgs),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ImportArgs {
    /// The store's directory
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) datadir: PathBuf,

    /// The file
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) from: PathBuf,

    /// What the file is. With auto, what it looks like
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "auto")]
    pub(in crate::cli) format: PreimageFormat,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct FetchArgs {
    /// The store's directory
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) datadir: PathBuf,

    /// The root of the state. Default: the complete root of the highest block
    #[arg(long, value_name = "HASH", value_parser = hash)]
    pub(in crate::cli) root: Option<H256>,

    // Last, for its heading holds for all that follows.
    #[command(flatten)]
    pub(in crate::cli) peers: PeerArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum PreimageFormat {
    /// Told by its content
    Auto,
    /// What `geth snapshot export-preimages` writes
    Geth,
    /// The records of EIP-8347
    #[value(name = "eip-8347")]
    Eip8347,
    /// A genesis allocation
    Alloc,
    /// What `geth db export preimage` writes
    #[value(name = "gethdbdump")]
    GethDbDump,
}

impl PreimageFormat {
    /// `None` when it is to be told.
    pub(in crate::cli) fn file_format(self) -> Option<FileFormat> {
        match self {
            Self::Auto => None,
            Self::Geth => Some(FileFormat::Geth),
            Self::Eip8347 => Some(FileFormat::Eip8347),
            Self::Alloc => Some(FileFormat::Alloc),
            Self::GethDbDump => Some(FileFormat::GethDbDump),
        }
    }
}
