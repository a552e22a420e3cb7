//! Reads the file of pages that `bench/record.ts` writes.

use std::collections::HashMap;
use std::path::Path;

use metricstor_engine::labels::Labels;
use serde::Deserialize;

/// A recorded series.
#[derive(Clone)]
pub struct Series {
    /// Whose page it was on.
    pub target: String,
    /// Its labels, `job` and `instance` included.
    pub labels: Labels,
    /// Milliseconds, ascending.
    pub times: Vec<i64>,
    /// As many.
    pub values: Vec<f64>,
}

#[derive(Deserialize)]
struct Line {
    target: String,
    #[serde(default)]
    series: Vec<String>,
    #[serde(default)]
    t: i64,
    #[serde(default)]
    values: String,
}

/// All series of the file, by labels.
pub fn read(path: &Path) -> Vec<Series> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut all: Vec<Series> = Vec::new();
    let mut known: HashMap<(String, String), usize> = HashMap::new();
    let mut pages: HashMap<String, Vec<usize>> = HashMap::new();
    // The last line may be half written.
    for line in text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok()) {
        if line.values.is_empty() {
            let page = line.series.iter().map(|text| {
                *known.entry((line.target.clone(), text.clone())).or_insert_with(|| {
                    all.push(Series {
                        target: line.target.clone(),
                        labels: labels(text, &line.target),
                        times: Vec::new(),
                        values: Vec::new(),
                    });
                    all.len() - 1
                })
            });
            pages.insert(line.target.clone(), page.collect());
        } else if let Some(page) = pages.get(&line.target) {
            for (at, value) in page.iter().zip(line.values.split(' ')) {
                let one = &mut all[*at];
                if one.times.last().is_none_or(|last| *last < line.t) {
                    one.times.push(line.t);
                    one.values.push(value.parse().unwrap_or(f64::NAN));
                }
            }
        }
    }
    all.retain(|one| !one.times.is_empty());
    all.sort_by(|a, b| a.labels.cmp(&b.labels));
    all
}

/// The labels of `name{a="b",c="d"}`, and where it came from.
fn labels(text: &str, target: &str) -> Labels {
    let (name, mut rest) = text.split_once('{').unwrap_or((text, ""));
    let mut pairs = vec![("__name__".to_owned(), name.to_owned())];
    while let Some((label, tail)) = rest.split_once("=\"") {
        let mut value = String::new();
        let mut characters = tail.char_indices();
        while let Some((at, c)) = characters.next() {
            match c {
                '"' => {
                    rest = tail[at + 1..].trim_start_matches(',');
                    break;
                }
                '\\' => value.extend(characters.next().map(|(_, c)| c)),
                c => value.push(c),
            }
        }
        pairs.push((label.trim().to_owned(), value));
    }
    pairs.push(("instance".to_owned(), format!("{target}.example:9100")));
    pairs.push(("job".to_owned(), target.to_owned()));
    let set = Labels::from_pairs(pairs.iter().map(|(n, v)| (&**n, &**v)));
    set.unwrap_or_else(|_| Labels::from_pairs([("__name__", text)]).unwrap())
}
