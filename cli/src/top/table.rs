//! The table of `podflow top`: one line a name, in units that people read.

use super::Moved;

/// Draws it, with what all together moved in its first line.
pub(super) fn draw(title: &str, ranked: &[(String, Moved)], total: Moved, window: u64) -> String {
    let longest = ranked.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    let width = longest.max(title.chars().count());
    let all = total.sent + total.received;
    let mut text = format!("the last {window} s: {} in all, {}\n", octets(all), rate(all, window));
    text += &format!("{title:<width$}  {:>10}  {:>10}  {:>14}\n", "SENT", "RECEIVED", "THROUGHPUT");
    for (name, moved) in ranked {
        text += &line(name, *moved, window, width);
    }
    if ranked.is_empty() {
        text += "nobody: no flow records in this time\n";
    }
    text
}

fn line(name: &str, moved: Moved, window: u64, width: usize) -> String {
    let (sent, received) = (octets(moved.sent), octets(moved.received));
    let throughput = rate(moved.sent + moved.received, window);
    format!("{name:<width$}  {sent:>10}  {received:>10}  {throughput:>14}\n")
}

/// Octets in the largest unit that leaves a number of at least 1.
fn octets(number: u64) -> String {
    scaled(number, ["B", "kB", "MB", "GB", "TB", "PB"])
}

/// Octets within `seconds`, as bits per second.
fn rate(octets: u64, seconds: u64) -> String {
    let bits = octets.saturating_mul(8).checked_div(seconds).unwrap_or_default();
    scaled(bits, ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s", "Pbit/s"])
}

fn scaled(number: u64, units: [&str; 6]) -> String {
    let mut rest = number;
    let mut unit = 0;
    let mut tenths = 0;
    while rest >= 1000 && unit + 1 < units.len() {
        (rest, tenths, unit) = (rest / 1000, rest % 1000 / 100, unit + 1);
    }
    match unit {
        0 => format!("{rest} {}", units[0]),
        _ => format!("{rest}.{tenths} {}", units[unit]),
    }
}

/// The nearest whole number of octets.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a sum of octets, checked before"
)]
pub(super) fn whole(number: f64) -> u64 {
    if number.is_finite() && number > 0.0 { number.round() as u64 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_units_right() {
        for (number, text) in
            [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1_234_567, "1.2 MB"), (u64::MAX, "18446.7 PB")]
        {
            assert_eq!(octets(number), text);
        }
        assert_eq!(rate(7_500_000, 60), "1.0 Mbit/s");
        assert_eq!(rate(1, 0), "0 bit/s");
        assert_eq!((whole(f64::NAN), whole(-1.0), whole(1e3)), (0, 0, 1000));
    }

    #[test]
    fn a_table_lines_up() {
        let moved = Moved { sent: 1200, received: 80 };
        assert_eq!(
            draw("SERVICE", &[("shop/cart:http".to_owned(), moved)], moved, 60),
            "the last 60 s: 1.2 kB in all, 170 bit/s\n\
             SERVICE               SENT    RECEIVED      THROUGHPUT\n\
             shop/cart:http      1.2 kB        80 B       170 bit/s\n"
        );
        assert!(draw("NODE", &[], Moved::default(), 60).ends_with("nobody: no flow records in this time\n"));
    }
}
