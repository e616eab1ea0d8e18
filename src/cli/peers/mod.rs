//! `statesync peers`: what peers are, before one syncs from them.

mod document;
mod summary;

use super::args::{Cli, PeersArgs};
use super::connect::{clients, limits};
use super::exit::{Exit, Failure};
use super::report;
use super::signals::runtime;
use crate::survey::{PeerSurvey, Survey, SurveyOptions, Usability};

pub(super) fn run(cli: &Cli, arguments: &PeersArgs) -> Result<Exit, Failure> {
    let clients = clients(&arguments.peers)?;
    let options = SurveyOptions {
        dialect: arguments.peers.dialect,
        limits: limits(&arguments.peers),
        request_timeout: arguments.peers.rpc_timeout,
        items: arguments.items,
    };
    let survey = runtime()?.block_on(Survey::of(clients, &options));
    if cli.json {
        report::document(&document::of(&survey))?;
    } else {
        report::text(&summary::of(&survey))?;
    }
    if survey.usable() > 0 { Ok(Exit::Complete) } else { Err(nobody(&survey)) }
}

/// What to say when no peer can be used; as `sync` would.
fn nobody(survey: &Survey) -> Failure {
    let all = |is: fn(&PeerSurvey) -> bool| survey.peers.iter().all(is);
    if all(|peer| matches!(peer.usability, Usability::Unreachable(_))) {
        return Failure::new(Exit::Incomplete, "no peer can be reached")
            .hint("check the address and that the node is up, then run the same command again");
    }
    if all(|peer| !peer.usability.is_transient()) {
        return Failure::new(Exit::Usage, "no peer can be used").hint(
            "a peer must offer the debug namespace and nodes of the state: see docs/PEERS.md for what each needs",
        );
    }
    Failure::new(Exit::Incomplete, "no peer can be used now")
        .hint("wait until a peer is up and has written a state to its disk: see docs/PEERS.md")
}
