/**
 * @file Writes seeded random PromQL over the samples of `world.ts`: the whole language, mostly
 * well-typed, mostly finding something.
 *
 * What is left out, and why: which series `limitk`, and `topk` among equal values, choose depends
 * on the order of series, which Prometheus leaves open, so these are counted only;
 * `count_values` of computed values makes labels of their last bits.
 */
import type { Random } from '../series-draft.js';
import * as words from './vocabulary.js';

/** Writes expressions; the same numbers write the same ones. */
export class ExpressionWriter {
  constructor(private readonly random: Random) {}

  /** For an instant or a range query: a vector or a scalar. */
  expression(): string {
    if (this.chance(0.04)) {
      return this.scalar(2);
    }
    return this.vector(this.chance(0.5) ? 2 : 3);
  }

  private pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.random() * list.length)];
  }

  private chance(share: number): boolean {
    return this.random() < share;
  }

  /** One of several ways to go on, each as likely as its weight. */
  private choose(ways: readonly (readonly [number, () => string])[]): string {
    let at = this.random() * ways.reduce((sum, [weight]) => sum + weight, 0);
    for (const [weight, way] of ways) {
      at -= weight;
      if (at < 0) {
        return way();
      }
    }
    return ways[0][1]();
  }

  private scalar(depth: number): string {
    if (depth === 0 || this.chance(0.6)) {
      return this.pick(words.scalarLiterals);
    }
    const inner = (): string => this.scalar(depth - 1);
    return this.choose([
      [3, () => `scalar(${this.vector(depth - 1)})`],
      [2, () => `(${inner()} ${this.pick(words.arithmetic)} ${inner()})`],
      [1, () => `(${inner()} ${this.pick(words.comparisons)} bool ${inner()})`],
      [1, () => `${this.pick(['max_of', 'min_of'])}(${inner()}, ${inner()})`],
      [1, () => `-${inner()}`],
    ]);
  }

  private metric(): words.Metric {
    return this.pick(this.chance(0.3) ? words.histogramMetrics : words.floatMetrics);
  }

  private selector(): string {
    if (this.chance(0.08)) {
      return this.pick(words.wideSelectors);
    }
    const metric = this.metric();
    if (metric.labels.length === 0 || this.chance(0.65)) {
      return metric.name;
    }
    const label = this.pick(metric.labels);
    const value = this.pick(metric.values[label]);
    const matcher = this.choose([
      [3, () => `${label}="${value}"`],
      [1, () => `${label}!="${value}"`],
      [1, () => `${label}=~"${value.slice(0, 1)}.*|db"`],
      [1, () => `${label}!~"${value.slice(0, 1)}.*"`],
      [0.5, () => `${label}=~".*"`],
      [0.5, () => `${label}!=""`],
    ]);
    return `${metric.name}{${matcher}}`;
  }

  private duration(): string {
    return this.pick(this.chance(0.12) ? words.rangeExpressions : words.ranges);
  }

  private matrix(depth: number): string {
    if (depth > 1 && this.chance(0.22)) {
      const step = this.pick(['', '30s', '1m', '7m', '45s', 'step()', '1m + 5s']);
      const range = this.pick(['30s', '5m', '12m', '30m']);
      return `(${this.vector(depth - 1)})[${range}:${step}]${this.pick(words.shifts)}`;
    }
    return `${this.selector()}[${this.duration()}]${this.pick(words.shifts)}`;
  }

  private vector(depth: number): string {
    if (depth === 0 || this.chance(0.12)) {
      const smoothed = this.chance(0.07) ? ' smoothed' : '';
      return `${this.selector()}${smoothed}${this.pick(words.shifts)}`;
    }
    return this.choose([
      [5, () => this.rangeCall(depth)],
      [4, () => this.aggregate(depth)],
      [5, () => this.binary(depth)],
      [3, () => this.vectorCall(depth)],
      [2, () => this.histogramCall(depth)],
      [1, () => this.labelCall(depth)],
      [0.5, () => this.info(depth)],
    ]);
  }

  private rangeCall(depth: number): string {
    return this.choose([
      [10, () => `${this.pick(words.rangeFunctions)}(${this.matrix(depth)})`],
      [2, () => this.edged()],
      [1, () => `quantile_over_time(${this.quantile()}, ${this.matrix(depth)})`],
      [1, () => `predict_linear(${this.matrix(depth)}, ${this.scalar(1)})`],
      [0.7, () => this.smoothing(depth)],
    ]);
  }

  private smoothing(depth: number): string {
    const factor = (): string => this.pick(['0.1', '0.5', '0.9']);
    return `double_exponential_smoothing(${this.matrix(depth)}, ${factor()}, ${factor()})`;
  }

  private edged(): string {
    const edges = this.pick(['anchored', 'smoothed']);
    const marks = edges === 'anchored' ? ['changes', 'resets'] : [];
    const name = this.pick(['rate', 'increase', 'delta', ...marks]);
    const range = `${this.selector()}[${this.duration()}] ${edges}${this.pick(words.shifts)}`;
    return `${name}(${range})`;
  }

  private quantile(): string {
    return this.pick(['0', '0.1', '0.5', '0.93', '1', '-0.5', '2', 'NaN', 'time() / 2e9']);
  }

  private labels(): string {
    return this.metric()
      .labels.filter(() => this.chance(0.6))
      .join(', ');
  }

  private grouping(): string {
    return this.chance(0.3) ? '' : ` ${this.pick(['by', 'without'])} (${this.labels()})`;
  }

  private aggregate(depth: number): string {
    const how = this.grouping();
    const inner = (): string => this.vector(depth - 1);
    return this.choose([
      [12, () => `${this.pick(words.aggregations)}${how} (${inner()})`],
      [1, () => `quantile${how} (${this.quantile()}, ${inner()})`],
      [0.7, () => `count_values${how} ("value", ${this.pick(['up', 'left', 'right', 'nhg'])})`],
      [1, () => `${this.pick(['topk', 'bottomk'])}${how} (${this.k()}, level${this.shift()})`],
      [0.7, () => `count(limitk${how} (${this.k()}, ${inner()}))`],
      [0.7, () => `limit_ratio${how} (${this.pick(['0.5', '-0.3', '1', '0', '1.4'])}, ${inner()})`],
    ]);
  }

  private k(): string {
    return this.pick(['1', '2', '3', '0', '-1', '2.9', 'scalar(up{job="api",instance="a:1"}) + 1']);
  }

  private shift(): string {
    return this.pick(words.shifts);
  }

  private fill(): string {
    if (this.chance(0.75)) {
      return '';
    }
    const value = this.pick(['0', '1', '-2.5', 'NaN', 'Inf']);
    return `${this.pick(['fill', 'fill_left', 'fill_right', 'fill_left(3) fill_right'])}(${value}) `;
  }

  private matching(many: boolean): string {
    const fill = many ? this.fill() : '';
    if (this.chance(0.35)) {
      return fill;
    }
    const how = this.chance(0.7) ? 'on' : 'ignoring';
    const labels = this.labels();
    if (!many || this.chance(0.55)) {
      return `${how} (${labels}) ${fill}`;
    }
    const included = this.chance(0.4) ? this.pick(['owner', 'zone', 'version', 'code']) : '';
    const group = `${this.pick(['group_left', 'group_right'])} (${included})`;
    return `${how} (${labels}) ${group} ${fill}`;
  }

  private binary(depth: number): string {
    const left = this.vector(depth - 1);
    const right = (): string => this.vector(depth - 1);
    const number = (): string => this.scalar(1);
    const bool = this.chance(0.4) ? 'bool ' : '';
    return this.choose([
      [2, () => `(${left} ${this.pick(words.setOperators)} ${this.matching(false)}${right()})`],
      [2, () => `(${left} ${this.pick(words.arithmetic)} ${number()})`],
      [1, () => `(${number()} ${this.pick(words.arithmetic)} ${left})`],
      [1, () => `(${left} ${this.pick(words.comparisons)} ${bool}${number()})`],
      [1, () => `(${number()} ${this.pick(words.comparisons)} ${bool}${left})`],
      [3, () => `(${left} ${this.pick(words.arithmetic)} ${this.matching(true)}${right()})`],
      [
        2,
        () => `(${left} ${this.pick(words.comparisons)} ${bool}${this.matching(true)}${right()})`,
      ],
      [0.7, () => `(${left} ${this.pick(words.trims)} ${number()})`],
      [0.5, () => `-${left}`],
    ]);
  }

  private vectorCall(depth: number): string {
    const inner = this.vector(depth - 1);
    return this.choose([
      [10, () => `${this.pick(words.vectorFunctions)}(${inner})`],
      [1, () => `clamp(${inner}, ${this.scalar(1)}, ${this.scalar(1)})`],
      [1, () => `${this.pick(['clamp_min', 'clamp_max'])}(${inner}, ${this.scalar(1)})`],
      [1, () => `round(${inner}, ${this.pick(['0.1', '5', '-2', '0'])})`],
      [1, () => `vector(${this.scalar(1)})`],
      [0.5, () => `${this.pick(['hour', 'minute', 'day_of_year'])}()`],
    ]);
  }

  private histogramCall(depth: number): string {
    const inner = this.chance(0.3) ? this.classic() : this.vector(depth - 1);
    return this.choose([
      [3, () => `${this.pick(words.histogramFunctions)}(${inner})`],
      [3, () => `histogram_quantile(${this.quantile()}, ${inner})`],
      [1, () => `histogram_quantiles(${inner}, "q", 0.2, ${this.pick(['0.9', '1.5'])})`],
      [2, () => `histogram_fraction(${this.scalar(1)}, ${this.scalar(1)}, ${inner})`],
    ]);
  }

  private classic(): string {
    return this.pick(['lat_bucket', 'rate(lat_bucket[5m])', 'sum by (le) (rate(lat_bucket[9m]))']);
  }

  private labelCall(depth: number): string {
    const inner = this.vector(depth - 1);
    const { labels } = this.pick(words.floatMetrics.filter(({ labels }) => labels.length > 0));
    if (this.chance(0.3)) {
      return `label_join(${inner}, "joined", "-", ${labels.map((name) => `"${name}"`).join(', ')})`;
    }
    if (this.chance(0.2)) {
      return `${this.pick(['sort_by_label', 'sort_by_label_desc'])}(${inner}, "${labels[0]}")`;
    }
    const target = this.pick([...labels, 'fresh', '__name__']);
    const pattern = this.pick(['(.*)', '(.).*', '', 'a(.*)', '(\\\\w+):(\\\\d+)']);
    const replacement = this.pick(['x', '$1', 'v-$1-$2', '']);
    return `label_replace(${inner}, "${target}", "${replacement}", "${this.pick(labels)}", "${pattern}")`;
  }

  private info(depth: number): string {
    const described = this.choose([
      [2, () => this.selector()],
      [1, () => this.vector(depth - 1)],
    ]);
    const matchers = this.pick([
      '',
      ', {version=~".+"}',
      ', {version="1.0"}',
      ', {region=~".*"}',
      ', {__name__="build_info"}',
      ', {__name__=~".*_info",commit=~".+"}',
    ]);
    return `info(${described}${matchers})`;
  }
}
