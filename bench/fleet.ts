/**
 * @file The series that the benchmark writes: instances of a service, 50 series each, ten labels of
 * about 200 bytes, with the values that such metrics have. The same numbers on every run.
 */
import { seededRandom } from '../test/differential/series-draft.js';

export interface FleetSeries {
  /** Sorted by name. */
  readonly labels: readonly (readonly [string, string])[];
  /** The value of the next scrape; call it once a scrape. */
  next(): number;
}

const seriesPerInstance = 50;
const modes = ['idle', 'user', 'system', 'iowait'];
const methods = ['GET', 'POST', 'PUT'];
const codes = ['200', '301', '404', '500'];
const bounds = [
  '0.005',
  '0.01',
  '0.025',
  '0.05',
  '0.1',
  '0.25',
  '0.5',
  '1',
  '2.5',
  '5',
  '10',
  '+Inf',
];
const gauges = [
  'node_memory_available_bytes',
  'node_memory_cached_bytes',
  'node_load1',
  'node_load5',
  'node_filesystem_avail_bytes',
  'process_resident_memory_bytes',
  'process_open_fds',
  'go_goroutines',
  'node_hwmon_temp_celsius',
  'node_uname_info',
];

type Kind = 'integer counter' | 'decimal counter' | 'bytes' | 'decimal gauge' | 'constant';

function slot(index: number): { name: string; labels: Record<string, string>; kind: Kind } {
  if (index < 16) {
    const labels = { cpu: String(index >> 2), mode: modes[index & 3] };
    return { name: 'node_cpu_seconds_total', labels, kind: 'decimal counter' };
  }
  if (index < 28) {
    const at = index - 16;
    const labels = { method: methods[at >> 2], code: codes[at & 3] };
    return { name: 'http_requests_total', labels, kind: 'integer counter' };
  }
  if (index < 40) {
    const labels = { le: bounds[index - 28], handler: '/api/v1/items' };
    return { name: 'http_request_duration_seconds_bucket', labels, kind: 'integer counter' };
  }
  const name = gauges[index - 40];
  const kind = name.endsWith('_bytes')
    ? 'bytes'
    : name.endsWith('_info')
      ? 'constant'
      : 'decimal gauge';
  return { name, labels: {}, kind };
}

/** How a value of this kind goes on from `value`. */
function step(kind: Kind, value: number, random: number): number {
  switch (kind) {
    case 'integer counter':
      return value + Math.floor(random * 40);
    case 'decimal counter':
      return Math.round((value + random * 15) * 100) / 100;
    case 'bytes':
      return Math.max(0, value + Math.floor(random * 2048 - 1024) * 4096);
    case 'decimal gauge':
      return Math.max(0, Math.round((value + random * 2 - 1) * 100) / 100);
    case 'constant':
      return 1;
  }
}

function startValue(kind: Kind, random: number): number {
  return kind === 'bytes' ? Math.floor(random * 2 ** 21) * 4096 : Math.floor(random * 1000);
}

/** `count` series. */
export function makeFleet(count: number): FleetSeries[] {
  const random = seededRandom(50);
  return Array.from({ length: count }, (_, i) => {
    const instance = Math.floor(i / seriesPerInstance);
    const { name, labels, kind } = slot(i % seriesPerInstance);
    const all: Record<string, string> = {
      __name__: name,
      cluster: `production-eu-${instance % 3}`,
      container: 'application-server',
      instance: `10.${(instance >> 16) & 255}.${(instance >> 8) & 255}.${instance & 255}:9100`,
      job: `service-${instance % 8}`,
      namespace: `team-${instance % 20}-production`,
      node: `worker-${instance % 500}.internal.example`,
      pod: `application-server-${(instance * 7919) % 1_000_003}-x${instance}`,
      ...labels,
    };
    let value = startValue(kind, random());
    return {
      labels: Object.entries(all).sort(([a], [b]) => (a < b ? -1 : 1)),
      next: () => {
        value = step(kind, value, random());
        return value;
      },
    };
  });
}
