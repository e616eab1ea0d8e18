//! What a peer's database calls a node or a code.

use std::fmt;
use std::str::FromStr;

use serde_json::{Value, json};

use super::Ask;
use crate::trie::{Item, Kind, Nibbles};

/// How a peer is asked for nodes and codes. Every item knows its hash and its place, so one walk speaks them all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dialect {
    /// go-ethereum's hash scheme, and Nitro: a node under its hash.
    Hash,
    /// go-ethereum's path scheme, its default: a node under its path, in the one state that is on disk.
    Path,
    /// Nethermind's `HalfPath` layout: a node under a part of its path and its hash.
    HalfPath,
    /// Nethermind's hash layout.
    NethermindHash,
    /// Codes only, as reth serves them.
    Codes,
}

/// go-ethereum's prefixes (`core/rawdb/schema.go`): of codes, of account trie nodes, of storage trie nodes.
pub const CODE_PREFIX: u8 = b'c';
const ACCOUNT_PREFIX: u8 = b'A';
const STORAGE_PREFIX: u8 = b'O';

/// go-ethereum's key of the id of the state that is on disk, which moves with it.
pub(crate) const LAST_STATE_ID: &str = "LastStateID";

/// Nethermind's sections of the account trie (`NodeStorage`): paths of up to four nibbles, and longer ones.
const HALF_PATH_TOP: u8 = 0;
const HALF_PATH_DEEP: u8 = 1;
const HALF_PATH_STORAGE: u8 = 2;
const HALF_PATH_TOP_NIBBLES: usize = 4;
/// Bytes of the path in a key of the account trie; of the account and of the path in one of a storage trie.
const HALF_PATH_ACCOUNT_BYTES: usize = 8;
const HALF_PATH_STORAGE_BYTES: usize = 7;

impl Dialect {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Hash, Self::Path, Self::HalfPath, Self::NethermindHash, Self::Codes];

    /// Its name on the command line and in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Hash => "hash",
            Self::Path => "path",
            Self::HalfPath => "nethermind-halfpath",
            Self::NethermindHash => "nethermind-hash",
            Self::Codes => "codes",
        }
    }

    /// Whether it has words for items of this kind.
    #[must_use]
    pub fn serves(self, kind: Kind) -> bool {
        self != Self::Codes || kind == Kind::Code
    }

    /// Whether other bytes than the wanted ones prove the peer wrong. Under a path, another version of the node is in
    /// order: the peer's state has moved on, or is another one.
    #[must_use]
    pub fn names_content(self, kind: Kind) -> bool {
        self != Self::Path || kind == Kind::Code
    }

    /// The method that reads a key.
    #[must_use]
    pub fn method(self) -> &'static str {
        match self {
            Self::Hash | Self::Path | Self::Codes => "debug_dbGet",
            Self::HalfPath | Self::NethermindHash => "debug_getFromDb",
        }
    }

    /// The database that Nethermind's method wants to be told; nothing for the others.
    #[must_use]
    pub fn database(self, kind: Kind) -> Option<&'static str> {
        match (self, kind) {
            (Self::HalfPath | Self::NethermindHash, Kind::Code) => Some("code"),
            (Self::HalfPath | Self::NethermindHash, _) => Some("state"),
            _ => None,
        }
    }

    /// One read, as a call of its own: the method and its parameters.
    #[must_use]
    pub fn call(self, ask: &Ask) -> (&'static str, Value) {
        let key = format!("0x{}", faster_hex::hex_string(&self.key(ask)));
        let database = self.database(ask.item.key.kind);
        (self.method(), database.map_or_else(|| json!([key]), |database| json!([database, key])))
    }

    /// The key of an item.
    #[must_use]
    pub fn key(self, ask: &Ask) -> Vec<u8> {
        let mut key = Vec::new();
        self.push_key(&mut key, ask);
        key
    }

    /// Appends the key of an item.
    pub(super) fn push_key(self, to: &mut Vec<u8>, ask: &Ask) {
        let Item { key, owner, path, .. } = &ask.item;
        match (self, key.kind) {
            (Self::Hash | Self::Path | Self::Codes, Kind::Code) if !ask.bare_code => to.push(CODE_PREFIX),
            (Self::Path, Kind::AccountNode) => {
                to.push(ACCOUNT_PREFIX);
                return to.extend(path.iter());
            }
            (Self::Path, Kind::StorageNode) => {
                to.push(STORAGE_PREFIX);
                to.extend_from_slice(owner.as_bytes());
                return to.extend(path.iter());
            }
            (Self::HalfPath, Kind::AccountNode) => {
                to.push(if path.len() <= HALF_PATH_TOP_NIBBLES { HALF_PATH_TOP } else { HALF_PATH_DEEP });
                to.extend_from_slice(&packed::<HALF_PATH_ACCOUNT_BYTES>(path));
                to.push(length(path));
            }
            (Self::HalfPath, Kind::StorageNode) => {
                to.push(HALF_PATH_STORAGE);
                to.extend(owner.as_bytes().iter().take(HALF_PATH_STORAGE_BYTES));
                to.extend_from_slice(&packed::<HALF_PATH_STORAGE_BYTES>(path));
                to.push(length(path));
            }
            _ => {}
        }
        to.extend_from_slice(key.hash.as_bytes());
    }
}

/// The first nibbles of a path, two in each byte, and zeros where it is shorter.
fn packed<const N: usize>(path: &Nibbles) -> [u8; N] {
    let mut bytes = [0; N];
    for (place, nibble) in path.iter().enumerate().take(2 * N) {
        if let Some(byte) = bytes.get_mut(place / 2) {
            *byte |= if place % 2 == 0 { nibble << 4 } else { nibble };
        }
    }
    bytes
}

fn length(path: &Nibbles) -> u8 {
    // A path has 64 nibbles at most.
    u8::try_from(path.len()).unwrap_or(u8::MAX)
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Dialect {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let names = || Self::ALL.map(Self::name).join(", ");
        Self::ALL.into_iter().find(|dialect| dialect.name() == text).ok_or_else(|| format!("not one of {}", names()))
    }
}

#[cfg(test)]
mod tests {
    use primitive_types::H256;

    use super::*;
    use crate::trie::Key;

    fn ask(kind: Kind, path: &[u8]) -> Ask {
        let key = Key { kind, hash: H256::repeat_byte(0xab) };
        let path = Nibbles::from_slice(path).unwrap();
        Ask { item: Item { key, owner: H256::repeat_byte(0x77), path, after_extension: false }, bare_code: false }
    }

    fn key(dialect: Dialect, ask: &Ask) -> String {
        faster_hex::hex_string(&dialect.key(ask))
    }

    #[test]
    fn nodes_go_by_hash_by_path_or_by_both() {
        let (hash, owner) = ("ab".repeat(32), "77".repeat(32));
        let top = ask(Kind::AccountNode, &[3, 10]);
        assert_eq!(key(Dialect::Hash, &top), hash);
        assert_eq!(key(Dialect::NethermindHash, &top), hash);
        assert_eq!(key(Dialect::Path, &top), "41030a");
        assert_eq!(key(Dialect::Path, &ask(Kind::AccountNode, &[])), "41");
        assert_eq!(key(Dialect::HalfPath, &top), format!("003a0000000000000002{hash}"));
        let deep = ask(Kind::AccountNode, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1]);
        assert_eq!(key(Dialect::HalfPath, &deep), format!("01123456789abcdef011{hash}"));
        let storage = ask(Kind::StorageNode, &[5]);
        assert_eq!(key(Dialect::Path, &storage), format!("4f{owner}05"));
        assert_eq!(key(Dialect::HalfPath, &storage), format!("02{}5000000000000001{hash}", "77".repeat(7)));
    }

    #[test]
    fn codes_go_by_prefix_or_bare_hash() {
        let hash = "ab".repeat(32);
        let code = ask(Kind::Code, &[]);
        for dialect in [Dialect::Hash, Dialect::Path, Dialect::Codes] {
            assert_eq!(key(dialect, &code), format!("63{hash}"));
            assert_eq!(key(dialect, &Ask { bare_code: true, ..code }), hash);
        }
        assert_eq!(key(Dialect::HalfPath, &code), hash);
        assert_eq!(Dialect::HalfPath.database(Kind::Code), Some("code"));
    }

    #[test]
    fn names_lead_back_to_dialects() {
        for dialect in Dialect::ALL {
            assert_eq!(dialect.to_string().parse(), Ok(dialect));
        }
        assert!("snap".parse::<Dialect>().unwrap_err().contains("nethermind-halfpath"));
    }
}
