//! What a metric is: its type, unit and help, as both versions of remote_write carry them.
//!
//! Source: Prometheus 3.14, `prompb/types.proto` (`MetricMetadata`),
//! `prompb/io/prometheus/write/v2/types.proto` (`Metadata`): the numbers of the types are the same.

/// The type of a metric family. The numbers are those of the wire and of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum MetricType {
    /// Not said, or not known here.
    #[default]
    Unknown = 0,
    /// Only grows, but for restarts.
    Counter = 1,
    /// Any number.
    Gauge = 2,
    /// Counts of observations by size.
    Histogram = 3,
    /// A histogram whose counts may shrink.
    GaugeHistogram = 4,
    /// Quantiles of observations.
    Summary = 5,
    /// Labels of something, with the value 1.
    Info = 6,
    /// One series a state.
    StateSet = 7,
}

impl MetricType {
    /// All types, by their numbers.
    pub const ALL: [Self; 8] = [
        Self::Unknown,
        Self::Counter,
        Self::Gauge,
        Self::Histogram,
        Self::GaugeHistogram,
        Self::Summary,
        Self::Info,
        Self::StateSet,
    ];

    /// The type of a number; one that has no type is unknown.
    pub fn from_number(number: u64) -> Self {
        usize::try_from(number).ok().and_then(|n| Self::ALL.get(n)).copied().unwrap_or_default()
    }

    /// As Prometheus' API writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::GaugeHistogram => "gaugehistogram",
            Self::Summary => "summary",
            Self::Info => "info",
            Self::StateSet => "stateset",
        }
    }

    /// Endings that the series of a family of this type add to its name.
    const fn endings(self) -> &'static [&'static [u8]] {
        match self {
            Self::Histogram => &[b"_bucket", b"_count", b"_sum"],
            Self::GaugeHistogram => &[b"_bucket", b"_gcount", b"_gsum"],
            Self::Summary => &[b"_count", b"_sum"],
            _ => &[],
        }
    }
}

/// Type, unit and help of a metric family. Texts are not checked yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WireMetadata<'a> {
    /// The family's name.
    pub family: &'a [u8],
    /// Its type.
    pub kind: MetricType,
    /// Its unit, or nothing.
    pub unit: &'a [u8],
    /// What it measures, in a sentence, or nothing.
    pub help: &'a [u8],
}

/// The family of a series named `name`: remote_write 2.0 sends metadata with the series, so a
/// histogram's comes with its buckets, its count and its sum. The name of a counter stays whole, as
/// in the text format; it is the name that people look up.
pub fn family_of(name: &[u8], kind: MetricType) -> &[u8] {
    let stripped = kind.endings().iter().find_map(|ending| name.strip_suffix(*ending));
    stripped.filter(|family| !family.is_empty()).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_their_numbers() {
        for (number, kind) in MetricType::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, number);
            assert_eq!(MetricType::from_number(number as u64), kind);
        }
        assert_eq!(MetricType::from_number(8), MetricType::Unknown);
        assert_eq!(MetricType::from_number(u64::MAX), MetricType::Unknown);
    }

    #[test]
    fn series_of_a_histogram_share_a_family() {
        for (name, kind, family) in [
            ("rpc_seconds_bucket", MetricType::Histogram, "rpc_seconds"),
            ("rpc_seconds_sum", MetricType::Histogram, "rpc_seconds"),
            ("rpc_seconds", MetricType::Histogram, "rpc_seconds"),
            ("rpc_seconds_sum", MetricType::Gauge, "rpc_seconds_sum"),
            ("rpc_bucket", MetricType::Summary, "rpc_bucket"),
            ("rpc_gsum", MetricType::GaugeHistogram, "rpc"),
            ("requests_total", MetricType::Counter, "requests_total"),
            ("_sum", MetricType::Summary, "_sum"),
        ] {
            assert_eq!(family_of(name.as_bytes(), kind), family.as_bytes(), "{name} {kind:?}");
        }
    }
}
