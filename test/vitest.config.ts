/**
 * @file Two projects: `core` needs nothing but Node.js and Rust; `external` needs tools of the
 * distribution (Prometheus, node_exporter, nix) or minutes (twenty kill -9 rounds).
 */
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Files that `npm test` leaves to `.ci/run`. The crash test is in both, with fewer rounds here. */
const external = [
  'test/e2e/agent.test.ts',
  'test/e2e/nix.test.ts',
  'test/e2e/package.test.ts',
  'test/e2e/full-disk.test.ts',
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
