/**
 * @file The `k` best series of a step for `topk` and `bottomk`.
 *
 * Which of several equal values stay is decided by the heap, so this is Go's `container/heap` step
 * by step, used as in `aggregationK` of Prometheus' `promql/engine.go` (3.14): the worst of the
 * chosen is at the root, and a newcomer must be strictly better.
 */
export class RankHeap {
  private series: number[] = [];
  private values: number[] = [];

  constructor(private readonly op: 'topk' | 'bottomk') {}

  clear(): void {
    this.series = [];
    this.values = [];
  }

  /** Takes a series in if it is among the `k` best so far. */
  offer(series: number, value: number, k: number): void {
    const { values } = this;
    if (values.length < k) {
      this.series.push(series);
      values.push(value);
      this.up(values.length - 1);
    } else if (k >= 1 && this.beats(value, values[0])) {
      this.series[0] = series;
      values[0] = value;
      this.down();
    }
  }

  /** The chosen, best first, NaN last. */
  ranked(): number[] {
    return this.order().map((i) => this.series[i]);
  }

  /** The chosen with their values, in that order. */
  each(call: (series: number, value: number) => void): void {
    for (const i of this.order()) {
      call(this.series[i], this.values[i]);
    }
  }

  private order(): number[] {
    const order = this.series.map((_, i) => i);
    order.sort((a, b) => {
      if (this.less(b, a)) {
        return this.less(a, b) ? 0 : -1;
      }
      return this.less(a, b) ? 1 : 0;
    });
    return order;
  }

  private beats(value: number, root: number): boolean {
    const better = this.op === 'topk' ? root < value : root > value;
    return better || (Number.isNaN(root) && !Number.isNaN(value));
  }

  /** NaN is worse than everything. */
  private less(i: number, j: number): boolean {
    const left = this.values[i];
    const right = this.values[j];
    return Number.isNaN(left) || (this.op === 'topk' ? left < right : left > right);
  }

  private swap(i: number, j: number): void {
    const { series, values } = this;
    [series[i], series[j]] = [series[j], series[i]];
    [values[i], values[j]] = [values[j], values[i]];
  }

  private up(start: number): void {
    for (let j = start; j > 0; ) {
      const parent = (j - 1) >> 1;
      if (!this.less(j, parent)) {
        return;
      }
      this.swap(parent, j);
      j = parent;
    }
  }

  private down(): void {
    const count = this.values.length;
    for (let i = 0; ; ) {
      const left = 2 * i + 1;
      if (left >= count) {
        return;
      }
      const right = left + 1;
      const child = right < count && this.less(right, left) ? right : left;
      if (!this.less(child, i)) {
        return;
      }
      this.swap(i, child);
      i = child;
    }
  }
}
