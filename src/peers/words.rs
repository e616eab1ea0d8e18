//! A peer's words, as they are kept and shown.

/// How much of them is kept. The longest refusals of real nodes have some 200 bytes.
const WORDS_BYTES_MAX: usize = 300;

/// A text from a peer, short enough to keep and safe to print: what a terminal would obey, or what would make a line
/// read otherwise than it is, is replaced.
pub(crate) fn tame(text: &str) -> String {
    let mut tame = String::new();
    for character in text.trim().chars() {
        if tame.len() + character.len_utf8() > WORDS_BYTES_MAX {
            tame.push('…');
            break;
        }
        tame.push(match character {
            character if character.is_whitespace() => ' ',
            character if character.is_control() || is_invisible(character) => char::REPLACEMENT_CHARACTER,
            character => character,
        });
    }
    tame
}

/// Whether a character is of no width or turns the direction of writing.
fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_off_between_characters() {
        assert_eq!(tame(" pebble: not found\n"), "pebble: not found");
        assert_eq!(tame(&"x".repeat(WORDS_BYTES_MAX)), "x".repeat(WORDS_BYTES_MAX));
        let long = tame(&"€".repeat(1 << 20));
        assert!(long.len() <= WORDS_BYTES_MAX + '…'.len_utf8() && long.ends_with("€…"), "{long}");
    }

    #[test]
    fn a_terminal_is_told_nothing() {
        let shown = tame("\x1b]0;title\x07 \x1b[2J\u{9b}31m a\r\nerror: b\0 \u{202e}txt.exe\u{200b}");
        assert!(shown.chars().all(|character| !character.is_control() && !is_invisible(character)), "{shown:?}");
        assert!(shown.contains("a  error: b"), "{shown:?}");
    }
}
