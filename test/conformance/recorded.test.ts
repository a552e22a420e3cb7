/** @file The evaluator over a store in memory against the recorded answers of Prometheus. */
import { PromqlEngine } from '../../src/promql/engine.js';
import { toEnvelope } from '../support/envelope.js';
import { MemoryQuerier } from '../support/memory-querier.js';
import { readDataset } from './recorded/dataset.js';
import { describeRecorded } from './recorded/suite.js';

const querier = new MemoryQuerier();
for (const { labels, timestamps, values } of readDataset()) {
  querier.addColumns(Object.fromEntries(labels), timestamps, values);
}

const engine = new PromqlEngine({
  lookbackMs: 300_000,
  subqueryStepMs: 60_000,
  limits: { maxSamples: 50_000_000, maxBytes: 2 ** 30, maxPoints: 10_000_000 },
});

describeRecorded(
  (one) => one.kind !== 'get',
  (one) => {
    const session = querier.openSession();
    const deadlineMs = Date.now() + 10_000;
    const envelope = toEnvelope(session, () => {
      if (one.kind === 'instant') {
        return engine.instant(session, { query: one.query, timeMs: one.timeMs, deadlineMs });
      }
      if (one.kind === 'range') {
        const { query, startMs, endMs, stepMs } = one;
        return engine.range(session, { query, startMs, endMs, stepMs, deadlineMs });
      }
      throw new RangeError('only queries are evaluated here');
    });
    return Promise.resolve(envelope);
  },
);
