/** @file Turns the recorded cases into tests: one a case, named by it, grouped by theme. */
import { describe, expect, test } from 'vitest';
import { type ApiEnvelope, compareAnswers } from '../../support/compare-results.js';
import { readAnswers } from './answers.js';
import { deviations } from './deviations.js';
import { type RecordedCase, readCases } from './expressions.js';

/**
 * Defines a test for every case that `has` wants. `ask` returns the JSON envelope of the system
 * under test. The wording of errors may differ; everything else must agree.
 */
export function describeRecorded(
  has: (one: RecordedCase) => boolean,
  ask: (one: RecordedCase) => Promise<ApiEnvelope>,
): void {
  const themes = new Map<string, RecordedCase[]>();
  for (const one of readCases()) {
    const list = themes.get(one.theme) ?? [];
    list.push(one);
    themes.set(one.theme, list);
  }
  for (const [theme, cases] of themes) {
    const answers = readAnswers(theme);
    const chosen = cases.filter((one) => has(one) && !deviations.has(one.id));
    describe.runIf(chosen.length > 0)(theme, () => {
      test.each(chosen)('$id', async (one) => {
        const want = answers.get(one.id);
        if (want === undefined) {
          throw new Error('no answer is recorded: see test/conformance/README.md');
        }
        const ordered = one.kind === 'instant' && one.ordered;
        const differences = compareAnswers(want.answer, await ask(one), { ordered });
        expect(differences.filter(({ aspect }) => aspect !== 'error')).toEqual([]);
      });
    });
  }
}
