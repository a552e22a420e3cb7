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
    const chosen = cases.filter((one) => has(one));
    describe.runIf(chosen.length > 0)(theme, () => {
      for (const one of chosen) {
        test(one.id, async () => {
          const want = answers.get(one.id);
          if (want === undefined) {
            throw new Error('no answer is recorded: see test/conformance/README.md');
          }
          const ordered = one.kind === 'instant' && one.ordered;
          const differences = compareAnswers(want.answer, await ask(one), { ordered });
          const deviation = deviations.get(one.id);
          if (deviation !== undefined) {
            expect(differences.map(({ aspect }) => aspect)).toContain(deviation.aspect);
          }
          const said = differences
            .filter(({ aspect }) => aspect !== 'error' && aspect !== deviation?.aspect)
            .map(({ aspect, message }) => `${aspect}: ${message}`);
          expect(said, said.join('\n')).toEqual([]);
        });
      }
    });
  }
}
