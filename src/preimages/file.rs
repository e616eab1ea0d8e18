//! The files that preimages come in.

use std::path::Path;

use primitive_types::H256;

use super::PreimageError;
use super::input::{Input, Item};
use crate::genesis::{Genesis, MAX_GENESIS_BYTES};
use crate::trie::keccak256;

/// The longest item that is looked at: the key of a preimage in geth's database has 43 bytes, the header of a dump some
/// 30. Others are passed over.
const ITEM_BYTES: u64 = 256;
/// What a dump of geth's database begins with, and the key of a preimage in it.
const DUMP_MAGIC: &[u8] = b"gethdbdump";
pub(super) const PREIMAGE_PREFIX: &[u8] = b"secure-key-";
/// What an RLP string of an address and one of a slot number begin with.
const RLP_ADDRESS: u8 = 0x80 + 20;
const RLP_SLOT: u8 = 0x80 + 32;

/// How a file holds preimages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// RLP strings one after another, as `geth snapshot export-preimages` and the old `geth export-preimages` write them.
    Geth,
    /// Records of an address, a count and so many slot numbers, by the hashes of the addresses.
    Eip8347,
    /// A genesis allocation.
    Alloc,
    /// A dump of geth's database, as `geth db export preimage` writes it.
    GethDbDump,
}

/// Something in a file.
pub(super) enum Found {
    /// A preimage, of whatever hash.
    Preimage(Vec<u8>),
    /// A preimage, and what the file says is its hash.
    Keyed(H256, Vec<u8>),
    /// Something else.
    Other,
}

type Take<'a> = &'a mut dyn FnMut(Found) -> Result<(), PreimageError>;

/// Reads a file, of the given format or of the one that it looks like.
pub(super) fn read(path: &Path, format: Option<FileFormat>, take: Take<'_>) -> Result<(), PreimageError> {
    let mut input = Input::open(path)?;
    let format = match format {
        Some(format) => format,
        None => guess(&input.peek(64)?),
    };
    input.read_as(format.name());
    match format {
        FileFormat::Geth => geth(input, take),
        FileFormat::Eip8347 => eip_8347(input, take),
        FileFormat::Alloc => alloc(input, take),
        FileFormat::GethDbDump => dump(input, take),
    }
}

/// What a file with these first bytes is. An EIP-8347 file has no mark of its own: it is what is none of the others.
fn guess(first: &[u8]) -> FileFormat {
    let is_item = |byte: Option<&u8>| byte.is_none_or(|byte| [RLP_ADDRESS, RLP_SLOT].contains(byte));
    let text = first.iter().find(|byte| !byte.is_ascii_whitespace());
    match first.first() {
        _ if first.windows(DUMP_MAGIC.len()).take(4).any(|part| part == DUMP_MAGIC) => FileFormat::GethDbDump,
        Some(&RLP_ADDRESS) if is_item(first.get(21)) => FileFormat::Geth,
        Some(&RLP_SLOT) if is_item(first.get(33)) => FileFormat::Geth,
        _ if text == Some(&b'{') => FileFormat::Alloc,
        _ => FileFormat::Eip8347,
    }
}

fn geth(mut input: Input, take: Take<'_>) -> Result<(), PreimageError> {
    while let Some(item) = input.item(ITEM_BYTES)? {
        match item {
            Item::Bytes(bytes) => take(Found::Preimage(bytes))?,
            Item::Long => take(Found::Other)?,
            Item::List(_) => return Err(input.wrong("a list")),
        }
    }
    Ok(())
}

fn eip_8347(mut input: Input, take: Take<'_>) -> Result<(), PreimageError> {
    let mut last = None;
    while let Some(address) = input.array::<20>()? {
        let hash = keccak256(&address);
        // The order is all that shows whether it is such a file.
        if last.replace(hash) >= Some(hash) {
            return Err(input.wrong("an address that is not in the order of the hashes"));
        }
        take(Found::Preimage(address.into()))?;
        let count = input.array()?.ok_or_else(|| input.wrong("no count of slots"))?;
        let mut last_slot = None;
        for _ in 0..u32::from_be_bytes(count) {
            let slot = input.array::<32>()?.ok_or_else(|| input.wrong("fewer slots than it says"))?;
            let hash = keccak256(&slot);
            if last_slot.replace(hash) >= Some(hash) {
                return Err(input.wrong("a slot that is not in the order of the hashes"));
            }
            take(Found::Preimage(slot.into()))?;
        }
    }
    Ok(())
}

fn alloc(input: Input, take: Take<'_>) -> Result<(), PreimageError> {
    // One more than the limit, so that what is too long is told.
    let (file, text) = input.rest(MAX_GENESIS_BYTES + 1)?;
    Genesis::preimages(&file, &text)?.into_iter().try_for_each(|preimage| take(Found::Preimage(preimage)))
}

fn dump(mut input: Input, take: Take<'_>) -> Result<(), PreimageError> {
    match input.item(ITEM_BYTES)? {
        Some(Item::List(header)) if header.get(1..=DUMP_MAGIC.len()) == Some(DUMP_MAGIC) => {}
        _ => return Err(input.wrong("no header")),
    }
    while let Some(operation) = input.item(ITEM_BYTES)? {
        let (Some(key), Some(value)) = (input.item(ITEM_BYTES)?, input.item(ITEM_BYTES)?) else {
            return Err(input.wrong("it ends within a row"));
        };
        let Item::Bytes(operation) = operation else { return Err(input.wrong("no operation")) };
        let hash = match &key {
            // Zero, an addition, is the empty string.
            Item::Bytes(key) if operation.is_empty() => key.strip_prefix(PREIMAGE_PREFIX),
            _ => None,
        };
        match (hash.and_then(|hash| hash.try_into().ok()), value) {
            (Some(hash), Item::Bytes(bytes)) => take(Found::Keyed(H256(hash), bytes))?,
            _ => take(Found::Other)?,
        }
    }
    Ok(())
}

impl FileFormat {
    fn name(self) -> &'static str {
        match self {
            Self::Geth => "geth",
            Self::Eip8347 => "eip-8347",
            Self::Alloc => "alloc",
            Self::GethDbDump => "gethdbdump",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preimages(content: &[u8], format: Option<FileFormat>) -> Result<Vec<Vec<u8>>, PreimageError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, content).unwrap();
        let mut all = Vec::new();
        read(&path, format, &mut |found| {
            if let Found::Preimage(bytes) | Found::Keyed(_, bytes) = found {
                all.push(bytes);
            }
            Ok(())
        })?;
        Ok(all)
    }

    fn rlp_of(items: &[&[u8]]) -> Vec<u8> {
        items.iter().flat_map(rlp::encode).collect()
    }

    /// Two accounts in the order of their hashes, the first with a slot.
    fn records() -> Vec<u8> {
        let mut addresses = [[3; 20], [4; 20]];
        addresses.sort_by_key(|address| keccak256(address));
        let [one, two] = &addresses;
        [&one[..], &[0, 0, 0, 1], &[9; 32], two, &[0; 4]].concat()
    }

    #[test]
    fn a_files_format_is_known_by_its_content() {
        let (address, slot) = ([1; 20], [2; 32]);
        let both = vec![address.to_vec(), slot.to_vec()];
        assert_eq!(preimages(&rlp_of(&[&address, &slot]), None).unwrap(), both);
        let key = |preimage: &[u8]| [PREIMAGE_PREFIX, keccak256(preimage).as_bytes()].concat();
        let mut header = rlp::RlpStream::new_list(4);
        header.append(&DUMP_MAGIC).append(&0_u8).append(&&b"preimage"[..]).append(&1_u64);
        let rows = rlp_of(&[b"", &key(&address), &address, &[1], b"deleted", b"", b"", &key(&slot), &slot]);
        assert_eq!(preimages(&[&header.out()[..], &rows].concat(), None).unwrap(), both);
        let alloc =
            format!(r#"{{"{:x}": {{"balance": "1", "storage": {{"0x02": "0x03"}}}}}}"#, primitive_types::H160(address));
        let second = [&[0; 31][..], &[2]].concat();
        assert_eq!(preimages(alloc.as_bytes(), None).unwrap(), [address.to_vec(), second]);
        let found = preimages(&records(), None).unwrap();
        assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [20, 32, 20]);
    }

    #[test]
    fn a_compressed_file_is_read_as_it_is() {
        let plain = rlp_of(&[&[1; 20], &[2; 32]]);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut gzip, &plain).unwrap();
        let expected = preimages(&plain, None).unwrap();
        assert_eq!(preimages(&gzip.finish().unwrap(), None).unwrap(), expected);
        assert_eq!(preimages(&zstd::encode_all(&*plain, 1).unwrap(), None).unwrap(), expected);
    }

    #[test]
    fn a_file_that_is_not_what_it_was_taken_for_is_refused() {
        let cut = |content: &[u8]| content[..content.len() - 1].to_vec();
        let geth = rlp_of(&[&[1; 20], &[2; 32]]);
        let wrong_order = [&records()[56..], &records()[..56]].concat();
        for (content, format, says) in [
            (cut(&geth), FileFormat::Geth, "it ends within an item"),
            (vec![0xc0], FileFormat::Geth, "a list"),
            (vec![0xbf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], FileFormat::Geth, "it ends within an item"),
            (geth, FileFormat::GethDbDump, "no header"),
            (cut(&records()), FileFormat::Eip8347, "it ends within an item"),
            (records()[..20].to_vec(), FileFormat::Eip8347, "no count of slots"),
            (wrong_order, FileFormat::Eip8347, "not in the order of the hashes"),
        ] {
            let error = preimages(&content, Some(format)).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
        assert!(preimages(b"{", None).is_err());
    }
}
