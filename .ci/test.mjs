/**
 * @file Builds, then runs every test that needs nothing but Node.js and Rust.
 *
 * The engine's tests run in the dev profile: overflow checks and debug assertions are on, and the
 * add-on beside them is a release build, so both are tried. The add-on's crate has no tests of its
 * own (a test binary could not link Node's symbols); the TypeScript tests go through it.
 */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from './build.mjs';
import { cacheDir, hostTriple, record, recorded, runCounting, script, timed } from './steps.mjs';

/** Runs the engine's tests and records how many passed. */
export async function testEngine() {
  const counts = { passed: 0, failed: 0, ignored: 0 };
  const manifest = ['--manifest-path', 'native/Cargo.toml', '-p', 'metricstor-engine'];
  const args = ['test', ...manifest, '--target', hostTriple(), '--no-fail-fast'];
  const { code } = await runCounting('cargo', args, {
    onLine: (line) => {
      const result = line.match(/^test result: .* (\d+) passed; (\d+) failed; (\d+) ignored/);
      if (!result) return;
      counts.passed += Number(result[1]);
      counts.failed += Number(result[2]);
      counts.ignored += Number(result[3]);
    },
  });
  // A crate that does not compile has no result lines.
  if (code !== 0 && counts.failed === 0) counts.failed = 1;
  return record('engine', counts.passed, counts.failed, counts.ignored);
}

/** Runs one vitest project of `test/vitest.config.ts` and records how many tests passed. */
export async function testProject(project, { env = {}, filters = [] } = {}) {
  const report = join(cacheDir, `vitest-${project}.json`);
  rmSync(report, { force: true });
  const { code } = await runCounting(
    process.execPath,
    [
      'node_modules/vitest/vitest.mjs',
      'run',
      ...filters,
      '--config=test/vitest.config.ts',
      `--project=${project}`,
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${report}`,
    ],
    { env },
  );
  let passed = 0;
  let failed = 0;
  let skipped = 0;
  try {
    const summary = JSON.parse(readFileSync(report, 'utf8'));
    passed = summary.numPassedTests;
    failed = summary.numFailedTests;
    skipped = summary.numPendingTests;
  } catch {
    failed = 1;
  }
  // A file that does not load, or an error outside of a test, fails the run without a failed test.
  if (code !== 0 && failed === 0) failed = 1;
  return record(project, passed, failed, skipped);
}

/** Prints the line that sums up `results` and sets the exit code. */
export function summarize(results) {
  const sum = (key) => results.reduce((total, result) => total + result[key], 0);
  const skipped = sum('skipped');
  if (skipped > 0) console.log(`${skipped} skipped (the reasons are above)`);
  console.log(`${sum('passed')} passed, ${sum('failed')} failed`);
  if (sum('failed') > 0) process.exitCode = 1;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  await script(async (args) => {
    if (args[0] === 'summary') return summarize(recorded());
    await build();
    const [project, ...filters] = args;
    if (project !== undefined) {
      return summarize([await timed(project, () => testProject(project, { filters }))]);
    }
    summarize([
      await timed('engine tests', testEngine),
      await timed('tests', () => testProject('core')),
    ]);
  });
}
