//! Which states a peer can serve.

use primitive_types::H256;

use super::gate::Gate;
use super::reader::Reader;
use crate::peers::{BlockId, CallError, Client, Dialect, Header, Verdict, headers};
use crate::pivot::{DiskError, block_of, kept, on_disk};
use crate::trie::Item;

/// The blocks that a sync can be told by name.
const NAMES: [&str; 4] = ["latest", "safe", "finalized", "earliest"];

/// The states that a peer can serve, as far as it was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct States {
    /// Those of the named blocks: latest, safe, finalized and earliest.
    pub named: Vec<NamedState>,
    /// Of a path-scheme peer: the one on its disk.
    pub disk: Option<OnDisk>,
    /// Of a hash-scheme peer that does not have the latest: the newest one that it has kept.
    pub kept: Option<Header>,
}

/// The state of a named block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedState {
    /// The block's name.
    pub name: &'static str,
    /// The block, if the peer knows one by that name.
    pub block: Option<Header>,
    /// Whether the peer has the root node of its state.
    pub served: bool,
}

/// The state on a path-scheme peer's disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnDisk {
    /// Its root.
    pub root: H256,
    /// Its number among the states that were there; moves with it.
    pub id: u64,
    /// The block it belongs to, if that was found.
    pub block: Option<Header>,
    /// How many blocks that is behind the peer's head.
    pub behind: Option<u64>,
}

impl States {
    /// The root of the newest state that is served.
    #[must_use]
    pub fn best(&self) -> Option<H256> {
        let on_disk = || self.disk.as_ref().filter(|disk| disk.block.is_none()).map(|disk| disk.root);
        self.best_block().map(|block| block.state_root).or_else(on_disk)
    }

    /// The newest block whose state is served.
    #[must_use]
    pub fn best_block(&self) -> Option<&Header> {
        let named = self.named.iter().filter(|state| state.served).filter_map(|state| state.block.as_ref());
        let disk = self.disk.as_ref().and_then(|disk| disk.block.as_ref());
        named.chain(disk).chain(&self.kept).max_by_key(|block| block.number)
    }
}

/// The named blocks, and the one with this number, all as the peer has them.
pub(super) async fn blocks(
    client: &Client,
    gate: &mut Gate,
    common: Option<u64>,
) -> Result<(Vec<NamedState>, Option<Header>), String> {
    let ids: Vec<BlockId> = NAMES.into_iter().map(BlockId::Tag).chain(common.map(BlockId::Number)).collect();
    gate.pass().await.map_err(|closed| closed.to_string())?;
    let answers = headers(client, &ids).await.map_err(|error| {
        gate.failed(&error);
        error.to_string()
    })?;
    let mut answers = answers.into_iter().map(Result::ok);
    let named = NAMES.into_iter().zip(answers.by_ref());
    let named = named.map(|(name, block)| NamedState { name, block, served: false }).collect();
    Ok((named, answers.next().flatten()))
}

/// Finds out which of the named states the peer has, and what it has instead. Notes say what could not be found out.
pub(super) async fn states(reader: &mut Reader, mut named: Vec<NamedState>, notes: &mut Vec<String>) -> States {
    if reader.connection.dialect == Dialect::Codes {
        return States { named, ..States::default() };
    }
    let known: Vec<(usize, Item)> = (0..)
        .zip(&named)
        .filter_map(|(place, state)| Some((place, Item::root(state.block.as_ref()?.state_root))))
        .collect();
    if !known.is_empty() {
        if let Ok(checked) = reader.read(known.iter().map(|(_, item)| *item).collect()).await {
            for ((place, _), verdict) in known.iter().zip(&checked.verdicts) {
                if let Some(state) = named.get_mut(*place) {
                    state.served = *verdict == Verdict::Found;
                }
            }
        }
        // That a peer lacks some of them is told by what it serves, and is no fault.
        (reader.tally.absent, reader.tally.stale) = (0, 0);
    }
    let latest = named.iter().find(|state| state.name == "latest");
    let head = latest.and_then(|state| state.block.as_ref()).map(|block| block.number);
    let has_latest = latest.is_some_and(|state| state.served);
    let mut states = States { named, ..States::default() };
    match (reader.connection.dialect, head) {
        (Dialect::Path, head) => states.disk = disk(reader, head, notes).await,
        (Dialect::Hash, Some(head)) if !has_latest => states.kept = kept_state(reader, head, notes).await,
        _ => {}
    }
    states
}

async fn disk(reader: &mut Reader, head: Option<u64>, notes: &mut Vec<String>) -> Option<OnDisk> {
    reader.gate.pass().await.ok()?;
    let client = reader.connection.client.clone();
    let disk = match on_disk(&client).await {
        Ok(disk) => disk,
        Err(error) => {
            if let DiskError::Call(error) = &error {
                reader.gate.failed(error);
            }
            notes.push(error.to_string());
            return None;
        }
    };
    let mut found = OnDisk { root: disk.root, id: disk.id, block: None, behind: None };
    let Some(head) = head else { return Some(found) };
    if reader.gate.pass().await.is_ok() {
        match block_of(&client, disk.root, head).await {
            Ok(block) => found.block = block,
            Err(error) => failed(reader, &error, "the block of the state on its disk", notes),
        }
    }
    found.behind = found.block.as_ref().map(|block| head.saturating_sub(block.number));
    Some(found)
}

async fn kept_state(reader: &mut Reader, head: u64, notes: &mut Vec<String>) -> Option<Header> {
    reader.gate.pass().await.ok()?;
    let client = reader.connection.client.clone();
    let what = "the newest state that it has kept";
    let number = match kept(&client, head).await {
        Ok(number) => number?,
        Err(error) => {
            failed(reader, &error, what, notes);
            return None;
        }
    };
    reader.gate.pass().await.ok()?;
    let block = match headers(&client, &[BlockId::Number(number)]).await {
        Ok(mut blocks) => blocks.pop()?.ok()?,
        Err(error) => {
            failed(reader, &error, what, notes);
            return None;
        }
    };
    let checked = reader.read(vec![Item::root(block.state_root)]).await.ok()?;
    checked.verdicts.contains(&Verdict::Found).then_some(block)
}

fn failed(reader: &mut Reader, error: &CallError, what: &str, notes: &mut Vec<String>) {
    reader.gate.failed(error);
    notes.push(format!("{what} could not be found: {error}"));
}
