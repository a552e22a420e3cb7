//! Exemplars, metadata and cardinality as JSON text.
//!
//! Source of the form: Prometheus 3.14, `web/api/v1/json_codec.go` (`marshalExemplarJSON`),
//! `model/exemplar` (`QueryResult`), `model/metadata` (`Metadata`) and `web/api/v1/api.go`
//! (`TSDBStatus`).

use super::{array, number, string, timestamp};
use crate::head::exemplars::SeriesExemplars;
use crate::head::metadata::Metadata;
use crate::labels::Labels;
use crate::read::cardinality::{Cardinality, Ranked};

/// Appends `[{"seriesLabels":{…},"exemplars":[{"labels":{…},"value":"6","timestamp":1.500}]}]`.
pub fn exemplars(out: &mut Vec<u8>, found: &[SeriesExemplars]) {
    array(out, found.iter(), |out, SeriesExemplars { series, exemplars }| {
        out.extend_from_slice(br#"{"seriesLabels":"#);
        label_set(out, series);
        out.extend_from_slice(br#","exemplars":"#);
        array(out, exemplars.iter(), |out, exemplar| {
            out.extend_from_slice(br#"{"labels":"#);
            label_set(out, &exemplar.labels);
            out.extend_from_slice(br#","value":""#);
            number(out, exemplar.v);
            out.extend_from_slice(br#"","timestamp":"#);
            timestamp(out, exemplar.t as f64);
            out.push(b'}');
        });
        out.push(b'}');
    });
}

/// Appends `{"name":[{"type":"gauge","unit":"","help":"…"}]}`.
pub fn metadata(out: &mut Vec<u8>, found: &[Metadata]) {
    out.push(b'{');
    for (i, Metadata { family, kind, unit, help, .. }) in found.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        string(out, family);
        out.extend_from_slice(br#":[{"type":"#);
        string(out, kind.as_str());
        out.extend_from_slice(br#","unit":"#);
        string(out, unit);
        out.extend_from_slice(br#","help":"#);
        string(out, help);
        out.extend_from_slice(b"}]");
    }
    out.push(b'}');
}

/// Appends `{"headStats":{…},"seriesCountByMetricName":[…],…}`. Without a sample the times are the
/// largest and the smallest there are, the first before the last.
pub fn cardinality(out: &mut Vec<u8>, found: &Cardinality) {
    out.extend_from_slice(br#"{"headStats":{"numSeries":"#);
    unsigned(out, found.series);
    out.extend_from_slice(br#","numLabelPairs":"#);
    unsigned(out, found.label_pairs);
    out.extend_from_slice(br#","chunkCount":"#);
    unsigned(out, found.chunks);
    out.extend_from_slice(br#","minTime":"#);
    out.extend_from_slice(itoa::Buffer::new().format(found.range.mint).as_bytes());
    out.extend_from_slice(br#","maxTime":"#);
    out.extend_from_slice(itoa::Buffer::new().format(found.range.maxt).as_bytes());
    out.push(b'}');
    for (name, list) in [
        ("seriesCountByMetricName", &found.series_by_metric),
        ("labelValueCountByLabelName", &found.values_by_label),
        ("memoryInBytesByLabelName", &found.bytes_by_label),
        ("seriesCountByLabelValuePair", &found.series_by_pair),
    ] {
        out.push(b',');
        string(out, name);
        out.push(b':');
        array(out, list.iter(), |out, Ranked { name, value }| {
            out.extend_from_slice(br#"{"name":"#);
            string(out, name);
            out.extend_from_slice(br#","value":"#);
            unsigned(out, *value);
            out.push(b'}');
        });
    }
    out.push(b'}');
}

fn unsigned(out: &mut Vec<u8>, n: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
}

fn label_set(out: &mut Vec<u8>, labels: &Labels) {
    out.push(b'{');
    for (i, (name, value)) in labels.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        string(out, name);
        out.push(b':');
        string(out, value);
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::exemplars::Exemplar;
    use crate::refs::TenantId;
    use crate::sample::TimeRange;
    use crate::wire::metadata::MetricType;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn exemplars_are_written_as_prometheus_does() {
        let set = |pairs: &[(&str, &str)]| Labels::from_pairs(pairs.iter().copied()).unwrap();
        let first =
            Exemplar { t: 1_600_096_945_479, v: 6.0, labels: set(&[("trace_id", "EpTxM\"")]) };
        let second = Exemplar { t: 1000, v: f64::NAN, labels: set(&[]) };
        let found = [SeriesExemplars {
            series: set(&[("__name__", "up"), ("job", "x")]),
            exemplars: vec![first, second],
        }];
        assert_eq!(
            written(|out| exemplars(out, &found)),
            r#"[{"seriesLabels":{"__name__":"up","job":"x"},"exemplars":[{"labels":{"trace_id":"EpTxM\""},"value":"6","timestamp":1600096945.479},{"labels":{},"value":"NaN","timestamp":1}]}]"#
        );
        assert_eq!(written(|out| exemplars(out, &[])), "[]");
    }

    #[test]
    fn metadata_is_written_as_prometheus_does() {
        let of = |family: &str, kind, unit: &str, help: &str| Metadata {
            tenant: TenantId(0),
            family: family.into(),
            kind,
            unit: unit.into(),
            help: help.into(),
        };
        let found =
            [of("a", MetricType::Counter, "s", "Time."), of("b", MetricType::Unknown, "", "")];
        assert_eq!(
            written(|out| metadata(out, &found)),
            r#"{"a":[{"type":"counter","unit":"s","help":"Time."}],"b":[{"type":"unknown","unit":"","help":""}]}"#
        );
        assert_eq!(written(|out| metadata(out, &[])), "{}");
    }

    #[test]
    fn an_empty_head_has_the_times_of_prometheus() {
        let none = Cardinality {
            series: 0,
            label_pairs: 0,
            chunks: 0,
            range: TimeRange::EMPTY,
            series_by_metric: vec![Ranked { name: "up".to_owned(), value: 2 }],
            values_by_label: Vec::new(),
            bytes_by_label: Vec::new(),
            series_by_pair: Vec::new(),
        };
        assert_eq!(
            written(|out| cardinality(out, &none)),
            r#"{"headStats":{"numSeries":0,"numLabelPairs":0,"chunkCount":0,"minTime":9223372036854775807,"maxTime":-9223372036854775808},"seriesCountByMetricName":[{"name":"up","value":2}],"labelValueCountByLabelName":[],"memoryInBytesByLabelName":[],"seriesCountByLabelValuePair":[]}"#
        );
    }
}
