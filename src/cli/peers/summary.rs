//! A survey for people: a table with a line for each peer, then what is worth saying of each.

use std::time::Duration;

use crate::peers::{Dialect, Header};
use crate::survey::{Agreement, PeerSurvey, Rate, Survey, Usability};
use crate::ui;

/// The table's columns: their headings, and whether numbers stand in them.
const COLUMNS: [(&str, bool); 8] = [
    ("url", false),
    ("client", false),
    ("chain", true),
    ("dialect", false),
    ("head", true),
    ("serves", false),
    ("latency", true),
    ("items/s", true),
];

/// The longest address and client in the table, in characters: with these it has room in 100 columns. What follows has
/// them in full.
const URL_CHARS: usize = 24;
const CLIENT_CHARS: usize = 18;

/// What a peer says of itself may be of any length.
const TEXT_CHARS: usize = 300;

/// What stands where nothing is known.
const NOTHING: &str = "-";

/// The table, the peers, and whether they agree.
pub(super) fn of(survey: &Survey) -> String {
    let mut parts = vec![table(&survey.peers)];
    parts.extend(survey.peers.iter().map(details));
    if let Some(agreement) = &survey.agreement {
        parts.push(line("agree", agreed(agreement)));
    }
    parts.join("\n\n")
}

fn table(peers: &[PeerSurvey]) -> String {
    let headings = COLUMNS.map(|(heading, _)| heading.to_owned());
    let rows: Vec<[String; COLUMNS.len()]> = std::iter::once(headings).chain(peers.iter().map(row)).collect();
    let widths: Vec<usize> = (0..COLUMNS.len())
        .map(|column| rows.iter().filter_map(|row| Some(row.get(column)?.chars().count())).max().unwrap_or_default())
        .collect();
    let line = |row: &[String; COLUMNS.len()]| {
        let cells = row.iter().zip(COLUMNS).zip(&widths).map(|((cell, (_, number)), width)| {
            if number { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn row(peer: &PeerSurvey) -> [String; COLUMNS.len()] {
    let about = peer.about.as_ref();
    let client = about.and_then(|about| about.client.as_deref()).map(short_client);
    let chain = about.and_then(|about| about.chain.id).map(|id| id.to_string());
    let head = about.and_then(|about| about.head.as_ref()).map(|head| head.number.to_string());
    let speed = peer.speed.as_ref();
    let best = speed.map(|speed| {
        let side_by_side = speed.side_by_side.map_or(0.0, |rate| rate.items_per_second);
        ui::count(whole(speed.one_at_a_time.items_per_second.max(side_by_side)))
    });
    let or_nothing = |text: Option<String>| text.unwrap_or_else(|| NOTHING.into());
    [
        middle_cut(&peer.url.to_string(), URL_CHARS),
        or_nothing(client),
        or_nothing(chain),
        or_nothing(peer.dialect.map(short_dialect).map(Into::into)),
        or_nothing(head),
        serves(peer),
        or_nothing(peer.latency.map(latency)),
        or_nothing(best),
    ]
}

/// What a peer serves, in few words.
fn serves(peer: &PeerSurvey) -> String {
    match &peer.usability {
        Usability::CodesOnly => "codes".into(),
        Usability::Usable => {
            let states = &peer.states;
            let served = states.named.iter().filter(|state| state.served);
            let tags: Vec<String> = served.map(|state| state.name.into()).collect();
            let block =
                |block: Option<&Header>| block.map_or("one state".into(), |block| format!("block {}", block.number));
            match (&states.disk, &states.kept) {
                _ if !tags.is_empty() && tags.len() == states.named.len() => "every tag".into(),
                (Some(disk), _) => block(disk.block.as_ref()),
                (None, kept) => {
                    tags.into_iter().chain(kept.as_ref().map(|kept| block(Some(kept)))).collect::<Vec<_>>().join(", ")
                }
            }
        }
        Usability::NoState(_) => "no state".into(),
        Usability::Unusable(_) => "unusable".into(),
        Usability::Unreachable(_) => "unreachable".into(),
    }
}

/// What is worth saying of a peer.
fn details(peer: &PeerSurvey) -> String {
    let verdict = match &peer.usability {
        Usability::Usable => "usable".into(),
        Usability::CodesOnly => "codes only: of use beside peers that serve nodes".into(),
        Usability::NoState(why) => format!("serves no state now: {why}"),
        Usability::Unusable(why) => format!("not usable: {why}"),
        Usability::Unreachable(why) => format!("not reachable: {why}"),
    };
    let mut lines = vec![line("peer", peer.url.to_string()), line("verdict", verdict)];
    let client = peer.about.as_ref().and_then(|about| about.client.as_deref());
    lines.extend(client.map(|client| line("client", client)));
    let dialect = peer.dialect.filter(|dialect| short_dialect(*dialect) != dialect.name());
    lines.extend(dialect.map(|dialect| line("dialect", dialect.name())));
    lines.extend(states(peer));
    if let Some(batch) = peer.batch.as_ref().filter(|batch| batch.accepted.is_some() || batch.refused.is_some()) {
        let refused = batch.refused.as_ref().map(|words| format!("{} in a batch: {words}", items(batch.asked)));
        let accepted = batch.accepted.map(|accepted| format!("{} in a batch accepted", items(accepted)));
        lines.push(line("limits", refused.into_iter().chain(accepted).collect::<Vec<_>>().join("; ")));
    }
    if let Some(speed) = &peer.speed {
        let many = speed.side_by_side.map(|many| format!("; {} with {}", rate(&many), speed.requests_at_once));
        let one = rate(&speed.one_at_a_time);
        lines.push(line("speed", format!("{one} with one request at a time{}", many.unwrap_or_default())));
    }
    lines.extend(warnings(peer).into_iter().map(|warning| line("warning", warning)));
    lines.join("\n")
}

/// Which states it serves, as far as the table does not say it.
fn states(peer: &PeerSurvey) -> Vec<String> {
    let mut lines = Vec::new();
    let served = peer.states.named.iter().filter_map(|state| Some((state.name, state.block.as_ref()?, state.served)));
    let served: Vec<String> =
        served.filter(|(.., served)| *served).map(|(name, block, _)| format!("{name} {}", block.number)).collect();
    if !served.is_empty() {
        lines.push(line("serves", served.join(", ")));
    }
    if let Some(disk) = &peer.states.disk {
        let block = match (&disk.block, disk.behind) {
            (Some(block), Some(behind)) => format!("block {}, {behind} behind its head", block.number),
            _ => "a block that was not found".into(),
        };
        lines.push(line("on disk", format!("{block}; state id {}", disk.id)));
    }
    lines.extend(peer.states.kept.as_ref().map(|kept| line("kept", format!("block {}", kept.number))));
    // Of the newest of them.
    lines.extend(peer.states.best().map(|root| line("root", format!("{root:?}"))));
    lines
}

fn warnings(peer: &PeerSurvey) -> Vec<String> {
    let mut warnings = Vec::new();
    if peer.syncing == Some(true) {
        warnings.push("it is still syncing itself: its state may have gaps".into());
    }
    let head = peer.about.as_ref().and_then(|about| about.head.as_ref());
    if let (Some(head), Some(best), None) = (head, peer.states.best_block(), &peer.states.disk)
        && best.number < head.number
    {
        let behind = ui::count(head.number - best.number);
        warnings.push(format!("the newest state that it serves is {behind} blocks behind its head: see docs/PEERS.md"));
    }
    if peer.tally.corrupt > 0 {
        warnings
            .push(format!("{} of its answers are something else than was asked for", ui::count(peer.tally.corrupt)));
    }
    if peer.tally.stale > 0 {
        warnings.push("the state on its disk moved on while it was read".into());
    }
    if peer.tally.absent > 0 {
        warnings.push(format!("{} nodes below a root that it has are not there", ui::count(peer.tally.absent)));
    }
    if let Some(limit) = &peer.rate_limit {
        let wait = limit.wait.map_or("for a time that it does not say".into(), |wait| format!("of {}", ui::time(wait)));
        warnings.push(format!("it limits the rate: it asked for a rest {wait}, {} in all", times(limit.times)));
    }
    if let Some(failure) = peer.tally.failure.as_ref().filter(|_| peer.usability == Usability::Usable) {
        warnings.push(failure.clone());
    }
    warnings.extend(peer.notes.iter().cloned());
    if peer.dialect == Some(Dialect::HalfPath) && peer.states.best().is_none() {
        warnings.push("its dialect is a guess: no state was found in any".into());
    }
    warnings
}

fn agreed(agreement: &Agreement) -> String {
    if !agreement.on_chain {
        return "NO: the peers are not of one chain".into();
    }
    match agreement.on_block.map(|block| (block.number, block.hash)) {
        None => "one chain, as far as they tell".into(),
        Some((number, Some(_))) => format!("one chain, and the same block {number}"),
        Some((number, None)) => format!("NO: the peers have different blocks {number}"),
    }
}

/// A line with what it is about in front. No text of a peer's can break it, nor reach the terminal as a command.
fn line(about: &str, text: impl Into<String>) -> String {
    let text: String =
        text.into().chars().map(|character| if character.is_control() { ' ' } else { character }).collect();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    format!("{about:<10}{}", end_cut(&text, TEXT_CHARS))
}

/// `Geth/v1.17.10-stable-4bd3e6f1/linux-amd64/go1.26.1` as `Geth/v1.17.10`.
fn short_client(client: &str) -> String {
    let mut parts = client.split('/');
    let name = parts.next().unwrap_or_default();
    let version = parts.next().and_then(|version| version.split(['-', '+']).next());
    let short = version.map_or(name.into(), |version| format!("{name}/{version}"));
    let plain: String = short.chars().filter(|character| !character.is_control()).collect();
    end_cut(&plain, CLIENT_CHARS)
}

/// Beside the client's name, the dialect need not repeat it.
fn short_dialect(dialect: Dialect) -> &'static str {
    dialect.name().trim_start_matches("nethermind-")
}

fn end_cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.into();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// Addresses often differ at their ends only.
fn middle_cut(text: &str, most: usize) -> String {
    let length = text.chars().count();
    if length <= most {
        return text.into();
    }
    let (front, back) = ((most - 1) / 2, most / 2);
    text.chars().take(front).chain(['…']).chain(text.chars().skip(length - back)).collect()
}

fn latency(latency: Duration) -> String {
    let milliseconds = latency.as_secs_f64() * 1e3;
    if milliseconds < 10.0 { format!("{milliseconds:.2} ms") } else { format!("{milliseconds:.0} ms") }
}

fn rate(rate: &Rate) -> String {
    format!("{} items/s, {}/s", ui::count(whole(rate.items_per_second)), ui::bytes(whole(rate.bytes_per_second)))
}

fn items(count: usize) -> String {
    if count == 1 { "1 item".into() } else { format!("{} items", ui::count(count as u64)) }
}

fn times(count: u32) -> String {
    if count == 1 { "once".into() } else { format!("{count} times") }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rates are positive and far below 2^52")]
fn whole(number: f64) -> u64 {
    number.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_its_name_and_version() {
        for (client, short) in [
            ("Geth/v1.17.10-stable-4bd3e6f1/linux-amd64/go1.26.1", "Geth/v1.17.10"),
            ("Nethermind/v1.39.0+9f2c41d7/linux-x64/dotnet10.0.1", "Nethermind/v1.39.0"),
            ("reth/v2.5.1-7b3432d/x86_64-unknown-linux-gnu", "reth/v2.5.1"),
            ("something", "something"),
            ("", ""),
            ("a/very-long name", "a/very"),
            ("\u{1b}[31mred/1", "[31mred/1"),
        ] {
            assert_eq!(short_client(client), short);
        }
    }

    #[test]
    fn long_addresses_lose_their_middle() {
        assert_eq!(middle_cut("http://127.0.0.1:8545", 24), "http://127.0.0.1:8545");
        let cut = middle_cut("/var/lib/ethereum/mainnet/geth.ipc", 24);
        assert_eq!((cut.as_str(), cut.chars().count()), ("/var/lib/et…net/geth.ipc", 24));
    }

    #[test]
    fn what_a_peer_says_stays_on_its_line() {
        assert_eq!(line("client", "two\nlines\u{1b}[2J"), "client    two lines [2J");
    }
}
