//! The methods.

use serde_json::value::RawValue;

use super::block::{BlockId, push_block};
use super::fees::Fees;
use super::key::DbKey;
use super::params::{Params, invalid};
use super::reply::{Refusal, push_data, push_number, push_quantity, push_text};
use super::{Source, state};

/// What geth says of a missing key; the name is that of its database engine.
const NOT_FOUND: &str = "pebble: not found";

/// The namespaces served, with geth's version of each.
const MODULES: &[u8] = br#"{"debug":"1.0","eth":"1.0","net":"1.0","rpc":"1.0","web3":"1.0"}"#;

/// What is asked, and of what.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) source: &'a dyn Source,
    pub(super) method: &'a str,
    pub(super) params: Option<&'a RawValue>,
}

/// Runs one method and writes its result. Returns whether the result is a value of the database.
pub(super) fn run(call: Call<'_>, out: &mut Vec<u8>) -> Result<bool, Refusal> {
    let Call { source, method, params } = call;
    match method {
        "debug_dbGet" => return db_get(source, &Params::read(params, 1)?, out).map(|()| true),
        "debug_getRawHeader" => get_raw_header(source, &Params::read(params, 1)?, out)?,
        // The second parameter chooses how transactions are told, of which there are none.
        "eth_getBlockByNumber" => {
            let id = BlockId::number(&Params::read(params, 2)?.text(0)?);
            get_block(source, id.ok_or_else(|| invalid(0, "a block number or tag"))?, out)?;
        }
        "eth_getBlockByHash" => {
            let id = BlockId::hash(&Params::read(params, 2)?.text(0)?);
            get_block(source, id.ok_or_else(|| invalid(0, "a block hash"))?, out)?;
        }
        "eth_feeHistory" => fee_history(source, &Params::read(params, 3)?, out)?,
        // No transaction is known. Tools ask for theirs until they find it elsewhere, and give up at an error.
        "eth_getTransactionByHash" | "eth_getTransactionReceipt" => {
            let hash = BlockId::hash(&Params::read(params, 1)?.text(0)?);
            hash.ok_or_else(|| invalid(0, "a transaction hash"))?;
            out.extend_from_slice(b"null");
        }
        "debug_codeByHash" => state::code_by_hash(source, &Params::read(params, 2)?, out)?,
        "eth_blockNumber" | "eth_gasPrice" | "eth_syncing" | "eth_chainId" | "net_version" | "web3_clientVersion"
        | "rpc_modules" => {
            Params::read(params, 0)?;
            about(source, method, out)?;
        }
        _ if state::run(call, out)? => {}
        _ => return Err(Refusal::no_method(method)),
    }
    Ok(false)
}

/// A raw read of a database: geth's `internal/ethapi/dbapi.go`, `DbGet`.
fn db_get(source: &dyn Source, params: &Params<'_>, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let key = DbKey::parse(&params.text(0)?).map_err(Refusal::failed)?;
    let value = key.value(source)?.ok_or_else(|| Refusal::failed(NOT_FOUND))?;
    push_data(out, &value);
    Ok(())
}

/// A header's RLP. As in geth, an unknown number is an empty result and an unknown hash an error.
fn get_raw_header(source: &dyn Source, params: &Params<'_>, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let id = BlockId::any(params.required(0)?).ok_or_else(|| invalid(0, "a block number, tag or hash"))?;
    let header = id.find(source)?.and_then(|block| block.header);
    match (header, id) {
        (Some(header), _) => push_data(out, &header),
        (None, BlockId::Hash(hash)) => return Err(Refusal::failed(format!("header #{hash:?} not found"))),
        (None, _) => push_data(out, &[]),
    }
    Ok(())
}

fn get_block(source: &dyn Source, id: BlockId, out: &mut Vec<u8>) -> Result<(), Refusal> {
    if let Some(block) = id.find(source)? {
        return push_block(out, &block);
    }
    out.extend_from_slice(b"null");
    Ok(())
}

/// The prices of gas in one block and after it, however many are asked for. In any encoding of their number, for which
/// geth takes several.
fn fee_history(source: &dyn Source, params: &Params<'_>, out: &mut Vec<u8>) -> Result<(), Refusal> {
    params.required(0)?;
    let newest = BlockId::number(&params.text(1)?).ok_or_else(|| invalid(1, "a block number or tag"))?;
    let newest = if newest == BlockId::Pending { BlockId::Latest } else { newest };
    let history = Fees::read(&newest.header(source)?)?.history();
    out.extend_from_slice(history.to_string().as_bytes());
    Ok(())
}

/// The methods without parameters, which tell what the peer is.
fn about(source: &dyn Source, method: &str, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let chain_id = || source.chain_id()?.ok_or_else(|| Refusal::failed("the chain id is not known"));
    match method {
        "eth_chainId" => push_quantity(out, chain_id()?),
        "net_version" => push_text(out, &chain_id()?.to_string()),
        "rpc_modules" => out.extend_from_slice(MODULES),
        "eth_blockNumber" => push_quantity(out, BlockId::Latest.known(source)?.number),
        // The least that a transaction pays; what others paid on top is not known.
        "eth_gasPrice" => {
            let fees = Fees::read(&BlockId::Latest.header(source)?)?;
            push_number(out, &fees.base_fee().to_big_endian());
        }
        "eth_syncing" => out.extend_from_slice(b"false"),
        _ => push_text(out, concat!("statesync/v", env!("CARGO_PKG_VERSION"))),
    }
    Ok(())
}
