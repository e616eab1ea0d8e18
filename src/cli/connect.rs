//! From addresses to peers that can be asked.

use futures_util::future::join_all;

use super::args::PeerArgs;
use super::exit::{Exit, Failure};
use crate::peers::{
    CallError, Chain, Client, ConnectOptions, JwtSecret, Peer, PeerInfo, PeerUrl, PoolLimits, ProbeError,
    TransportError, probe,
};
use crate::store::{Store, StoreError};
use crate::ui;

/// The environment variable with peers' addresses, as in other tools.
const URL_VARIABLE: &str = "ETH_RPC_URL";

/// How many time-outs of one call a peer has to say what it is. That takes some five calls; one that answers each at
/// the last moment must not keep the others waiting.
const PROBE_TIMEOUTS: u32 = 2;

/// Peers of one chain.
#[derive(Debug)]
pub(super) struct Connected {
    /// Those that may be asked, with those that did not answer but may yet.
    pub(super) peers: Vec<Peer>,
    /// The chain they serve.
    pub(super) chain: Chain,
}

/// The addresses given, from the flags or the environment.
pub(super) fn urls(arguments: &PeerArgs) -> Result<Vec<PeerUrl>, Failure> {
    if !arguments.rpc_url.is_empty() {
        return Ok(arguments.rpc_url.iter().map(|url| url.parse()).collect::<Result<_, _>>()?);
    }
    let variable = std::env::var(URL_VARIABLE).unwrap_or_default();
    let urls = variable.split(',').map(str::trim).filter(|url| !url.is_empty());
    let urls = urls.map(str::parse).collect::<Result<Vec<PeerUrl>, _>>()?;
    if urls.is_empty() {
        return Err(Failure::new(Exit::Usage, "no peer is given")
            .hint("name one with -r http://127.0.0.1:8545 or -r /path/to/geth.ipc, or in ETH_RPC_URL"));
    }
    Ok(urls)
}

/// The limits given.
pub(super) fn limits(arguments: &PeerArgs) -> PoolLimits {
    PoolLimits {
        batch_items: arguments.batch_size,
        requests_per_peer: arguments.max_concurrent_requests,
        requests_per_second: arguments.requests_per_second,
        ..PoolLimits::default()
    }
}

/// The connections, none of which has been used yet.
pub(super) fn clients(arguments: &PeerArgs) -> Result<Vec<Client>, Failure> {
    let options = options(arguments)?;
    let client = |url| Client::with_options(url, arguments.rpc_timeout, &options);
    let clients = urls(arguments)?.into_iter().map(client);
    let clients = clients.collect::<Result<Vec<_>, TransportError>>();
    clients.map_err(|error| Failure::new(Exit::Failure, error.to_string()))
}

/// What is sent to the peers beside the requests.
pub(super) fn options(arguments: &PeerArgs) -> Result<ConnectOptions, Failure> {
    let mut options = ConnectOptions { compression: arguments.rpc_compression, ..ConnectOptions::default() };
    for (number, text) in (1..).zip(&arguments.rpc_header) {
        // By its number, for it may be all secret.
        options.add_header(text).map_err(|error| {
            Failure::new(Exit::Usage, format!("-H number {number}: {error}")).hint("write it as -H 'Name: value'")
        })?;
    }
    if let Some(path) = &arguments.rpc_jwt_secret {
        let secret = JwtSecret::read(path).map_err(|error| {
            Failure::new(Exit::Usage, error.to_string()).hint("geth keeps its secret in DATADIR/geth/jwtsecret")
        })?;
        options.jwt = Some(secret);
    }
    Ok(options)
}

/// Asks all peers what they are. Peers of another chain or without the debug namespace are left out, with a warning;
/// those that do not answer are kept as long as one does: they may come back.
pub(super) async fn connect(arguments: &PeerArgs, store: Option<&Store>) -> Result<Connected, Failure> {
    let clients = clients(arguments)?;
    let within = arguments.rpc_timeout * PROBE_TIMEOUTS;
    let late = |_| Err(CallError::from(TransportError::TimedOut(within)).into());
    let ask = async |client| tokio::time::timeout(within, probe(client, arguments.dialect)).await.unwrap_or_else(late);
    let answers = join_all(clients.iter().map(ask)).await;
    let stored = store.map(chain_of).transpose()?.unwrap_or_default();
    let mut infos = answers.iter().filter_map(|answer| answer.as_ref().ok());
    let Some(first) = infos.next() else { return Err(nobody(&clients, &answers)) };
    // The first peer of the store's chain, or the first at all, says what the others have to agree with.
    let agreeing = std::iter::once(first).chain(infos).find(|info| info.chain.agrees_with(&stored));
    let Some(agreeing) = agreeing else { return Err(other_chain(&stored, &first.chain)) };
    let chain = stored.or(agreeing.chain);
    let mut peers = Vec::new();
    for (client, answer) in clients.into_iter().zip(answers) {
        peers.extend(admit(client, answer, &chain, arguments));
    }
    Ok(Connected { peers, chain })
}

/// Takes a peer in unless it is of no use; says so if it is of none, or of none yet.
fn admit(client: Client, answer: Result<PeerInfo, ProbeError>, chain: &Chain, arguments: &PeerArgs) -> Option<Peer> {
    let url = client.url().to_string();
    match answer {
        Ok(info) if !info.chain.agrees_with(chain) => {
            ui::say(&format!("warning: {url} serves {}, not {chain}; left out", info.chain));
            None
        }
        Ok(info) => {
            tracing::info!(peer = url, client = ?info.client, dialect = %info.dialect, chain = %info.chain, "connected");
            Some(if arguments.dialect.is_some() {
                Peer::speaking(client, info.dialect)
            } else {
                Peer::probed(client, info.dialect)
            })
        }
        Err(error) if error.is_transient() => {
            ui::say(&format!("warning: {url}: {error}; it will be tried again"));
            Some(arguments.dialect.map_or(Peer::from(client.clone()), |dialect| Peer::speaking(client, dialect)))
        }
        Err(error) => {
            ui::say(&format!("warning: {url}: {error}; left out"));
            None
        }
    }
}

fn chain_of(store: &Store) -> Result<Chain, StoreError> {
    Ok(Chain { id: store.chain_id()?, genesis: store.genesis()? })
}

/// Pins what is known of the chain in the store.
pub(super) fn pin(store: &Store, chain: &Chain) -> Result<(), Failure> {
    if let Some(id) = chain.id {
        store.pin_chain(id)?;
    }
    if let Some(genesis) = chain.genesis {
        store.pin_genesis(genesis)?;
    }
    Ok(())
}

fn other_chain(stored: &Chain, served: &Chain) -> Failure {
    match (stored.id.zip(served.id), stored.genesis.zip(served.genesis)) {
        (Some((stored, wanted)), _) if stored != wanted => StoreError::OtherChain { stored, wanted }.into(),
        (_, Some((stored, wanted))) => StoreError::OtherGenesis { stored, wanted }.into(),
        _ => Failure::new(Exit::OtherStore, format!("the store belongs to {stored}, the peers serve {served}")),
    }
}

/// What to say when no peer can be used.
fn nobody(clients: &[Client], answers: &[Result<PeerInfo, ProbeError>]) -> Failure {
    let errors = answers.iter().filter_map(|answer| answer.as_ref().err());
    let reasons: Vec<String> =
        clients.iter().zip(errors.clone()).map(|(client, error)| format!("{}: {error}", client.url())).collect();
    let reasons = reasons.join("; ");
    if errors.clone().all(|error| !error.is_transient()) {
        return Failure::new(Exit::Usage, format!("no peer can be used: {reasons}")).hint(
            "the peer must offer the debug namespace: start geth with --http --http.api eth,debug, or its --ws twin",
        );
    }
    Failure::new(Exit::Incomplete, format!("no peer can be reached: {reasons}"))
        .hint("check the address and that the node is up, then run the same command again")
}
