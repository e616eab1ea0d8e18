//! A peer to sync from.

use super::{Client, Dialect};

/// A peer to sync from: its connection, and how it is asked.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The connection.
    pub client: Client,
    /// How it is asked for nodes and codes; found out when the sync begins if it is not known.
    pub dialect: Option<Dialect>,
    /// Whether the dialect was given by the user. If not, it is found out anew when the peer was away.
    pub dialect_is_given: bool,
}

impl Peer {
    /// A peer that is asked in a dialect that somebody chose.
    #[must_use]
    pub fn speaking(client: Client, dialect: Dialect) -> Self {
        Self { client, dialect: Some(dialect), dialect_is_given: true }
    }

    /// A peer that has been probed.
    #[must_use]
    pub fn probed(client: Client, dialect: Dialect) -> Self {
        Self { client, dialect: Some(dialect), dialect_is_given: false }
    }
}

/// A peer of which nothing is known yet.
impl From<Client> for Peer {
    fn from(client: Client) -> Self {
        Self { client, dialect: None, dialect_is_given: false }
    }
}
