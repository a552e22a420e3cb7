import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { pushAll, series } from '../support/push.js';
import { queryRaw } from '../support/query.js';
import { repositoryRoot, startServer, temporaryDirectory } from '../support/server.js';
import { findTool } from '../support/tools.js';

const work = temporaryDirectory('package');
const app = join(work.path, 'app');
const packs = join(work.path, 'packs');
const bin = join(work.path, 'bin');
/** A machine with Node.js and npm, and with neither Rust nor a compiler. */
const bareEnv = { PATH: bin, HOME: work.path };

beforeAll(() => {
  execFileSync(process.execPath, ['.ci/pack.mjs', packs], { cwd: repositoryRoot, stdio: 'pipe' });
  mkdirSync(bin);
  symlinkSync(process.execPath, join(bin, 'node'));
  for (const tool of ['npm', 'sh', 'env', 'uname']) {
    const path = findTool(tool);
    if (path !== undefined) symlinkSync(path, join(bin, tool));
  }
  mkdirSync(app);
  writeFileSync(join(app, 'package.json'), '{ "name": "app", "private": true }\n');
  const files = readdirSync(packs).map((name) => join(packs, name));
  // The two packed files take the place of a registry for metricstor itself; what they depend on
  // comes from wherever this machine's npm looks.
  const npmrc = process.env.NPM_CONFIG_USERCONFIG ?? join(process.env.HOME ?? '', '.npmrc');
  execFileSync('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error', ...files], {
    cwd: app,
    env: { ...npmSettings(), ...bareEnv, NPM_CONFIG_USERCONFIG: npmrc },
    stdio: 'pipe',
  });
}, 300_000);
afterAll(() => work.remove());

/** npm's own settings of this machine: registry, certificates, proxy. */
function npmSettings(): Record<string, string> {
  const entries = Object.entries(process.env).filter(
    ([name]) =>
      /^npm_config_/i.test(name) || /_proxy$/i.test(name) || name === 'NODE_EXTRA_CA_CERTS',
  );
  return Object.fromEntries(entries.map(([name, value]) => [name, value ?? '']));
}

test('the two packages are what npm would publish', () => {
  const names = readdirSync(packs);
  expect(names).toHaveLength(2);
  expect(names).toEqual(
    expect.arrayContaining([
      expect.stringMatching(/^metricstor-\d+\.\d+\.\d+\.tgz$/),
      expect.stringMatching(/^metricstor-native-[a-z0-9-]+-\d+\.\d+\.\d+\.tgz$/),
    ]),
  );
});

test('the command runs without Rust on PATH', () => {
  const command = join(app, 'node_modules', '.bin', 'metricstor');
  const version = execFileSync(command, ['version'], { env: bareEnv, encoding: 'utf8' });
  expect(version).toMatch(/\d+\.\d+\.\d+/);
});

test('the installed server stores and answers', async () => {
  const dataDir = join(work.path, 'data');
  const packageDir = join(app, 'node_modules', 'metricstor');
  const server = await startServer({ dataDir, packageDir, inheritEnv: bareEnv });
  try {
    const now = Date.now();
    await pushAll(server.url, [series({ __name__: 'installed' }, [[now, 42]])]);
    const stored = await queryRaw(server.url, 'installed[1m]', now);
    expect([...stored.keys()]).toEqual(['[["__name__","installed"]]']);
  } finally {
    expect(await server.stop()).toBe(0);
  }
});

test('the program of the README runs as it stands there', () => {
  const readme = readFileSync(join(repositoryRoot, 'README.md'), 'utf8');
  const program = readme.match(/```js\n([\s\S]*?)```/)?.[1];
  writeFileSync(join(app, 'program.mjs'), program ?? '');
  const printed = execFileSync('node', ['program.mjs'], {
    cwd: app,
    env: bareEnv,
    encoding: 'utf8',
    timeout: 60_000,
  });
  expect(printed).toMatch(/vector.*21\.5/);
});

test('the published tree holds no sources, tests or other machine paths', () => {
  const dir = join(app, 'node_modules', 'metricstor');
  expect(readdirSync(dir).sort()).toEqual(
    expect.arrayContaining(['LICENSE', 'README.md', 'dist', 'package.json', 'proto']),
  );
  expect(readdirSync(dir)).not.toEqual(expect.arrayContaining(['src']));
  expect(readdirSync(dir)).not.toEqual(expect.arrayContaining(['test']));
});
