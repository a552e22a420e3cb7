/**
 * @file Every rewrite of the planner: the recorded queries answer the same without it, and it
 * happens where it should.
 */
import { describe, expect, test } from 'vitest';
import { type Explanation, PromqlEngine, type QueryOutcome } from '../../src/promql/engine.js';
import { allRewrites, type RewriteName, rewriteNames } from '../../src/promql/plan/rewrites.js';
import { readDataset } from '../conformance/recorded/dataset.js';
import { readCases } from '../conformance/recorded/expressions.js';
import type { ApiEnvelope } from '../support/compare-results.js';
import { toEnvelope } from '../support/envelope.js';
import { MemoryQuerier } from '../support/memory-querier.js';

const minute = 60_000;
const limits = { maxSamples: 50_000_000, maxBytes: 2 ** 30, maxPoints: 10_000_000 };

function engineWith(rewrites: ReadonlySet<RewriteName>): PromqlEngine {
  return new PromqlEngine({ lookbackMs: 5 * minute, subqueryStepMs: minute, limits, rewrites });
}

function without(name: RewriteName): ReadonlySet<RewriteName> {
  return new Set(rewriteNames.filter((other) => other !== name));
}

const recorded = new MemoryQuerier();
for (const { labels, timestamps, values } of readDataset()) {
  recorded.addColumns(Object.fromEntries(labels), timestamps, values);
}

function answersOf(engine: PromqlEngine, querier: MemoryQuerier): Map<string, ApiEnvelope> {
  const answers = new Map<string, ApiEnvelope>();
  for (const one of readCases()) {
    if (one.kind === 'get') {
      continue;
    }
    const session = querier.openSession();
    const deadlineMs = Date.now() + minute;
    const run = (): QueryOutcome =>
      one.kind === 'instant'
        ? engine.instant(session, { ...one, deadlineMs })
        : engine.range(session, { ...one, deadlineMs });
    answers.set(`${one.kind} ${one.id}`, toEnvelope(session, run));
  }
  return answers;
}

describe('answers, warnings and errors are the same', () => {
  const all = answersOf(engineWith(allRewrites), recorded);
  test.each(rewriteNames)('without %s', (name) => {
    const fewer = answersOf(engineWith(without(name)), recorded);
    const different = [...all].filter(([id, answer]) => {
      const other = fewer.get(id);
      return JSON.stringify(answer) !== JSON.stringify(other);
    });
    expect(different.map(([id, answer]) => [id, answer, fewer.get(id)])).toEqual([]);
  });
});

function small(): MemoryQuerier {
  const querier = new MemoryQuerier();
  const times = Array.from({ length: 41 }, (_, k) => k * 15_000);
  for (let i = 0; i < 12; i++) {
    const values = times.map((_, k) => (k * (i + 3)) % 17);
    const labels = { x: String(i % 6), n: String(i) };
    querier.add({ __name__: 'many', ...labels }, times, values);
    if (i < 6) {
      querier.add({ __name__: 'one', x: String(i), v: `v${i}` }, times, values);
    }
  }
  // Two series of one group on the "one" side.
  querier.add({ __name__: 'twins', x: '1', v: 'a' }, times, times);
  querier.add({ __name__: 'twins', x: '2', v: 'b' }, times, times);
  querier.add({ __name__: 'twins', x: '2', v: 'c' }, times, times);
  return querier;
}

function run(query: string, rewrites: ReadonlySet<RewriteName>): [ApiEnvelope, number] {
  const querier = small();
  const session = querier.openSession();
  const range = {
    startMs: 60_000,
    endMs: 600_000,
    stepMs: minute,
    deadlineMs: Date.now() + minute,
  };
  const envelope = toEnvelope(session, () =>
    engineWith(rewrites).range(session, { query, ...range }),
  );
  return [envelope, querier.reads];
}

function explain(query: string, rewrites = allRewrites): Explanation {
  const range = {
    startMs: 60_000,
    endMs: 600_000,
    stepMs: minute,
    deadlineMs: Date.now() + minute,
  };
  return engineWith(rewrites).explain(
    small().openSession(),
    { query, ...range },
    { analyze: true },
  );
}

const joins = [
  'one{x="1"} + on (x) group_right many',
  'many{x="1"} * on (x) group_left (v) one',
  'many * on (x) group_left (v) one{x=~"1|2"}',
  'many and on (x) one{x!="1"}',
  'many{x="1"} and on (x) one',
  'many{x="1"} unless on (x) one',
  'many unless on (x) one{x="1"}',
  'many or on (x) one{x="1"}',
  'one{x="1"} == bool ignoring (v) group_right () last_over_time(many[1m])',
  'one{x="1"} > on (x) one',
  'count by (x) (many{x="1"}) / on (x) count by (x) (many)',
  'one{x="1"} + on (x) fill (0) one',
  'many{x="1"} * on (x) group_left twins',
  'many{x="2"} * on (x) group_left twins',
  'many * on (x) group_left twins{x="1"}',
  'many{x="9"} * on (x) group_left twins',
  'one{x="1"} * on (x) many',
  'sum by (x) (rate(many{x="1"}[1m])) / on (x) one',
  'many{x="1"} * on (n) group_left one',
  'one{x="1"} * one',
  'topk(1, many{x="1"}) * on (x) group_left one',
];

describe('narrow', () => {
  test.each(joins)('%s answers the same', (query) => {
    expect(run(query, allRewrites)[0]).toEqual(run(query, without('narrow'))[0]);
  });

  test('a matcher of one side selects on the other', () => {
    const reads = (query: string): [number, number] => [
      run(query, allRewrites)[1],
      run(query, without('narrow'))[1],
    ];
    for (const query of [
      'many{x="1"} * on (x) group_left (v) one',
      'many * on (x) group_left (v) one{x="1"}',
      'many and on (x) one{x="1"}',
      'count by (x) (many{x="1"}) / on (x) count by (x) (many)',
    ]) {
      const [less, all] = reads(query);
      expect([query, less < all]).toEqual([query, true]);
    }
    // A group that meets nothing may still be what makes the match ambiguous.
    const twins = reads('many{x="1"} * on (x) group_left twins');
    expect(twins[0]).toBe(twins[1]);
    const open = reads('many{x="1"} or on (x) one');
    expect(open[0]).toBe(open[1]);
  });
});

test('a scalar of literals is reckoned while planning', () => {
  const query = 'many * (1 + 2 * -3 ^ 2)';
  expect(explain(query).plan.inputs?.[1]).toMatchObject({ node: 'number', rewrites: ['fold'] });
  expect(explain(query, without('fold')).plan.inputs?.[1]).toMatchObject({ node: 'repeat' });
  expect(run(query, allRewrites)[0]).toEqual(run(query, without('fold'))[0]);
  const text = JSON.stringify(run('vector(0 / 0 > bool 1) + -(0 / 0)', allRewrites)[0]);
  expect(text).toBe(JSON.stringify(run('vector(0 / 0 > bool 1) + -(0 / 0)', without('fold'))[0]));
});

test('what occurs twice is evaluated once', () => {
  const { plan } = explain('many / many');
  expect(plan.inputs?.map(({ rewrites, analyze }) => [rewrites, analyze?.evaluations])).toEqual([
    [['share'], 1],
    [['share'], undefined],
  ]);
});

test('what does not change is evaluated at one time', () => {
  expect(explain('many @ 60 + 1').plan).toMatchObject({
    rewrites: ['once'],
    inputs: [{ steps: 1 }],
  });
});

describe('presence', () => {
  const querier = new MemoryQuerier();
  const times = Array.from({ length: 241 }, (_, k) => k * 15_000);
  for (let i = 0; i < 400; i++) {
    // All of them end early but for the last, and most of them are not there at first.
    const kept = times.filter((_, k) => k < 160 && (i === 37 || k > 40));
    querier.add({ __name__: 'many', i: String(i).padStart(3, '0') }, kept, kept);
  }
  const end = times.slice(150);
  querier.add({ __name__: 'many', i: '999' }, end, end);
  const ask = (
    query: string,
    minutes: number,
    rewrites: ReadonlySet<RewriteName>,
  ): [ApiEnvelope, number] => {
    const session = querier.openSession();
    const startMs = 600_000;
    const endMs = startMs + minutes * minute;
    const deadlineMs = Date.now() + minute;
    const before = querier.reads;
    const envelope = toEnvelope(session, () =>
      engineWith(rewrites).range(session, { query, startMs, endMs, stepMs: minute, deadlineMs }),
    );
    return [envelope, querier.reads - before];
  };
  const queries = [
    'absent(many)',
    'absent(many{i="0"})',
    'absent(many{i=~"0[0-3].",i!="037"} offset 10m)',
    'absent(many @ 0)',
    'absent_over_time(many[30s])',
    'absent_over_time(many{i=~"0..|999"}[10m] offset 20m)',
    'absent(many) or absent(many offset 1h)',
    'count(many) + absent(many)',
  ];

  test.each(queries)('%s answers the same', (query) => {
    for (const minutes of [0, 20, 50]) {
      expect(ask(query, minutes, allRewrites)[0]).toEqual(
        ask(query, minutes, without('presence'))[0],
      );
    }
  });

  test('series behind those that answer for all steps are not read', () => {
    for (const query of ['absent(many)', 'absent_over_time(many[5m])']) {
      const [, few] = ask(query, 20, allRewrites);
      const [, all] = ask(query, 20, without('presence'));
      expect([query, few < all / 2]).toEqual([query, true]);
    }
    const [, few] = ask('absent(many)', 50, allRewrites);
    const [, all] = ask('absent(many)', 50, without('presence'));
    expect(few).toBe(all);
  });

  test('it is of selectors that nobody else keeps', () => {
    expect(explain('absent(many)').plan.rewrites).toEqual(['presence']);
    expect(explain('absent(many) or many').plan.inputs?.[0].rewrites).toBeUndefined();
    expect(explain('absent(sum(many))').plan.rewrites).toBeUndefined();
  });
});

describe('stream', () => {
  const querier = new MemoryQuerier();
  const times = Array.from({ length: 241 }, (_, k) => k * 15_000);
  for (let i = 0; i < 500; i++) {
    // Few values, so that many are equal; some NaN, some gaps.
    const values = times.map((_, k) => ((k + i) % 11 === 0 ? NaN : (k * i) % 7));
    const kept = times.filter((_, k) => i % 5 !== 0 || k % 40 < 20);
    querier.add(
      { __name__: 'many', g: String(i % 2), i: String(i) },
      kept,
      values.slice(0, kept.length),
    );
  }
  const ask = (query: string, rewrites: ReadonlySet<RewriteName>): QueryOutcome =>
    engineWith(rewrites).range(querier.openSession(), {
      query,
      startMs: 0,
      endMs: 3_600_000,
      stepMs: minute,
      deadlineMs: Date.now() + minute,
    });

  test.each([
    'topk(3, many)',
    'bottomk by (g) (2, many)',
    'topk(scalar(vector(time() / 60 % 4)) - 1, many)',
    'topk(0, many)',
    'topk(400, many)',
    'sum(topk(5, many * 2))',
  ])('%s answers the same', (query) => {
    const streamed = ask(query, allRewrites);
    const whole = ask(query, without('stream'));
    expect(streamed.result).toEqual(whole.result);
    expect(streamed.annotations).toEqual(whole.annotations);
  });

  test('at one time the order is that of the ranks', () => {
    for (const query of ['topk(7, many)', 'bottomk by (g) (7, many)']) {
      const [streamed, whole] = [allRewrites, without('stream')].map((rewrites) => {
        const session = querier.openSession();
        const at = { query, timeMs: 600_000, deadlineMs: Date.now() + minute };
        return toEnvelope(session, () => engineWith(rewrites).instant(session, at));
      });
      expect(streamed).toEqual(whole);
    }
  });

  test('memory follows what is chosen, not the input', () => {
    const peaks = [allRewrites, without('stream')].map(
      (rewrites) => ask('topk(1, many)', rewrites).stats.peakPoints,
    );
    expect(peaks[0]).toBeLessThan(peaks[1] / 2);
  });

  test('a further series costs its labels, not its points', () => {
    const stepMs = 10_000;
    const points = Float64Array.from({ length: 121 }, (_, k) => k * stepMs);
    const peakOf = (series: number, rewrites: ReadonlySet<RewriteName>): number => {
      const many = new MemoryQuerier();
      for (let i = 0; i < series; i++) {
        many.addColumns({ __name__: 'many', i: String(i) }, points, points);
      }
      return engineWith(rewrites).range(many.openSession(), {
        query: 'topk(5, many)',
        startMs: 0,
        endMs: 1_200_000,
        stepMs,
        deadlineMs: Date.now() + minute,
      }).stats.peakBytes;
    };
    // More than one batch of rows, whose memory is used again, has them all.
    const perSeries = (rewrites: ReadonlySet<RewriteName>): number =>
      (peakOf(6000, rewrites) - peakOf(4000, rewrites)) / 2000;
    expect(perSeries(allRewrites)).toBeLessThan(100);
    expect(perSeries(without('stream'))).toBeGreaterThan(9 * points.length);
  });
});
