//! The index file by itself: lookups around group borders, and what opening refuses.

use proptest::prelude::*;

use super::*;
use crate::disk::os::OsDisk;
use crate::index::select::PostingsSource;
use crate::labels::Labels;
use crate::sample::TimeRange;

fn chunk(mint: i64, maxt: i64, offset: u64, len: u32) -> ChunkMeta {
    ChunkMeta { encoding: 1, samples: 3, range: TimeRange::new(mint, maxt), offset, len }
}

/// Writes series that have the pairs of `list`, in its order.
fn index_of(dir: &Path, list: &[Labels], chunks: &[ChunkMeta]) -> IndexFile {
    let path = dir.join("index");
    let mut writer = IndexWriter::create(&OsDisk, &path).unwrap();
    for labels in list {
        writer.add(labels, Pieces::Chunks(chunks)).unwrap();
    }
    let summary = writer.finish(&OsDisk).unwrap();
    let index = IndexFile::open(&OsDisk, &path).unwrap();
    index.verify(summary).unwrap();
    index
}

/// `count` series of one label `l` each, whose values are 10, 12, 14 … as four digits, between
/// pairs of a lesser and of a greater name.
fn numbered(count: u32) -> Vec<Labels> {
    let mut list = vec![Labels::from_pairs([("k", "1")]).unwrap()];
    for i in 0..count {
        list.push(Labels::from_pairs([("l", &*format!("{:04}", 10 + 2 * i))]).unwrap());
    }
    list.push(Labels::from_pairs([("m", "1")]).unwrap());
    list
}

#[test]
fn every_value_is_found_and_no_other_around_group_borders() {
    for count in [1, 14, 15, 16, 17, 31, 32, 33, 100] {
        let dir = tempfile::tempdir().unwrap();
        let index = index_of(dir.path(), &numbered(count), &[chunk(0, 1, 0, 9)]);
        for number in 0..2 * count + 20 {
            let text = format!("{number:04}");
            let found = index.value("l", &text).unwrap().map(|b| b.iter().collect::<Vec<_>>());
            let at = number.checked_sub(10).filter(|n| n % 2 == 0 && n / 2 < count);
            assert_eq!(found, at.map(|n| vec![1 + n / 2]), "value {text} of {count}");
        }
        for (name, value) in [("l", ""), ("l", "zz"), ("k", "0"), ("k", "2"), ("x", "1")] {
            assert!(index.value(name, value).unwrap().is_none(), "{name}={value} of {count}");
        }
        assert_eq!(index.named("l").unwrap().len(), u64::from(count));
        assert_eq!(index.named("x").unwrap().len(), 0);
        assert_eq!(index.all().unwrap().len(), u64::from(count) + 2);
        assert_eq!(index.names().collect::<Vec<_>>(), ["k", "l", "m"]);
        let mut values = Vec::new();
        let collect = |_, value: &str| {
            values.push(value.to_owned());
            Ok(())
        };
        index.for_each_value(index.pairs_of("l"), collect).unwrap();
        assert!(values.is_sorted() && values.len() == count as usize);
    }
}

#[test]
fn an_index_of_no_series_opens() {
    let dir = tempfile::tempdir().unwrap();
    let index = index_of(dir.path(), &[], &[]);
    assert_eq!((index.series_count(), index.pair_count()), (0, 0));
    assert!(index.all().unwrap().is_empty());
    assert!(index.value("a", "b").unwrap().is_none());
}

#[test]
fn a_series_without_labels_is_a_series() {
    let dir = tempfile::tempdir().unwrap();
    let index = index_of(dir.path(), &[Labels::empty()], &[chunk(5, 5, 0, 4)]);
    let entry = index.series(0).unwrap();
    let mut schema = Vec::new();
    index.schema(entry.schema, &mut schema).unwrap();
    assert!(schema.is_empty());
    let pieces: Vec<Piece> = entry.pieces().map(Option::unwrap).collect();
    assert_eq!(pieces, [Piece::Chunk(chunk(5, 5, 0, 4))]);
}

#[test]
fn the_staging_file_does_not_stay() {
    let dir = tempfile::tempdir().unwrap();
    index_of(dir.path(), &numbered(3), &[chunk(0, 1, 0, 9)]);
    let names: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["index"]);
}

proptest! {
    #[test]
    fn chunks_come_back_at_any_time_and_place(
        starts in prop::collection::vec((any::<i64>(), any::<i64>(), any::<u32>(), 0..1u64 << 62), 1..9),
    ) {
        let chunks: Vec<ChunkMeta> = starts
            .iter()
            .map(|(a, b, len, offset)| chunk(*a.min(b), *a.max(b), *offset, *len))
            .collect();
        let dir = tempfile::tempdir().unwrap();
        let index = index_of(dir.path(), &numbered(1), &chunks);
        for number in 0..index.series_count() {
            let got: Option<Vec<Piece>> = index.series(number).unwrap().pieces().collect();
            let want = chunks.iter().copied().map(Piece::Chunk).collect();
            prop_assert_eq!(got, Some(want));
        }
    }

    #[test]
    fn columns_come_back_wherever_frames_and_timelines_begin(
        series in prop::collection::vec(
            prop::collection::vec((any::<bool>(), prop_oneof![4 => Just(None), 1 => any::<u32>().prop_map(Some)]), 0..9),
            1..50,
        ),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index");
        let mut writer = IndexWriter::create(&OsDisk, &path).unwrap();
        let mut at = ColumnRef::default();
        let mut want = Vec::new();
        for (number, pieces) in series.iter().enumerate() {
            let mut columns = Vec::new();
            for (begins_a_frame, timeline) in pieces {
                if *begins_a_frame {
                    (at.frame, at.column) = (at.frame + 1, 0);
                }
                at.timeline = timeline.unwrap_or(at.timeline / 2);
                columns.push(at);
                at.column += 1;
                at.timeline = at.timeline.wrapping_add(1);
            }
            let labels = Labels::from_pairs([("l", &*format!("{number:03}"))]).unwrap();
            writer.add(&labels, Pieces::Columns(&columns)).unwrap();
            want.push(columns);
        }
        writer.finish(&OsDisk).unwrap();
        let index = IndexFile::open(&OsDisk, &path).unwrap();
        for (number, columns) in want.into_iter().enumerate() {
            let got: Option<Vec<Piece>> = index.series(number as u32).unwrap().pieces().collect();
            prop_assert_eq!(got, Some(columns.into_iter().map(Piece::Column).collect()));
        }
    }
}
