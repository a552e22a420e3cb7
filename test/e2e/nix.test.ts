import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { repositoryRoot, temporaryDirectory } from '../support/server.js';
import { requireTool } from '../support/tools.js';

interface Summary {
  readonly failed: readonly string[];
  readonly unit: Readonly<Record<string, unknown>> | null;
  readonly users: readonly string[];
  readonly groups: readonly string[];
  readonly tmpfiles: readonly string[];
}

interface Evaluated {
  readonly [name: string]: Summary;
}

const available = requireTool('nix-instantiate');
const store = temporaryDirectory('nix');
let answers: Evaluated & {
  readonly badPort: unknown;
  readonly package: unknown;
  readonly outputs: unknown;
};

beforeAll(() => {
  if (!available) return;
  const json = execFileSync(
    'nix-instantiate',
    ['--eval', '--strict', '--json', '--read-write-mode', join(repositoryRoot, 'nix', 'test')],
    {
      encoding: 'utf8',
      // Everything that nix would keep, in a directory of this test: no daemon, no store.
      env: {
        ...process.env,
        NIX_REMOTE: '',
        NIX_STORE_DIR: join(store.path, 'store'),
        NIX_STATE_DIR: join(store.path, 'state'),
        NIX_LOG_DIR: join(store.path, 'log'),
        NIX_CONF_DIR: join(store.path, 'conf'),
        XDG_CACHE_HOME: join(store.path, 'cache'),
        NIX_PATH: '',
        NIX_CONFIG: 'build-users-group =',
      },
    },
  );
  answers = JSON.parse(json);
});
afterAll(() => store.remove());

/** The command line of the unit, and the configuration that it is given. */
function command(summary: Summary): { command: string; config: unknown } {
  const line = String(summary.unit?.ExecStart);
  const at = line.indexOf('{');
  return { command: line.slice(0, at), config: parse(line.slice(at)) };
}

describe.skipIf(!available)('services.metricstor', () => {
  test('does nothing unless enabled', () => {
    expect(answers.disabled).toMatchObject({ failed: [], unit: null, users: [] });
  });

  test('runs the binary with the defaults as its own user', () => {
    const { failed, users, groups, unit, tmpfiles } = answers.defaults;
    expect({ failed, users, groups, tmpfiles }).toEqual({
      failed: [],
      users: ['metricstor'],
      groups: ['metricstor'],
      tmpfiles: [],
    });
    expect(unit).toMatchObject({ User: 'metricstor', StateDirectory: 'metricstor' });
    expect(command(answers.defaults)).toEqual({
      command: '/nix/store/stub-metricstor/bin/metricstor serve --config metricstor.yml:',
      config: {
        http: { addr: '127.0.0.1:9090' },
        grpc: { addr: '127.0.0.1:9091' },
        dataDir: '/var/lib/metricstor',
        retention: { days: 15 },
        tls: {},
      },
    });
  });

  test('is hardened', () => {
    expect(answers.defaults.unit).toMatchObject({
      CapabilityBoundingSet: '',
      NoNewPrivileges: true,
      PrivateDevices: true,
      ProtectHome: true,
      ProtectSystem: 'strict',
      RestrictNamespaces: true,
      SystemCallFilter: ['@system-service', '~@privileged'],
    });
  });

  test('passes every option on, and lets settings win', () => {
    expect(answers.everything.failed).toEqual([]);
    expect(answers.everything.tmpfiles).toEqual(['d /srv/metrics 0750 metricstor metricstor - -']);
    expect(answers.everything.unit).toMatchObject({ ReadWritePaths: ['/srv/metrics'] });
    expect(command(answers.everything).config).toEqual({
      http: { addr: '0.0.0.0:9190' },
      grpc: { addr: '127.0.0.1:9191' },
      dataDir: '/srv/metrics',
      retention: { days: 400 },
      wal: { sync: '1s' },
      tls: {
        cert: '/etc/metricstor/server.crt',
        key: '/etc/metricstor/server.key',
        clientCa: '/etc/metricstor/ca.crt',
        allowedNames: ['agent'],
      },
    });
  });

  test.each([
    ['prometheusScrapesGrpcPort', 'services.metricstor.grpcPort is 9091'],
    ['vmagentScrapesHttpPort', 'services.metricstor.httpPort is 9090'],
    ['listedPort', 'services.metricstor.grpcPort is 9091'],
    ['halfTls', 'services.metricstor.tls.cert and services.metricstor.tls.key belong together'],
  ])('refuses %s', (name, message) => {
    expect(answers[name].failed).toEqual([expect.stringContaining(message)]);
  });

  test('does not mind the same port on another host', () => {
    expect(answers.otherHost.failed).toEqual([]);
  });

  test('refuses a port that is none', () => {
    expect(answers.badPort).toEqual({ success: false, value: false });
  });
});

describe.skipIf(!available)('the flake', () => {
  test('offers packages, a module, an overlay and a shell', () => {
    expect(answers.outputs).toEqual({
      packages: ['aarch64-linux', 'x86_64-linux'],
      devShells: ['aarch64-linux', 'x86_64-linux'],
      nixosModules: ['default'],
      overlays: ['default'],
    });
  });

  test('builds the package of this version without network', () => {
    expect(answers.package).toMatchObject({
      pname: 'metricstor',
      meta: { mainProgram: 'metricstor' },
      build: expect.stringContaining('build.mjs --no-install'),
      nodeModulesHash: expect.stringMatching(/^sha256-[A-Za-z0-9+/]{43}=$/),
    });
  });

  test('names the hashes of the packages that package-lock.json asks for', () => {
    // When this fails, the lock has changed: node .ci/npm-hash.mjs writes the new hashes.
    expect(answers.package).toMatchObject({ hashesAreOfThisLock: true });
  });
});
