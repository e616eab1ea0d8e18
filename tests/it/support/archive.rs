//! Directories as files: a tar archive compressed with zstd, of plain files in a directory and those below it.

use std::path::Path;

use super::disk::files;

/// Tar's unit: a header is one, a file's content is filled up to whole ones.
const BLOCK: usize = 512;

/// Writes the files of a directory that `wanted` names to an archive: in order, without times and owners.
pub(crate) fn pack(dir: &Path, archive: &Path, wanted: impl Fn(&str) -> bool) {
    let files = files(dir).into_iter().map(|file| file.strip_prefix(dir).unwrap().to_str().unwrap().to_owned());
    let names = files.filter(|name| wanted(name));
    let mut tar = Vec::new();
    for name in names {
        let content = std::fs::read(dir.join(&name)).unwrap();
        tar.extend(header(&name, content.len()));
        tar.extend(&content);
        tar.resize(tar.len().next_multiple_of(BLOCK), 0);
    }
    tar.resize(tar.len() + 2 * BLOCK, 0);
    std::fs::write(archive, zstd::encode_all(&*tar, 19).unwrap()).unwrap();
}

/// A header as POSIX (ustar) has it.
fn header(name: &str, size: usize) -> [u8; BLOCK] {
    let mut header = [0; BLOCK];
    let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000644");
    put(108, "0000000");
    put(116, "0000000");
    put(124, &format!("{size:011o}"));
    put(136, "00000000000");
    // The sum of all bytes, with its own field as spaces.
    put(148, "        ");
    put(156, "0");
    put(257, "ustar");
    put(263, "00");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

/// Writes the files of an archive into a directory.
pub(crate) fn unpack(archive: &Path, dir: &Path) {
    let tar = zstd::decode_all(&*std::fs::read(archive).unwrap()).unwrap();
    let mut rest = &tar[..];
    while let Some((header, after)) = rest.split_at_checked(BLOCK).filter(|(header, _)| header[0] != 0) {
        let field = |from: usize, to: usize| {
            let text = std::str::from_utf8(&header[from..to]).unwrap();
            text.trim_end_matches(['\0', ' ']).to_owned()
        };
        let (name, size) = (field(0, 100), usize::from_str_radix(&field(124, 136), 8).unwrap());
        assert!(!name.starts_with('/') && !name.contains(".."), "{name}");
        let file = dir.join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, &after[..size]).unwrap();
        rest = &after[size.next_multiple_of(BLOCK)..];
    }
}
