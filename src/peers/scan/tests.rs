use std::fs;

use proptest::prelude::*;

use super::super::wire::{Answer, Hex, read, scanned};

/// Items that the replies answer to.
const ASKED: usize = 4;

/// Changes of each reply of the fuzzer's corpus.
const MUTATIONS: usize = 20_000;

/// What changes the meaning of JSON around it.
const TOKENS: [&str; 24] = [
    "\"",
    "\\",
    "\\\"",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    " ",
    "\n",
    "\u{c}",
    "0",
    "1",
    ".",
    "e",
    "-",
    "\\u0030",
    "\u{e9}",
    "null",
    "0x",
    "\"id\":0,",
    "\"jsonrpc\":1,",
    "\"result\":\"0x12\",",
];

/// Whatever the scanner takes, the library reads alike.
fn agree(reply: &[u8]) {
    if let Some(answers) = scanned(reply, ASKED) {
        assert_eq!(read(reply, ASKED).unwrap(), answers, "{}", reply.escape_ascii());
    } else {
        assert!(read(reply, ASKED).is_err(), "{}", reply.escape_ascii());
    }
}

fn hex(text: &str) -> Answer<'_> {
    Answer::Hex(Hex::new(text.as_bytes()).unwrap())
}

#[test]
fn plain_elements_are_read_whatever_the_order_of_their_members_and_the_space_between() {
    let reply = br#" [{"jsonrpc":"2.0","id":1,"result":"0x01"},{"result":"0x","jsonrpc":"2.0","id":0}
        , { "id" : 2, "result": "0xaBcD" } ] "#;
    assert_eq!(scanned(reply, ASKED).unwrap(), [hex("0x"), hex("0x01"), hex("0xaBcD"), Answer::Nothing]);
}

#[test]
fn other_elements_are_read_beside_plain_ones() {
    let reply = br#"[{"id":0,"result":"0x01"},{"id":"1","result":"0x02"},{"id":2,"result":null,"x":[{}]},
        {"id":3,"result":"\u0030x03"},{"id":3,"result":"0x04"}]"#;
    assert_eq!(scanned(reply, ASKED).unwrap(), [hex("0x01"), hex("0x02"), Answer::Null, Answer::NotHex]);
}

#[test]
fn what_the_library_refuses_is_not_taken() {
    for reply in [
        "",
        "[",
        "[]]",
        "[{}",
        "[{},]",
        "[,{}]",
        "{}",
        "[{\"id\":0,\"result\":\"0x01\"},]",
        "[{\"id\":01,\"result\":\"0x\"}]",
        "[{\"id\":0,\"id\":0,\"result\":\"0x\"}]",
        "[{\"id\":0,\"result\":\"0x\",\"result\":\"0x\"}]",
        "[{\"id\":0,\"result\":\"0x\",}]",
        "[{\"id\":0 \"result\":\"0x\"}]",
        "[{\"id\":0,\"result\":\"0x\\\"}]",
    ] {
        agree(reply.as_bytes());
        assert!(scanned(reply.as_bytes(), ASKED).is_none(), "{reply}");
    }
    agree(b"[{\"id\":0,\"result\":\"0x01\",\"x\":\"\xff\"}]");
    agree(b"[{\"\xff\":0}]");
}

#[test]
fn mutations_of_the_fuzzers_corpus_are_read_alike() {
    let mut state = 1_u64;
    let mut pick = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % (below.max(1) as u64)).unwrap()
    };
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/reply");
    let mut files: Vec<_> = fs::read_dir(corpus).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    for file in files {
        // The first byte says of how many items.
        let reply = fs::read(file).unwrap().split_off(1);
        agree(&reply);
        for _ in 0..MUTATIONS {
            let mut reply = reply[..reply.len().min(400)].to_vec();
            for _ in 0..=pick(3) {
                let at = pick(reply.len());
                let end = (at + pick(8)).min(reply.len());
                match pick(4) {
                    0 => drop(reply.drain(at..end)),
                    1 => drop(reply.splice(at..end, TOKENS[pick(TOKENS.len())].bytes())),
                    2 => drop(reply.splice(at..at, TOKENS[pick(TOKENS.len())].bytes())),
                    _ => drop(reply.splice(at..end, [u8::try_from(pick(256)).unwrap()])),
                }
            }
            agree(&reply);
        }
    }
}

fn member() -> impl Strategy<Value = String> {
    let space = prop_oneof![6 => Just(""), 1 => Just(" "), 1 => Just("\n\t")];
    let name = prop_oneof!["id", "id", "result", "result", "jsonrpc", "error", "x", r"\\u0069d"];
    let value = prop_oneof![
        "\"0x([0-9a-fA-F]{2}){0,40}\"",
        "[0-5]",
        "[0-9]{1,11}",
        "\"2.0\"",
        "\"[0-5]\"",
        "\"0x[0-9a-fz]{0,5}\"",
        "-0",
        "1e2",
        "null",
        "true",
        r#""\\"""#,
        r#"\{"code":-32000,"message":"not found"\}"#,
        r#"\[\[1\],"0x00"\]"#,
    ];
    (space.clone(), name, space.clone(), value, space)
        .prop_map(|(before, name, between, value, after)| format!("{before}\"{name}\":{between}{value}{after}"))
}

fn plain() -> impl Strategy<Value = String> {
    (0_usize..6, "([0-9a-f]{2}){0,40}")
        .prop_map(|(id, hex)| format!(r#"{{"jsonrpc":"2.0","id":{id},"result":"0x{hex}"}}"#))
}

fn element() -> impl Strategy<Value = String> {
    let made = prop::collection::vec(member(), 0..5).prop_map(|members| format!("{{{}}}", members.join(",")));
    prop_oneof![3 => plain(), 3 => made, 1 => r#"(\[0,"0x01",null\]|null|7|"")"#]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..crate::trie::tests::cases() })]

    #[test]
    fn elements_of_any_members_are_read_alike(elements in prop::collection::vec(element(), 0..5)) {
        agree(format!("[{}]", elements.join(",")).as_bytes());
    }

    #[test]
    fn plain_elements_with_anything_among_them_are_read_alike(
        elements in prop::collection::vec(plain(), 1..4),
        token in 0..TOKENS.len(),
        at in any::<prop::sample::Index>(),
    ) {
        let mut reply = format!("[{}]", elements.join(","));
        reply.insert_str(at.index(reply.len()), TOKENS[token]);
        agree(reply.as_bytes());
    }
}
