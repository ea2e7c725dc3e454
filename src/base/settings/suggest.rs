//! Did you mean: the known word that a misspelt one is closest to.

/// Candidates looked at for one word: bounds the work on a hostile file.
const CANDIDATES: usize = 1_000;
/// Words longer than this are not misspelt, they are something else.
const LONGEST: usize = 64;

/// The candidate closest to `word`, where one is close enough to have been meant.
pub fn closest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let word: Vec<char> = word.chars().take(LONGEST + 1).flat_map(char::to_lowercase).collect();
    // Any two short words are close to each other.
    if word.len() > LONGEST || word.len() < 3 {
        return None;
    }
    let allowed = (word.len() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .take(CANDIDATES)
        .filter(|candidate| candidate.len().abs_diff(word.len()) <= allowed + 3)
        .map(|candidate| {
            let spelt: Vec<char> = candidate.chars().flat_map(char::to_lowercase).collect();
            (distance(&word, &spelt), candidate)
        })
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Edits between two words: insert, delete, replace, and swap of neighbours (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, to) in b.iter().enumerate() {
            let replaced = last[j] + usize::from(from != to);
            let mut best = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *from == b[j - 1] && a[i - 1] == *to {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_understood() {
        let known = ["bind", "max_connections", "timeouts", "tls"];
        for (word, meant) in
            [("bnid", "bind"), ("max_conections", "max_connections"), ("timeout", "timeouts"), ("TLS", "tls")]
        {
            assert_eq!(closest(word, known), Some(meant));
        }
    }

    #[test]
    fn another_word_is_left_alone() {
        assert_eq!(closest("colour", ["bind", "tls"]), None);
        assert_eq!(closest("", ["bind"]), None);
        assert_eq!(closest(&"x".repeat(1 << 20), ["bind"]), None);
    }
}
