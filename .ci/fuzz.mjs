/**
 * @file Runs every fuzz target for some seconds on what the corpus holds; each counts as a test.
 * Needs a C++ compiler, for libFuzzer.
 */
import { availableParallelism } from 'node:os';
import { record, runCounting, script, timed } from './steps.mjs';

const env = {
  SECONDS_EACH: '5',
  JOBS: String(availableParallelism()),
  // The same inputs every time: what is new is looked for by hand, not in somebody's change.
  SEED: '1',
  // Most of the time goes into compiling.
  CARGO_PROFILE_RELEASE_OPT_LEVEL: '1',
};

await script(async () => {
  const counts = { passed: 0, failed: 0 };
  const { code } = await timed('fuzz targets', () =>
    runCounting('native/fuzz/run.sh', [], {
      env,
      onLine: (line) => {
        if (/^\w+: .* ok$/.test(line)) counts.passed++;
        if (line.startsWith('FAILED ')) counts.failed++;
      },
    }),
  );
  // One that does not compile prints no line.
  if (code !== 0 && counts.failed === 0) counts.failed = 1;
  record('fuzz', counts.passed, counts.failed);
  if (counts.failed > 0) process.exitCode = 1;
});
