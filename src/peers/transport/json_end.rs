//! Where a JSON value ends in bytes that come in pieces.

use memchr::{memchr, memchr2};

/// Looks for the end of one JSON value. It does not check the value: that is for who reads it.
#[derive(Debug, Default)]
pub(super) struct JsonEnd {
    /// How far the bytes were looked at.
    seen: usize,
    /// Objects and arrays that are open.
    depth: usize,
    within: Within,
}

#[derive(Debug, Default)]
enum Within {
    /// The white space before the value.
    #[default]
    Margin,
    /// An object or an array.
    Structure,
    /// A string in it.
    Text,
    /// Something else, which a line's end ends.
    Line,
}

impl JsonEnd {
    /// The end of the value, when all of it is there: of an object or array its last bracket, of anything else the
    /// line's end. `bytes` begins as it did at the last call.
    pub(super) fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        while let Some(rest) = bytes.get(self.seen..).filter(|rest| !rest.is_empty()) {
            let stop = match self.within {
                Within::Margin => rest.iter().position(|byte| !byte.is_ascii_whitespace()),
                Within::Structure => rest.iter().position(|byte| matches!(byte, b'"' | b'{' | b'[' | b'}' | b']')),
                Within::Text => memchr2(b'"', b'\\', rest),
                Within::Line => memchr(b'\n', rest),
            };
            let Some(stop) = stop else {
                self.seen = bytes.len();
                return None;
            };
            let at = self.seen + stop;
            self.seen = at + 1;
            match (&self.within, bytes[at]) {
                (Within::Margin | Within::Structure, b'{' | b'[') => {
                    self.within = Within::Structure;
                    self.depth += 1;
                }
                (Within::Structure, b'"') => self.within = Within::Text,
                (Within::Structure, _) => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Some(self.seen);
                    }
                }
                // What is escaped ends nothing.
                (Within::Text, b'\\') => self.seen += 1,
                (Within::Text, _) => self.within = Within::Structure,
                (Within::Margin, _) => self.within = Within::Line,
                (Within::Line, _) => return Some(at),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The end as found when all comes at once, and as found byte by byte.
    fn end(text: &str) -> Option<usize> {
        let at_once = JsonEnd::default().find(text.as_bytes());
        let mut scan = JsonEnd::default();
        let in_pieces = (0..=text.len()).find_map(|length| scan.find(&text.as_bytes()[..length]));
        assert_eq!(at_once, in_pieces, "{text}");
        at_once
    }

    #[test]
    fn a_value_ends_with_its_last_bracket() {
        for value in [
            "{}",
            "[]",
            r#"{"a":[1,{"b":[]}],"c":null}"#,
            r#"["]","}","[{"]"#,
            r#"["\"]\\","\\"]"#,
            "{\n\t\"a\": 1\n}",
            r#"["\u005d"]"#,
        ] {
            for after in ["", "\n", "  ", "{}"] {
                for before in ["", "\n", " \r\n"] {
                    let text = format!("{before}{value}{after}");
                    assert_eq!(end(&text), Some(before.len() + value.len()), "{text}");
                }
            }
        }
    }

    #[test]
    fn a_value_that_is_not_whole_has_no_end() {
        for text in ["", " \n", "{", "[[]", r#"["]"#, r#"["\"]"#, r#"{"a":"\"#, "nul"] {
            assert_eq!(end(text), None, "{text}");
        }
    }

    #[test]
    fn anything_but_an_object_or_array_ends_with_its_line() {
        assert_eq!(end("null\n"), Some(4));
        assert_eq!(end("no JSON at all {\n"), Some(16));
        assert_eq!(end("]\n"), Some(1));
    }
}
