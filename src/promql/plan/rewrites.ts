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
 */

export const rewriteNames = ['once', 'fold', 'share', 'narrow', 'stream', 'presence'] as const;

export type RewriteName = (typeof rewriteNames)[number];

export const allRewrites: ReadonlySet<RewriteName> = new Set(rewriteNames);
