/**
 * @file What the planner may do beyond saying the same: each has a file and a test that shows the
 * same answers, warnings and errors with and without it.
 *
 * | name | what | where |
 * |---|---|---|
 * | `once` | parts that do not change from step to step are evaluated once | `invariance.ts` |
 * | `fold` | scalars of literals are reckoned while planning | `fold.ts` |
 * | `share` | vectors that occur twice are evaluated once | `shared.ts` |
 * | `narrow` | matchers of one side of a join select on the other side, too | `narrow.ts` |
 * | `stream` | `topk` and `bottomk` keep the best, not all | `stream.ts` |
 * | `presence` | `absent` looks for samples, not at values | `presence.ts` |
 * | `together` | aggregations of one selector's windows read it once | `together.ts` |
 *
 * Measured and left alone: the labels that an aggregation drops. Reading, ordering, grouping and
 * copying labels is 10 % of the CPU of `sum(rate(x[5m]))` over 2,400 series of a block, and 8 % of
 * `sum(last_over_time(x[5m]))` over 10,000; unpacking samples is half, checksums are 11 %
 * (2026-11-21, 2 shared x86-64 cores, `perf record` over a hundred instant queries). Dropping
 * labels early would save a part of that: series are told apart, and merged over head and blocks,
 * by all of them.
 *
 * Nor is a selection shared by windows that do not go together, as in `x - x offset 1d` or
 * `rate(x[5m]) / rate(x[1h])`: matching and labelling 2,400 series takes 2 of the 17 ms of CPU of
 * such a side, and one selection over all of the times looks into every block between them. What
 * goes together saves the samples as well: 39.7 to 26.8 ms for
 * `sum(rate(x[5m])) / sum(rate(x[1h]))` (same day, machine and data).
 */

export const rewriteNames = [
  'once',
  'fold',
  'share',
  'narrow',
  'stream',
  'presence',
  'together',
] as const;

export type RewriteName = (typeof rewriteNames)[number];

export const allRewrites: ReadonlySet<RewriteName> = new Set(rewriteNames);
