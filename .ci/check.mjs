/**
 * @file Everything that is judged without running the product: format, lint, types, layers; and the
 * engine's threads under a scheduler that tries many orders of their steps.
 */
import { build } from './build.mjs';
import { hostTriple, record, runCounting, StepError, script, timed } from './steps.mjs';

const node = process.execPath;
const tsc = ['node_modules/typescript/bin/tsc', '--noEmit', '-p'];
const manifest = ['--manifest-path', 'native/Cargo.toml'];

await script(async () => {
  await build();
  const engine = [...manifest, '-p', 'metricstor-engine'];
  const scheduled = [...engine, '--features=shuttle', '--test=shuttle'];
  const addon = [...manifest, '-p', 'metricstor-napi'];
  const deny = ['--target', hostTriple(), '--', '--deny=warnings'];
  const checks = {
    'biome (format and lint)': [node, 'node_modules/@biomejs/biome/bin/biome', 'ci', '.'],
    'types of src': [node, ...tsc, 'tsconfig.json'],
    'types of test': [node, ...tsc, 'test/tsconfig.json'],
    'types of bench': [node, ...tsc, 'bench/tsconfig.json'],
    rustfmt: ['cargo', 'fmt', ...manifest, '--all', '--check'],
    clippy: ['cargo', 'clippy', ...engine, '--all-targets', ...deny],
    // The engine compiled once more, with the threads of a scheduler: too long for `npm test`.
    'clippy of the engine under a scheduler': ['cargo', 'clippy', ...scheduled, ...deny],
    'the engine under a scheduler': ['cargo', 'test', ...scheduled, '--target', hostTriple()],
    // The add-on's crate has no tests: a test build would find all its exports unused.
    'clippy of the add-on': ['cargo', 'clippy', ...addon, ...deny],
    'tidy (layers, sizes, names, tables)': [
      node,
      'node_modules/vitest/vitest.mjs',
      'run',
      '--config=test/vitest.config.ts',
      '--project=core',
      'test/tidy',
    ],
  };
  const failed = [];
  for (const [name, [command, ...args]] of Object.entries(checks)) {
    const { code } = await timed(name, () => runCounting(command, args));
    if (code !== 0) failed.push(name);
  }
  record('check', Object.keys(checks).length - failed.length, failed.length);
  if (failed.length > 0) throw new StepError(`failed: ${failed.join(', ')}`);
  console.log('all checks passed');
});
