/**
 * @file Seeded random PromQL over the native histograms of the conformance tests: every expression
 * type-checks, and most find something.
 *
 * What is left out, and why: `limitk` chooses by the order of series; products with NaN, which show
 * empty buckets that Prometheus keeps for others of a chunk.
 */
import type { Random } from './series-draft.js';

const selectors = [
  'busy',
  'busy{host="a"}',
  'level',
  'custom',
  'mixed',
  'refined',
  'rebounded',
  'rebounded{host="a"}',
  'fine',
  'float',
  'timed',
  'nothing',
  '{__name__=~"busy|float"}',
  '{__name__=~"busy|custom"}',
  '{__name__=~"mixed|level|float"}',
  '{__name__=~"ended|mixed|refined"}',
  'served_total',
];

const rangeFunctions = [
  'rate',
  'increase',
  'delta',
  'irate',
  'idelta',
  'changes',
  'resets',
  'sum_over_time',
  'avg_over_time',
  'max_over_time',
  'count_over_time',
  'last_over_time',
  'first_over_time',
  'present_over_time',
  'stddev_over_time',
];

const edged = ['rate', 'increase', 'delta'];
const vectorFunctions = [
  'histogram_count',
  'histogram_sum',
  'histogram_avg',
  'histogram_stddev',
  'histogram_stdvar',
  'abs',
  'sort',
  '-',
  'info',
  'absent',
];
const aggregations = ['sum', 'avg', 'count', 'group', 'min', 'max', 'stddev'];
const operators = ['+', '-', '*', '/', '%', '==', '!=', '>', '</', '>/', 'and', 'or', 'unless'];
const ranges = ['45s', '90s', '3m', '5m', '20m'];
const offsets = ['', '', '', ' offset 1m', ' offset -30s', ' @ 300'];

/** Writes expressions; the same seed writes the same ones. */
export class HistogramQueryWriter {
  constructor(private readonly random: Random) {}

  expression(): string {
    return this.vector(3);
  }

  private pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.random() * list.length)];
  }

  private chance(share: number): boolean {
    return this.random() < share;
  }

  private number(): string {
    return this.pick(['0', '1', '0.5', '-2', '0.0005', '2.2', '1e3', '-0.3', 'time() / 300']);
  }

  private vector(depth: number): string {
    if (depth === 0 || this.chance(0.15)) {
      const smoothed = this.chance(0.15) ? ' smoothed' : '';
      return this.pick(selectors) + smoothed + this.pick(offsets);
    }
    return this.pick([
      () => this.rangeCall(depth),
      () => this.rangeCall(depth),
      () => this.aggregate(depth),
      () => this.binary(depth),
      () => this.binary(depth),
      () => this.vectorCall(depth),
    ])();
  }

  private rangeCall(depth: number): string {
    if (this.chance(0.2)) {
      const edges = this.pick(['anchored', 'smoothed']);
      const functions = edges === 'anchored' ? [...edged, 'changes', 'resets'] : edged;
      const range = `${this.pick(selectors)}[${this.pick(ranges)}] ${edges}${this.pick(offsets)}`;
      return `${this.pick(functions)}(${range})`;
    }
    if (this.chance(0.25)) {
      const step = this.pick(['', '30s', '1m', '20s']);
      const range = `(${this.vector(depth - 1)})[${this.pick(ranges)}:${step}]`;
      return `${this.pick(rangeFunctions)}(${range}${this.pick(offsets)})`;
    }
    const range = `${this.pick(selectors)}[${this.pick(ranges)}]${this.pick(offsets)}`;
    return `${this.pick(rangeFunctions)}(${range})`;
  }

  private aggregate(depth: number): string {
    const how = this.pick(['', ' by (host)', ' without (host)', ' by (instance)']);
    const inner = this.vector(depth - 1);
    if (this.chance(0.1)) {
      return `count_values${how} ("v", ${this.pick(selectors)})`;
    }
    return `${this.pick(aggregations)}${how} (${inner})`;
  }

  private binary(depth: number): string {
    const op = this.pick(operators);
    const left = this.vector(depth - 1);
    const isSet = op === 'and' || op === 'or' || op === 'unless';
    if (!isSet && this.chance(0.45)) {
      return this.chance(0.7)
        ? `(${left} ${op} ${this.number()})`
        : `(${this.number()} ${op} ${left})`;
    }
    const bool = (op === '==' || op === '!=' || op === '>') && this.chance(0.4) ? 'bool ' : '';
    const how = this.pick(['', '', 'on (host) ', 'ignoring (host) ', 'on () ', 'on (instance) ']);
    const group = !isSet && how !== '' && this.chance(0.5) ? this.pick(['left', 'right']) : '';
    const grouped = group === '' ? '' : `group_${group} () `;
    const fill = !isSet && this.chance(0.15) ? 'fill(0) ' : '';
    return `(${left} ${op} ${bool}${how}${grouped}${fill}${this.vector(depth - 1)})`;
  }

  private vectorCall(depth: number): string {
    const inner = this.vector(depth - 1);
    if (this.chance(0.2)) {
      return `histogram_quantile(${this.pick(['0.1', '0.5', '0.99', '1'])}, ${inner})`;
    }
    if (this.chance(0.15)) {
      return `histogram_quantiles(${inner}, "q", 0.2, 0.9)`;
    }
    if (this.chance(0.15)) {
      return `histogram_fraction(${this.number()}, ${this.number()}, ${inner})`;
    }
    return `${this.pick(vectorFunctions)}(${inner})`;
  }
}
