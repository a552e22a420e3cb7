/** @file The recorded answers against the evaluator over a store in memory. */
import { MemoryApi } from '../../support/memory-api.js';
import { readDataset } from './dataset.js';
import type { RecordedCase } from './expressions.js';
import { describeRecorded } from './suite.js';

const api = new MemoryApi(readDataset());

/** The store in memory matches with JavaScript's regexes, which read these patterns otherwise. */
const needsGoRegex = (one: RecordedCase): boolean => /p\{Han\}|\(\?=|\{1001\}|\\Q/.test(one.id);

describeRecorded(
  (one) => one.kind !== 'get' && !needsGoRegex(one),
  (one) => {
    if (one.kind === 'get') {
      throw new Error('only queries are answered in memory');
    }
    return Promise.resolve(api.ask(one));
  },
);
