/**
 * @file Seeded random PromQL over the recorded data set: every expression type-checks, and most
 * find something.
 *
 * What is left out, and why: `limitk`, `limit_ratio` and, where values tie, `topk` choose by the
 * order of series; the answers of `sort` and its kin are compared as sets; `count_values` of
 * computed values makes labels of their last bits.
 */
import type { Random } from './series-draft.js';

/** Metrics of the data set with the labels that group them, chosen to overlap in names. */
const metrics: readonly { readonly name: string; readonly labels: readonly string[] }[] = [
  { name: 'http_requests_total', labels: ['job', 'instance', 'method', 'code'] },
  { name: 'node_cpu_seconds_total', labels: ['job', 'instance', 'cpu', 'mode'] },
  { name: 'temperature_celsius', labels: ['room', 'floor'] },
  { name: 'queue_depth', labels: ['queue', 'job'] },
  { name: 'up', labels: ['job', 'instance'] },
  { name: 'build_info', labels: ['job', 'instance', 'version'] },
  { name: 'weird', labels: ['kind'] },
  { name: 'short_lived', labels: ['end'] },
  { name: 'late_gauge', labels: ['how'] },
  { name: 'late_events_total', labels: ['how'] },
  { name: 'sparse_events_total', labels: ['kind'] },
  { name: 'left', labels: ['id', 'zone'] },
  { name: 'right', labels: ['id', 'zone', 'owner'] },
  { name: 'zone_limit', labels: ['zone'] },
  { name: 'http_request_duration_seconds_bucket', labels: ['instance', 'le'] },
  { name: 'rpc_latency_bucket', labels: ['shape', 'le'] },
];

const selectors: readonly string[] = [
  '{__name__=~"left|right"}',
  '{job="api",__name__!~"http_request_duration.*"}',
  'http_requests_total{code="200"}',
  'http_requests_total{instance=~"a:.*",method!="POST"}',
  'left{zone=""}',
  'right{zone=~"x|y",id!="5"}',
  'weird{kind=~"mixed|nan|inf"}',
  'queue_depth{queue!~"a.*"}',
  '{"http.server.duration"}',
  'no_such_metric',
];

const rangeFunctions = [
  'rate',
  'increase',
  'irate',
  'delta',
  'idelta',
  'deriv',
  'changes',
  'resets',
  'sum_over_time',
  'avg_over_time',
  'min_over_time',
  'max_over_time',
  'count_over_time',
  'stddev_over_time',
  'stdvar_over_time',
  'last_over_time',
  'first_over_time',
  'present_over_time',
  'absent_over_time',
  'mad_over_time',
];

const vectorFunctions = [
  'abs',
  'ceil',
  'floor',
  'sqrt',
  'exp',
  'sgn',
  'deg',
  'round',
  'timestamp',
  'absent',
  'hour',
  'minute',
  'day_of_week',
];

const aggregations = ['sum', 'avg', 'min', 'max', 'count', 'group', 'stddev', 'stdvar'];
const arithmetic = ['+', '-', '*', '/', '%', '^', 'atan2'];
const comparisons = ['==', '!=', '>', '<', '>=', '<='];
const marks = ['changes', 'resets'];
const ranges = ['30s', '1m', '2m', '5m', '7m13s', '10m', '1h', '3h'];
const offsets = [
  '',
  '',
  '',
  '',
  ' offset 1m',
  ' offset 47m',
  ' offset -5m',
  ' @ 1767236400',
  ' @ end()',
];

/** Writes expressions; the same seed writes the same ones. */
export class QueryWriter {
  constructor(private readonly random: Random) {}

  /** An expression for an instant or a range query: a vector or a scalar. */
  expression(): string {
    return this.chance(0.05) ? this.scalar(2) : this.vector(3);
  }

  private pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.random() * list.length)];
  }

  private chance(share: number): boolean {
    return this.random() < share;
  }

  private scalar(depth: number): string {
    if (depth === 0 || this.chance(0.6)) {
      return this.pick(['0', '1', '2.5', '-3', '1e3', 'NaN', 'Inf', '0.1', '60', 'time()', 'pi()']);
    }
    return this.chance(0.5)
      ? `scalar(${this.vector(depth - 1)})`
      : `(${this.scalar(depth - 1)} ${this.pick(arithmetic)} ${this.scalar(depth - 1)})`;
  }

  private selector(): string {
    return this.chance(0.25) ? this.pick(selectors) : this.pick(metrics).name;
  }

  private range(depth: number): string {
    if (depth > 1 && this.chance(0.2)) {
      const step = this.pick(['', '30s', '1m', '7m', '90s']);
      const range = this.pick(['5m', '20m', '1h']);
      return `(${this.vector(depth - 1)})[${range}:${step}]${this.pick(offsets)}`;
    }
    return `${this.selector()}[${this.pick(ranges)}]${this.pick(offsets)}`;
  }

  private vector(depth: number): string {
    if (depth === 0 || this.chance(0.15)) {
      return this.selector() + (this.chance(0.1) ? ' smoothed' : '') + this.pick(offsets);
    }
    const kinds = [
      () => this.rangeCall(depth),
      () => this.rangeCall(depth),
      () => this.aggregate(depth),
      () => this.aggregate(depth),
      () => this.binary(depth),
      () => this.binary(depth),
      () => this.vectorCall(depth),
      () => this.labelCall(depth),
    ];
    return this.pick(kinds)();
  }

  private rangeCall(depth: number): string {
    if (this.chance(0.1)) {
      return `quantile_over_time(${this.pick(['0', '0.5', '0.93', '1', '2'])}, ${this.range(depth)})`;
    }
    if (this.chance(0.08)) {
      return `predict_linear(${this.range(depth)}, ${this.pick(['60', '-600', '3600'])})`;
    }
    if (this.chance(0.15)) {
      const edges = this.pick(['anchored', 'smoothed']);
      const functions = ['rate', 'increase', 'delta', ...(edges === 'anchored' ? marks : [])];
      const range = `${this.selector()}[${this.pick(ranges)}] ${edges}${this.pick(offsets)}`;
      return `${this.pick(functions)}(${range})`;
    }
    return `${this.pick(rangeFunctions)}(${this.range(depth)})`;
  }

  private labels(): string {
    const all = this.pick(metrics).labels;
    return all.filter(() => this.chance(0.6)).join(', ');
  }

  private aggregate(depth: number): string {
    const how = this.chance(0.3) ? '' : ` ${this.pick(['by', 'without'])} (${this.labels()})`;
    const inner = this.vector(depth - 1);
    if (this.chance(0.08)) {
      return `quantile${how} (${this.pick(['0.1', '0.5', '1'])}, ${inner})`;
    }
    if (this.chance(0.08)) {
      return `count_values${how} ("value", ${this.selector()})`;
    }
    if (this.chance(0.08)) {
      return `histogram_quantile(${this.pick(['0.5', '0.9'])}, ${inner})`;
    }
    return `${this.pick(aggregations)}${how} (${inner})`;
  }

  private fill(): string {
    if (this.chance(0.7)) {
      return '';
    }
    const value = this.pick(['0', '1', '-2.5', 'NaN', 'Inf']);
    return `${this.pick(['fill', 'fill_left', 'fill_right', 'fill_left(3) fill_right'])}(${value}) `;
  }

  private matching(many: boolean): string {
    const fill = many ? this.fill() : '';
    if (this.chance(0.3)) {
      return fill;
    }
    const how = this.chance(0.7) ? 'on' : 'ignoring';
    const group = many && this.chance(0.4) ? ` ${this.pick(['group_left', 'group_right'])} ()` : '';
    return `${how} (${this.labels()})${group} ${fill}`;
  }

  private binary(depth: number): string {
    const left = this.vector(depth - 1);
    if (this.chance(0.25)) {
      const operator = this.pick(['and', 'or', 'unless']);
      return `(${left} ${operator} ${this.matching(false)}${this.vector(depth - 1)})`;
    }
    const compares = this.chance(0.4);
    const bool = compares && this.chance(0.4) ? 'bool ' : '';
    const operator = `${this.pick(compares ? comparisons : arithmetic)} ${bool}`;
    if (this.chance(0.35)) {
      const scalar = this.scalar(1);
      return this.chance(0.5) ? `(${left} ${operator}${scalar})` : `(${scalar} ${operator}${left})`;
    }
    if (this.chance(0.1)) {
      return `-${left}`;
    }
    return `(${left} ${operator}${this.matching(true)}${this.vector(depth - 1)})`;
  }

  private vectorCall(depth: number): string {
    const inner = this.vector(depth - 1);
    if (this.chance(0.15)) {
      return `clamp(${inner}, ${this.scalar(1)}, ${this.scalar(1)})`;
    }
    return this.chance(0.1)
      ? `vector(${this.scalar(1)})`
      : `${this.pick(vectorFunctions)}(${inner})`;
  }

  private labelCall(depth: number): string {
    const inner = this.vector(depth - 1);
    const { labels } = this.pick(metrics);
    if (this.chance(0.5)) {
      return `label_join(${inner}, "joined", "-", ${labels.map((name) => `"${name}"`).join(', ')})`;
    }
    const target = this.pick([...labels, 'fresh', '__name__']);
    const pattern = this.pick(['(.*)', '(.).*', '', 'a(.*)', '(\\\\w+):(\\\\d+)']);
    return `label_replace(${inner}, "${target}", "${this.pick(['x', '$1', 'v-$1-$2', ''])}", "${this.pick(labels)}", "${pattern}")`;
  }
}
