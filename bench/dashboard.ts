/**
 * @file What is asked in the benchmark: panels of dashboards and conditions of alerts over the
 * fleet of `fleet.ts`, from one series now to all of a metric over a day.
 */

export interface DashboardQuery {
  readonly name: string;
  readonly expression: string;
  /** 0 is an instant query. */
  readonly hours: number;
  readonly stepSeconds: number;
}

const one = 'instance="10.0.0.1:9100"';

function now(name: string, expression: string): DashboardQuery {
  return { name, expression, hours: 0, stepSeconds: 0 };
}

function range(
  name: string,
  hours: number,
  stepSeconds: number,
  expression: string,
): DashboardQuery {
  return { name: `${name}, ${hours} h`, expression, hours, stepSeconds };
}

export const dashboardQueries: readonly DashboardQuery[] = [
  now('requests a second', 'sum(rate(http_requests_total[5m]))'),
  now('requests a second by job', 'sum by (job) (rate(http_requests_total[5m]))'),
  now('busy instances', 'count by (job) (node_load1 > 10)'),
  now('one gauge', `node_memory_available_bytes{${one}}`),
  now('all of a gauge', 'process_open_fds'),
  now('alert: load', 'node_load1 > 800'),
  now('alert: disk fills', 'predict_linear(node_filesystem_avail_bytes[1h], 14400) < 0'),
  now('alert: error ratio', errorRatio('5m')),
  now('alert: absent', 'absent(node_load1{job="service-99"})'),
  now('latency quantile by job', quantile('job, le', '5m')),
  now('highest of a day', 'topk(5, max_over_time(node_load1[1d]))'),
  range('one gauge', 1, 15, `node_memory_available_bytes{${one}}`),
  range('requests by code', 1, 15, 'sum by (code) (rate(http_requests_total[5m]))'),
  range('all of a gauge', 1, 15, 'node_load1'),
  range('CPU by mode', 1, 15, 'sum by (mode) (rate(node_cpu_seconds_total[5m]))'),
  range('latency quantile', 6, 60, quantile('le', '5m')),
  range('error ratio by job', 6, 60, errorRatio('5m')),
  range('memory share', 6, 60, 'node_memory_cached_bytes / node_memory_available_bytes'),
  range('one instance', 24, 60, `rate(http_requests_total{${one},method="GET",code="200"}[5m])`),
  range('raw counters of an instance', 24, 60, `node_cpu_seconds_total{${one}}`),
  range(
    'CPU by instance',
    24,
    300,
    '1 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[5m]))',
  ),
  range('all CPUs', 24, 300, 'sum by (mode) (rate(node_cpu_seconds_total[5m]))'),
  range(
    'busiest instances',
    24,
    300,
    'topk(5, sum by (instance) (rate(http_requests_total[10m])))',
  ),
  range('peak load', 24, 600, 'max_over_time(node_load1[1h])'),
  range('mean of a mean', 24, 600, 'avg(avg_over_time(node_hwmon_temp_celsius[10m]))'),
  range('restarts', 24, 600, 'sum by (job) (changes(process_open_fds[1h]))'),
];

function errorRatio(window: string): string {
  const requests = (matchers: string): string =>
    `sum by (job) (rate(http_requests_total${matchers}[${window}]))`;
  return `${requests('{code=~"5.."}')} / ${requests('')}`;
}

function quantile(by: string, window: string): string {
  const buckets = `sum by (${by}) (rate(http_request_duration_seconds_bucket[${window}]))`;
  return `histogram_quantile(0.99, ${buckets})`;
}
