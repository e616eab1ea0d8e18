//! `statesync serve`: a JSON-RPC peer over a state.

use std::sync::Arc;

use super::args::ServeArgs;
use super::exit::{Exit, Failure};
use super::signals::{Signals, runtime};
use crate::genesis::Genesis;
use crate::serve::{MemoryState, Options, Server, Source};
use crate::store::{Access, Store, StoreMemory};
use crate::ui;

pub(super) fn run(arguments: &ServeArgs) -> Result<Exit, Failure> {
    let source = source(arguments)?;
    runtime()?.block_on(async {
        let mut signals = Signals::new()?;
        let options = Options { hosts: arguments.host.clone(), ..Options::default() };
        let bound = Server::bind(&arguments.listen.to_string(), options).await;
        let server = bound.map_err(|error| {
            Failure::new(Exit::Usage, error.to_string())
                .hint("choose another address with --listen; port 0 takes a free one")
        })?;
        let address = server.local_addr();
        if !address.ip().is_loopback() {
            ui::say("warning: this address can be reached from other machines; anyone who does can read the state");
        }
        ui::say(&format!("serving on http://{address}"));
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let serving = tokio::spawn(server.run(source, async {
            let _ = stopped.await;
        }));
        let exit = signals.next().await;
        let _ = stop.send(());
        tokio::select! {
            _ = serving => Ok(exit),
            exit = signals.next() => Ok(exit),
        }
    })
}

fn source(arguments: &ServeArgs) -> Result<Arc<dyn Source>, Failure> {
    match (&arguments.datadir, &arguments.genesis) {
        (Some(datadir), _) => {
            Ok(Arc::new(Store::open_with(datadir, Access::Read, StoreMemory::reading(arguments.cache))?))
        }
        (None, Some(file)) => Ok(Arc::new(in_memory(&Genesis::read(file)?)?)),
        (None, None) => Err(Failure::new(Exit::Usage, "give --datadir or --genesis")),
    }
}

/// A genesis state in memory.
pub(super) fn in_memory(genesis: &Genesis) -> Result<MemoryState, Failure> {
    let mut state = MemoryState::new();
    let added = state.add(genesis);
    added.map_err(|error| Failure::new(Exit::Failure, format!("the allocation cannot be built: {error}")))?;
    Ok(state)
}
