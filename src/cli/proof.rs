//! `statesync proof`: what `eth_getProof` would answer.

use primitive_types::H256;

use super::exit::{Exit, Failure};
use super::read_args::ProofArgs;
use super::reading::Reading;
use super::report;
use crate::state::{ProofDocument, Slot};
use crate::trie::keccak256;

pub(super) fn run(arguments: &ProofArgs) -> Result<Exit, Failure> {
    let reading = Reading::open(&arguments.from)?;
    let keys: Vec<H256> = arguments.slots.iter().map(Slot::key).collect();
    let key = keccak256(arguments.address.as_bytes());
    reading.check(&key)?;
    let proof = reading.state().proof(&key, &keys)?;
    let document = serde_json::to_string(&ProofDocument::new(arguments.address, &arguments.slots, &proof));
    report::text(&document.map_err(|error| Failure::new(Exit::Failure, error.to_string()))?)
}
