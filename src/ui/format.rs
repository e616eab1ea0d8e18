//! Numbers for people.

use std::time::Duration;

use crate::store::Totals;

/// `8893` as `8,893`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A share of 1 as a percentage, rounded down: nothing but the whole is 100.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.2}%", (share * 10_000.0).floor() / 100.0)
}

/// What a state holds.
pub(crate) fn totals(totals: &Totals) -> String {
    let Totals { accounts, slots, codes, nodes } = *totals;
    format!("{} accounts, {} slots, {} codes, {} nodes", count(accounts), count(slots), count(codes), count(nodes))
}

/// Bytes in binary units.
#[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
pub(crate) fn bytes(number: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = number as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let name = UNITS.get(unit).copied().unwrap_or_default();
    if unit == 0 { format!("{number} B") } else { format!("{value:.1} {name}") }
}

/// A duration to the second, or to the millisecond when it is short.
pub(crate) fn time(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{:.2} s", duration.as_secs_f64()),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_is_rounded_down() {
        assert_eq!(percent(0.999_999), "99.99%");
        assert_eq!(percent(1.0), "100.00%");
        assert_eq!(percent(0.0), "0.00%");
    }

    #[test]
    fn counts_have_thousands_separators() {
        assert_eq!([count(0), count(999), count(8893), count(1_234_567)], ["0", "999", "8,893", "1,234,567"]);
    }

    #[test]
    fn sizes_and_times_have_fitting_units() {
        assert_eq!([bytes(512), bytes(1536), bytes(3 << 30)], ["512 B", "1.5 KiB", "3.0 GiB"]);
        assert_eq!(time(Duration::from_millis(1234)), "1.23 s");
        assert_eq!(time(Duration::from_secs(61)), "1 min 01 s");
        assert_eq!(time(Duration::from_secs(7_322)), "2 h 02 min");
    }
}
