/** @file The native histograms of a random world: counters, gauges, custom bounds, mixes. */
import type { WireHistogram } from '../../support/histogram-wire.js';
import type { WorldMaker } from './world.js';

const total = (counts: readonly number[]): number => counts.reduce((sum, count) => sum + count, 0);

/** An exponential counter: buckets grow; resets, and now and then another schema. */
function exponentialCounter(maker: WorldMaker): () => WireHistogram {
  const resets = maker.pick([0, 0.01, 0.04]);
  const changes = maker.chance(0.3);
  const negatives = maker.chance(0.4);
  let schema = maker.pick([-1, 0, 1, 3]);
  let positive: number[] = [];
  let negative: number[] = [];
  let zeroCount = 0;
  let tenths = 0;
  const start = (): void => {
    positive = [0, 0, 0, 0];
    negative = negatives ? [0, 0] : [];
    zeroCount = 0;
    tenths = 0;
  };
  start();
  return () => {
    if (maker.chance(resets)) {
      start();
      schema = changes ? maker.pick([-1, 0, 1, 2]) : schema;
    }
    positive = positive.map((count) => count + maker.whole(5));
    negative = negative.map((count) => count + maker.whole(3));
    zeroCount += maker.whole(2);
    tenths += maker.whole(90) - (negatives ? 20 : 0);
    return {
      timestamp: 0,
      integer: true,
      schema,
      zeroThreshold: 0.001,
      zeroCount,
      count: total(positive) + total(negative) + zeroCount,
      sum: tenths / 10,
      positiveSpans: [
        [-1, 2],
        [1, 2],
      ],
      positive,
      negativeSpans: negatives ? [[0, 2]] : [],
      negative,
    };
  };
}

function gauge(maker: WorldMaker): () => WireHistogram {
  const schema = maker.pick([0, 1, 2]);
  return () => {
    const positive = [0, 1, 2].map(() => maker.whole(16) / 4);
    const zeroCount = maker.whole(3) / 2;
    return {
      timestamp: 0,
      integer: false,
      schema,
      zeroThreshold: maker.pick([0.001, 0.001, 0.2]),
      zeroCount,
      count: total(positive) + zeroCount,
      sum: maker.whole(200) / 8 - 5,
      positiveSpans: [[0, 3]],
      positive,
      hint: 3,
    };
  };
}

function custom(maker: WorldMaker): () => WireHistogram {
  let bounds = [0.5, 1, 2.5];
  let positive = [0, 0, 0, 0];
  let halves = 0;
  const changes = maker.chance(0.4);
  return () => {
    if (changes && maker.chance(0.03)) {
      bounds = maker.pick([
        [0.5, 1, 2.5],
        [0.5, 2, 2.5],
        [1, 2.5, 5],
      ]);
      positive = [0, 0, 0, 0];
      halves = 0;
    }
    positive = positive.map((count) => count + maker.whole(4));
    halves += maker.whole(12);
    return {
      timestamp: 0,
      integer: true,
      schema: -53,
      count: total(positive),
      sum: halves / 2,
      positiveSpans: [[0, 4]],
      positive,
      bounds,
    };
  };
}

/** Adds them all. */
export function histogramFamilies(maker: WorldMaker): void {
  for (const job of ['api', 'db']) {
    for (const instance of ['a:1', 'b:1']) {
      maker.add({ __name__: 'nh', job, instance }, exponentialCounter(maker));
      maker.add({ __name__: 'nhcb', job, instance }, custom(maker));
    }
    maker.add({ __name__: 'nhg', job }, gauge(maker));
    const next = exponentialCounter(maker);
    let float = maker.chance(0.5);
    maker.add({ __name__: 'mixed', job }, (n) => {
      float = maker.chance(0.1) ? !float : float;
      return float ? n : next();
    });
  }
}
