/**
 * @file Two projects: `core` needs nothing but Node.js and Rust; `external` needs tools of the
 * distribution (Prometheus, node_exporter, nix) or minutes (twenty kill -9 rounds).
 */
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const root = fileURLToPath(new URL('..', import.meta.url));

// vitest prints failures with Map.groupBy, which Node.js 20 does not have; without it the first
// failing test would be reported as a crash of the reporter.
Map.groupBy ??= <K, T>(items: Iterable<T>, keyOf: (item: T, index: number) => K): Map<K, T[]> => {
  const groups = new Map<K, T[]>();
  let index = 0;
  for (const item of items) {
    const key = keyOf(item, index++);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [item]);
    else group.push(item);
  }
  return groups;
};

/** Files that `npm test` leaves to `.ci/run`. The crash test is in both, with fewer rounds here. */
const external = [
  'test/e2e/agent.test.ts',
  'test/e2e/nix.test.ts',
  'test/e2e/package.test.ts',
  'test/e2e/prometheus-data.test.ts',
];

export default defineConfig({
  test: {
    root,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Servers, crash rounds and property tests share two cores on the smallest machine in use.
    maxWorkers: 2,
    projects: [
      {
        test: { name: 'core', root, include: ['test/**/*.test.ts'], exclude: external },
      },
      {
        test: {
          name: 'external',
          root,
          include: [...external, 'test/crash/**/*.test.ts'],
        },
      },
    ],
  },
});
