use std::collections::HashMap;
use std::convert::Infallible;
use std::fs;

use primitive_types::H256;

use super::*;
use crate::trie::{EMPTY_ROOT, Leaf, Level, Nibbles, TrieKind, decode};

const SEPOLIA: &[u8] = include_bytes!("../../fixtures/sepolia.json.zst");
const HOLESKY: &[u8] = include_bytes!("../../fixtures/holesky.json.zst");
const HOODI: &[u8] = include_bytes!("../../fixtures/hoodi.json.zst");

/// Three accounts in every spelling geth reads.
const ALLOC: &str = r#"{
    "0xAAaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa": {
        "balance": "1000000000000000000000", "nonce": "0x7", "code": "0x6001600255",
        "storage": {"0x01": "0x2a", "02": "0xff00", "0x03": "0x00", "": "0x01"}
    },
    "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb": {"balance": 0, "nonce": "12"},
    "00000000000000000000000000000000000000cc": {"balance": 1000000000000000000000000, "x": null}
}"#;
/// What geth 1.17.10 makes of [`ALLOC`].
const ALLOC_ROOT: &str = "f02294a53d24834f4128622ccf5973be73232b421b1806519c10576a05548dc2";

/// Keeps what it is given, with the turn it came in.
#[derive(Default)]
struct Kept {
    turn: usize,
    nodes: HashMap<H256, (usize, Vec<u8>)>,
    codes: HashMap<H256, (usize, Vec<u8>)>,
}

impl StateSink for Kept {
    type Error = Infallible;

    fn node(&mut self, _: Level, hash: H256, rlp: &[u8]) -> Result<(), Infallible> {
        self.turn += 1;
        self.nodes.entry(hash).or_insert((self.turn, rlp.to_vec()));
        Ok(())
    }

    fn code(&mut self, hash: H256, bytes: &[u8]) -> Result<(), Infallible> {
        self.turn += 1;
        self.codes.entry(hash).or_insert((self.turn, bytes.to_vec()));
        Ok(())
    }
}

impl Kept {
    /// Walks a trie, panics where something is missing, wrong or not before its parent, and
    /// returns the number of leaves.
    fn walk(&self, kind: TrieKind, root: H256, parent_turn: usize) -> usize {
        let mut leaves = 0;
        let mut todo = vec![(Nibbles::EMPTY, root, false, parent_turn)];
        while let Some((path, hash, after_extension, parent_turn)) = todo.pop() {
            let (turn, rlp) = &self.nodes[&hash];
            assert_eq!(keccak256(rlp), hash);
            assert!(*turn < parent_turn, "a parent came before its child");
            let links = decode(kind, &path, after_extension, rlp).unwrap();
            for child in links.children {
                todo.push((child.path, child.hash, child.after_extension, *turn));
            }
            leaves += links.leaves.len();
            for leaf in links.leaves {
                let Leaf::Account { account, .. } = leaf else { continue };
                if account.has_storage() {
                    self.walk(TrieKind::Storage, account.storage_root, *turn);
                }
                if account.has_code() {
                    let (code_turn, code) = &self.codes[&account.code_hash];
                    assert_eq!(keccak256(code), account.code_hash);
                    assert!(code_turn < turn, "an account came before its code");
                }
            }
        }
        leaves
    }
}

fn parse(text: &str) -> Result<Genesis, GenesisError> {
    Genesis::parse("a.json", text.as_bytes())
}

fn error(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

fn account_error(fields: &str) -> String {
    error(&format!(r#"{{"{}": {fields}}}"#, "aa".repeat(20)))
        .replace(&"aa".repeat(20), "A")
        .replace("genesis file a.json: ", "")
}

/// The root and block hash of a genesis, checked to be built completely and in order.
fn root_and_hash(genesis: &Genesis) -> (StateSummary, String) {
    let mut kept = Kept::default();
    let summary = genesis.build(&mut kept).unwrap();
    let leaves = kept.walk(TrieKind::Account, summary.root, usize::MAX);
    assert_eq!(leaves as u64, summary.accounts);
    assert_eq!(kept.nodes.len() as u64, summary.nodes);
    assert_eq!(kept.codes.len() as u64, summary.codes);
    let header = genesis.header.as_ref().unwrap().encode(summary.root);
    assert_eq!(decode_header(&header).unwrap().state_root, summary.root);
    (summary, format!("{:x}", keccak256(&header)))
}

#[test]
fn sepolia_has_its_known_root_and_hash() {
    let genesis = Genesis::parse("sepolia", SEPOLIA).unwrap();
    let (summary, hash) = root_and_hash(&genesis);
    let root = "5eb6e371a698b8d68f665192350ffcecbbbf322916f4b51bd79bb6887da3f494";
    assert_eq!(format!("{:x}", summary.root), root);
    assert_eq!(hash, "25a5cc106eea7138acab33231d7160d69cb777ee0c2c553fcddf5138993e6dd9");
    assert_eq!((summary.accounts, summary.codes, summary.slots), (15, 0, 0));
    assert_eq!(genesis.chain_id, Some(11_155_111));
}

#[test]
fn holesky_has_its_known_root_and_hash() {
    let genesis = Genesis::parse("holesky", HOLESKY).unwrap();
    let (summary, hash) = root_and_hash(&genesis);
    let root = "69d8c9d72f6fa4ad42d4702b433707212f90db395eb54dc20bc85de253788783";
    assert_eq!(format!("{:x}", summary.root), root);
    assert_eq!(hash, "b5f7f912443c940f21fd611f12828d75b534364ed9e95ca4e307729a4661bde4");
    assert_eq!((summary.accounts, summary.codes, summary.slots), (317, 1, 31));
    assert_eq!(genesis.chain_id, Some(17_000));
}

#[test]
fn hoodi_has_its_known_root_and_hash() {
    let genesis = Genesis::parse("hoodi", HOODI).unwrap();
    let (summary, hash) = root_and_hash(&genesis);
    let root = "da87d7f5f91c51508791bbcbd4aa5baf04917830b86985eeb9ad3d5bfb657576";
    assert_eq!(format!("{:x}", summary.root), root);
    assert_eq!(hash, "bbe312868b376a3001692a646dd2d7d1e4406380dfd86b98aa8a34d1557c971b");
    assert_eq!((summary.accounts, summary.codes, summary.slots), (335, 5, 33));
    assert_eq!(genesis.chain_id, Some(560_048));
}

/// The hashes are geth 1.17.10's, from `Genesis.ToBlock` over the same text.
#[test]
fn every_fork_adds_its_header_fields_as_geth_does() {
    let london = r#""londonBlock": 0, "terminalTotalDifficulty": 0"#;
    let berlin = r#""berlinBlock": 0"#;
    for (config, fields, expected) in [
        (berlin.to_owned(), "", "f125c6e232c213665bfca6ab00e3c84257b965466bdd70a4dff36647b6906296"),
        (
            berlin.to_owned(),
            r#""excessBlobGas": "0x5","#,
            "e09ddaf3d2bb28785bea006a7c1759bf91e6d7b161b4835f43ccfa7d57c163ec",
        ),
        (
            format!(r#"{london}, "shanghaiTime": 100, "cancunTime": 101"#),
            r#""baseFeePerGas": "0x7","#,
            "2bc005484432269c3215ab6d7635a3e82f4df51e446052de69ac82d69a46e8f3",
        ),
        (
            format!(r#"{london}, "shanghaiTime": 0, "cancunTime": 0, "pragueTime": 100"#),
            r#""excessBlobGas": "0x20000", "blobGasUsed": "0x40000","#,
            "b73ce7824011066f365e482fe3cd97afdd830cbd9d979126326baa68b27ae51f",
        ),
        (
            format!(r#"{london}, "shanghaiTime": 0, "cancunTime": 0, "pragueTime": 0, "amsterdamTime": 0"#),
            r#""slotNumber": "0x9","#,
            "8bfba1c892abb8e26c9d0fe03039f172250e52e9a0e676486cdb630cfe3e5670",
        ),
    ] {
        let text = format!(
            r#"{{"config": {{{config}}}, {fields} "nonce": "0x42", "timestamp": "100",
            "extraData": "0xabcd", "gasLimit": "0x0", "difficulty": "12345", "mixHash": "0x{}",
            "coinbase": "0x{}", "alloc": {ALLOC}}}"#,
            "11".repeat(32),
            "22".repeat(20),
        );
        let (summary, hash) = root_and_hash(&parse(&text).unwrap());
        assert_eq!(format!("{:x}", summary.root), ALLOC_ROOT);
        assert_eq!(hash, expected, "{config} {fields}");
    }
}

#[test]
fn a_bare_allocation_is_read_without_a_header() {
    let genesis = parse(ALLOC).unwrap();
    assert_eq!((genesis.chain_id, &genesis.header), (None, &None));
    let summary = genesis.build(&mut Kept::default()).unwrap();
    assert_eq!(format!("{:x}", summary.root), ALLOC_ROOT);
    assert_eq!((summary.accounts, summary.codes, summary.slots), (3, 1, 3));
}

#[test]
fn an_empty_allocation_is_the_empty_state() {
    let genesis = parse(r#"{"alloc": {}}"#).unwrap();
    let summary = genesis.build(&mut Kept::default()).unwrap();
    assert_eq!((summary.root, summary.nodes), (EMPTY_ROOT, 0));
}

#[test]
fn a_shared_storage_trie_and_code_are_counted_once_but_their_slots_for_each_account() {
    let account = r#"{"balance": "0", "code": "0x60", "storage": {"1": "1", "2": "2"}}"#;
    let text = format!(r#"{{"{}": {account}, "{}": {account}}}"#, "aa".repeat(20), "bb".repeat(20));
    let summary = parse(&text).unwrap().build(&mut Kept::default()).unwrap();
    assert_eq!((summary.accounts, summary.codes, summary.slots), (2, 1, 4));
    let one = format!(r#"{{"{}": {account}}}"#, "aa".repeat(20));
    let one = parse(&one).unwrap().build(&mut Kept::default()).unwrap();
    // The account trie is one leaf with one account, two leaves under one branch with two.
    assert_eq!(summary.nodes, one.nodes + 2);
}

#[test]
fn the_error_of_the_sink_ends_the_build() {
    struct Full;
    impl StateSink for Full {
        type Error = &'static str;
        fn node(&mut self, _: Level, _: H256, _: &[u8]) -> Result<(), &'static str> {
            Err("full")
        }
        fn code(&mut self, _: H256, _: &[u8]) -> Result<(), &'static str> {
            Err("full")
        }
    }
    let error = parse(ALLOC).unwrap().build(&mut Full).unwrap_err();
    assert_eq!(error, crate::trie::BuilderError::Sink("full"));
}

#[test]
fn an_account_error_names_the_file_the_account_and_the_field() {
    let address = format!("0x{}", "aa".repeat(20));
    let text = format!(r#"{{"alloc": {{"{address}": {{"balance": "ten"}}}}}}"#);
    assert_eq!(error(&text), format!("genesis file a.json: account {address}: balance: not a number"));
}

#[test]
fn every_bad_account_field_has_its_own_message() {
    for (fields, message) in [
        (r#""0x1""#, "account A: entry: not an object"),
        ("{}", "account A: balance: missing"),
        (r#"{"balance": null}"#, "account A: balance: missing"),
        (r#"{"balance": ""}"#, "account A: balance: not a number"),
        (r#"{"balance": "0x"}"#, "account A: balance: not a number"),
        (r#"{"balance": "0xg"}"#, "account A: balance: not a number"),
        (r#"{"balance": -1}"#, "account A: balance: not a number"),
        (r#"{"balance": "+1"}"#, "account A: balance: not a number"),
        (r#"{"balance": 1e18}"#, "account A: balance: not a number"),
        (r#"{"balance": {}}"#, "account A: balance: not a number"),
        (r#"{"balance": 1, "balance": 2}"#, "account A: balance: stated twice"),
        (r#"{"balance": 1, "nonce": "0x10000000000000000"}"#, "account A: nonce: more than 64 bits"),
        (r#"{"balance": 1, "code": "0x6"}"#, "account A: code: not hex"),
        (r#"{"balance": 1, "code": 6}"#, "account A: code: not hex"),
        (r#"{"balance": 1, "code": "é0"}"#, "account A: code: not hex"),
        (r#"{"balance": 1, "storage": []}"#, "account A: storage: not an object"),
        (r#"{"balance": 1, "storage": {"k": "1"}}"#, "account A: storage slot k: not hex"),
        (r#"{"balance": 1, "storage": {"1": 1}}"#, "account A: storage slot 1: not hex"),
        (r#"{"balance": 1, "storage": {"0x1": "1", "01": "0"}}"#, "account A: storage slot 01: stated twice"),
    ] {
        assert_eq!(account_error(fields), message, "{fields}");
    }
    let long = "1".repeat(65);
    assert_eq!(account_error(&format!(r#"{{"balance": "0x{long}"}}"#)), "account A: balance: more than 256 bits");
    assert_eq!(account_error(&format!(r#"{{"balance": {long}{long}}}"#)), "account A: balance: more than 256 bits");
    assert_eq!(
        account_error(&format!(r#"{{"balance": 1, "storage": {{"1": "{long}"}}}}"#)),
        "account A: storage slot 1: more than 256 bits"
    );
}

#[test]
fn the_largest_numbers_are_read() {
    let text =
        format!(r#"{{"{}": {{"balance": "0x00{}", "nonce": 18446744073709551615}}}}"#, "aa".repeat(20), "f".repeat(64));
    let genesis = parse(&text).unwrap();
    let account = genesis.alloc.values().next().unwrap();
    assert_eq!((account.balance, account.nonce), (U256::MAX, u64::MAX));
}

#[test]
fn one_address_in_two_spellings_is_refused() {
    let (lower, upper) = ("ab".repeat(20), "AB".repeat(20));
    let text = format!(r#"{{"0x{lower}": {{"balance": 1}}, "{upper}": {{"balance": 1}}}}"#);
    assert_eq!(error(&text), format!("genesis file a.json: account {upper}: stated twice"));
}

#[test]
fn a_name_that_is_no_address_is_shown_cut_and_escaped() {
    assert_eq!(error(r#"{"0x12": {"balance": 1}}"#), "genesis file a.json: account 0x12: not 20 bytes of hex");
    let long = error(&format!(r#"{{"\u001b{}": {{}}}}"#, "x".repeat(1 << 20)));
    assert!(long.len() < 200 && long.contains(r"account \u{1b}xxx"), "{long}");
}

#[test]
fn what_is_no_genesis_is_refused() {
    for (text, message) in [
        ("", "not JSON: EOF while parsing a value at line 1 column 0"),
        ("{\"alloc\":", "not JSON: EOF while parsing a value at line 1 column 9"),
        ("{} {}", "not JSON: trailing characters at line 1 column 4"),
        ("[]", "genesis: not an object"),
        ("{}", "alloc: missing"),
        (r#"{"config": {}}"#, "alloc: missing"),
        (r#"{"gasLimit": 1, "alloc": null}"#, "alloc: missing"),
        (r#"{"alloc": []}"#, "alloc: not an object"),
        (r#"{"alloc": {}, "alloc": {}}"#, "alloc: stated twice"),
        (r#"{"alloc": {}, "config": 1}"#, "config: not an object"),
        (r#"{"alloc": {}, "config": {"chainId": "x"}}"#, "config: chainId: not a number"),
        (
            r#"{"alloc": {}, "gasLimit": 1, "difficulty": 1, "config": {"londonBlock": "x"}}"#,
            "config: londonBlock: not a number",
        ),
        (r#"{"alloc": {}, "gasLimit": "x"}"#, "gasLimit: not a number"),
        (r#"{"alloc": {}, "gasLimit": 1, "difficulty": 1, "mixHash": "0x00"}"#, "mixHash: not 32 bytes of hex"),
    ] {
        assert_eq!(error(text), format!("genesis file a.json: {message}"));
    }
    assert!(Genesis::parse("a.json", b"\xff\xfe").is_err());
}

#[test]
fn deep_nesting_is_refused_without_deep_recursion() {
    let nested = "[".repeat(1 << 20) + &"]".repeat(1 << 20);
    assert_eq!(error(&nested), "genesis file a.json: genesis: not an object");
    assert_eq!(account_error(&nested), "account A: entry: not an object");
    assert_eq!(account_error(&format!(r#"{{"balance": {nested}}}"#)), "account A: balance: not a number");
}

#[test]
fn a_file_is_read_plain_or_compressed_whatever_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("genesis");
    fs::write(&path, ALLOC).unwrap();
    let plain = Genesis::read(&path).unwrap();
    fs::write(&path, zstd::encode_all(ALLOC.as_bytes(), 0).unwrap()).unwrap();
    assert_eq!(Genesis::read(&path).unwrap(), plain);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let dir = tempfile::tempdir().unwrap();
    for path in [dir.path().join("none.json"), dir.path().to_owned()] {
        let message = Genesis::read(&path).unwrap_err().to_string();
        assert!(message.starts_with(&format!("genesis file {}: ", path.display())), "{message}");
    }
}

#[test]
fn a_damaged_compressed_file_is_refused() {
    for end in [4, 5, 100, HOLESKY.len() - 1] {
        assert!(matches!(Genesis::parse("a", &HOLESKY[..end]), Err(GenesisError::Read { .. })));
    }
    for position in (4..HOLESKY.len()).step_by(7) {
        let mut damaged = HOLESKY.to_vec();
        damaged[position] ^= 0x10;
        let read = Genesis::parse("a", &damaged);
        // The frame's own checksum covers the text; its header may carry unused bits.
        assert!(read.is_err() || read.unwrap() == Genesis::parse("a", HOLESKY).unwrap());
    }
}

#[test]
fn text_over_the_limit_is_refused_and_unpacked_no_further() {
    let limit = ALLOC.len() as u64;
    let parse = |bytes: &[u8]| Genesis::parse_limited("a", bytes, limit);
    assert!(parse(ALLOC.as_bytes()).is_ok());
    let longer = format!("{ALLOC} ");
    assert!(matches!(parse(longer.as_bytes()), Err(GenesisError::TooLarge { .. })));
    // Unpacking all of it would reach the damage at the end.
    let mut bomb = zstd::encode_all(io::repeat(b' ').take(1 << 24), 1).unwrap();
    bomb.truncate(bomb.len() - 1);
    assert!(matches!(parse(&bomb), Err(GenesisError::TooLarge { .. })));
}

#[test]
fn a_header_is_read_back() {
    let genesis = Genesis::parse("holesky", HOLESKY).unwrap();
    let header = genesis.header.unwrap();
    let root = H256::repeat_byte(7);
    let info = HeaderInfo { number: 0, state_root: root, parent_hash: H256::zero(), timestamp: header.timestamp };
    assert_eq!(decode_header(&header.encode(root)), Ok(info));
}

#[test]
fn what_is_no_header_is_refused() {
    let header = Genesis::parse("hoodi", HOODI).unwrap().header.unwrap();
    let whole = header.encode(EMPTY_ROOT);
    for end in 0..whole.len() {
        assert_eq!(decode_header(&whole[..end]), Err(HeaderError::NotAList), "{end}");
    }
    let longer = [whole.as_slice(), &[0]].concat();
    assert_eq!(decode_header(&longer), Err(HeaderError::NotAList));
    assert_eq!(decode_header(&[0xc0]), Err(HeaderError::FieldCount(0)));
    assert_eq!(decode_header(&[0x80]), Err(HeaderError::NotAList));
    // Lengths near 2^64, of the list and of an item in it.
    assert_eq!(decode_header(&[0xff; 40]), Err(HeaderError::NotAList));
    let hostile = [&[0xf8, 40][..], &[0xbf; 1], &[0xff; 39]].concat();
    assert!(decode_header(&hostile).is_err());
    // Fifteen empty strings: a list of the right length whose parent hash has no bytes.
    let empty = [vec![0xcf], vec![0x80; 15]].concat();
    let message = decode_header(&empty).unwrap_err().to_string();
    assert!(message.starts_with("block header: parentHash: "), "{message}");
}

#[test]
fn no_change_of_one_byte_makes_reading_a_header_panic() {
    let header = Genesis::parse("hoodi", HOODI).unwrap().header.unwrap();
    let whole = header.encode(EMPTY_ROOT);
    for position in 0..whole.len() {
        // One of each kind of RLP header.
        for byte in [0x00, 0x7f, 0x80, 0xb7, 0xb8, 0xbf, 0xc0, 0xf7, 0xf8, 0xff] {
            let mut changed = whole.clone();
            changed[position] = byte;
            let _ = decode_header(&changed);
        }
    }
}
