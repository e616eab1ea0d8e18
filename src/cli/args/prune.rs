//! The arguments of `prune`.

use std::path::PathBuf;

use clap::Args;
use primitive_types::H256;

use super::hash;

#[derive(Debug, Args)]
pub(in crate::cli) struct PruneArgs {
    /// The store's directory
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) datadir: PathBuf,

    /// The roots of the states that stay; all others go, an unfinished sync too. `statesync status` lists them
    #[arg(long, value_name = "ROOT", value_parser = hash, required = true, num_args = 1..)]
    pub(in crate::cli) keep: Vec<H256>,

    /// Print what would go, and do nothing
    #[arg(short = 'n', long)]
    pub(in crate::cli) dry_run: bool,
}
