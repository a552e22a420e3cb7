//! The generated fleet of `bench/fleet.ts`, in Rust: instances of a service, 50 series each, ten
//! labels of about 200 bytes, with values such metrics have.

use metricstor_engine::labels::Labels;

const PER_INSTANCE: usize = 50;
const MODES: [&str; 4] = ["idle", "user", "system", "iowait"];
const METHODS: [&str; 3] = ["GET", "POST", "PUT"];
const CODES: [&str; 4] = ["200", "301", "404", "500"];
const BOUNDS: [&str; 12] =
    ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"];
const GAUGES: [&str; 10] = [
    "node_memory_available_bytes",
    "node_memory_cached_bytes",
    "node_load1",
    "node_load5",
    "node_filesystem_avail_bytes",
    "process_resident_memory_bytes",
    "process_open_fds",
    "go_goroutines",
    "node_hwmon_temp_celsius",
    "node_uname_info",
];

/// Two hours of blocks begin here.
const START: i64 = 1_699_999_200_000;

#[derive(Clone, Copy)]
enum Kind {
    IntegerCounter,
    DecimalCounter,
    Bytes,
    DecimalGauge,
    Constant,
}

/// Numbers from 0 to 1 that look random and are the same in every run.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

fn slot(index: usize) -> (&'static str, Vec<(&'static str, String)>, Kind) {
    match index {
        0..16 => {
            let labels = vec![("cpu", (index >> 2).to_string()), ("mode", MODES[index & 3].into())];
            ("node_cpu_seconds_total", labels, Kind::DecimalCounter)
        }
        16..28 => {
            let at = index - 16;
            let labels = vec![("method", METHODS[at >> 2].into()), ("code", CODES[at & 3].into())];
            ("http_requests_total", labels, Kind::IntegerCounter)
        }
        28..40 => {
            let labels =
                vec![("le", BOUNDS[index - 28].into()), ("handler", "/api/v1/items".into())];
            ("http_request_duration_seconds_bucket", labels, Kind::IntegerCounter)
        }
        _ => {
            let name = GAUGES[index - 40];
            let kind = match name {
                name if name.ends_with("_bytes") => Kind::Bytes,
                name if name.ends_with("_info") => Kind::Constant,
                _ => Kind::DecimalGauge,
            };
            (name, Vec::new(), kind)
        }
    }
}

fn step(kind: Kind, value: f64, random: f64) -> f64 {
    let hundredths = |v: f64| (v * 100.0).round() / 100.0;
    match kind {
        Kind::IntegerCounter => value + (random * 40.0).floor(),
        Kind::DecimalCounter => hundredths(value + random * 15.0),
        Kind::Bytes => (value + (random * 2048.0 - 1024.0).floor() * 4096.0).max(0.0),
        Kind::DecimalGauge => hundredths(value + random * 2.0 - 1.0).max(0.0),
        Kind::Constant => 1.0,
    }
}

/// `series` series of `samples` each, every 15 s; those of one instance at the same times.
pub fn fleet(series: usize, samples: usize) -> Vec<(Labels, Vec<i64>, Vec<f64>)> {
    let mut noise = Noise(50);
    (0..series)
        .map(|i| {
            let instance = i / PER_INSTANCE;
            let (name, own, kind) = slot(i % PER_INSTANCE);
            let mut value = match kind {
                Kind::Bytes => (noise.next() * 2_097_152.0).floor() * 4096.0,
                _ => (noise.next() * 1000.0).floor(),
            };
            let values = (0..samples).map(|_| {
                value = step(kind, value, noise.next());
                value
            });
            let values = values.collect();
            let first = START + (instance as i64 * 7919) % 15_000;
            let times = (0..samples as i64).map(|n| first + n * 15_000).collect();
            (labels(instance, name, own), times, values)
        })
        .collect()
}

fn labels(instance: usize, name: &str, own: Vec<(&'static str, String)>) -> Labels {
    let mut pairs = vec![
        ("__name__", name.to_owned()),
        ("cluster", format!("production-eu-{}", instance % 3)),
        ("container", "application-server".to_owned()),
        (
            "instance",
            format!("10.{}.{}.{}:9100", instance >> 16, instance >> 8 & 255, instance & 255),
        ),
        ("job", format!("service-{}", instance % 8)),
        ("namespace", format!("team-{}-production", instance % 20)),
        ("node", format!("worker-{}.internal.example", instance % 500)),
        ("pod", format!("application-server-{}-x{instance}", instance * 7919 % 1_000_003)),
    ];
    pairs.extend(own);
    Labels::from_pairs(pairs.iter().map(|(n, v)| (*n, &**v))).unwrap()
}
