import { describe, expect, test } from 'vitest';
import { Access } from '../../src/auth/access.js';
import { type Identity, identityOf, noIdentity } from '../../src/auth/identity.js';
import { parsePrincipals, readPrincipals } from '../../src/auth/principals-file.js';
import type { Needs } from '../../src/auth/role.js';
import { hashApiKey } from '../../src/auth/secret.js';
import { ConfigError } from '../../src/config/load.js';
import { basicHeader as basic, cheapPasswordHash } from '../support/identities.js';

const now = Date.UTC(2026, 0, 1);

function certificate(commonName: string, altNames = ''): Identity {
  return identityOf({
    subject: { CN: commonName },
    subjectaltname: altNames,
    valid_to: new Date(now + 1000).toUTCString(),
  });
}

const file = `identities:
  - name: agent
    roles: [write]
    certificates: [agent.example, 'spiffe://example.org/agent']
  - name: grafana
    roles: [read]
    password: ${cheapPasswordHash('pa:ss')}
  - name: ops
    roles: [read, write, admin]
    apiKeys: ['${hashApiKey('key-of-ops')}', '${hashApiKey('next-key-of-ops')}']
`;

/** Who is admitted, or the code of the refusal. */
async function judge(
  needs: Needs,
  shown: { identity?: Identity; authorization?: string },
): Promise<string | undefined> {
  const access = new Access([], parsePrincipals('identities.yml', file));
  const { identity = noIdentity, authorization } = shown;
  try {
    return (await access.admit({ identity, authorization, needs, now }))?.name;
  } catch (error) {
    return (error as { code: string }).code;
  }
}

describe('an identity is known', () => {
  test('by a name of its certificate', async () => {
    expect(await judge('write', { identity: certificate('agent.example') })).toBe('agent');
    expect(await judge('write', { identity: certificate('x', 'DNS:Agent.Example') })).toBe('agent');
    const uri = certificate('x', 'URI:spiffe://example.org/agent');
    expect(await judge('write', { identity: uri })).toBe('agent');
    expect(await judge('write', { identity: certificate('agent') })).toBe('unauthorized');
    const posing = certificate('spiffe://example.org/agent');
    expect(await judge('write', { identity: posing })).toBe('unauthorized');
  });

  test('by any of its keys', async () => {
    expect(await judge('admin', { authorization: 'Bearer key-of-ops' })).toBe('ops');
    expect(await judge('admin', { authorization: 'bearer next-key-of-ops' })).toBe('ops');
    expect(await judge('admin', { authorization: 'Bearer key-of-op' })).toBe('unauthorized');
    const stored = hashApiKey('key-of-ops');
    expect(await judge('admin', { authorization: `Bearer ${stored}` })).toBe('unauthorized');
  });

  test('by its password, which may hold a colon', async () => {
    expect(await judge('read', { authorization: basic('grafana', 'pa:ss') })).toBe('grafana');
    expect(await judge('read', { authorization: basic('grafana', 'pa') })).toBe('unauthorized');
    expect(await judge('read', { authorization: basic('nobody', 'pa:ss') })).toBe('unauthorized');
    expect(await judge('read', { authorization: basic('ops', '') })).toBe('unauthorized');
  });

  test('not by a header that is none of these', async () => {
    for (const authorization of ['', 'Bearer', 'Basic !', 'Digest x', `Bearer ${'x'.repeat(99)}`]) {
      expect(await judge('read', { authorization })).toBe('unauthorized');
    }
  });
});

describe('a request', () => {
  const agent = certificate('agent.example');
  const ops = 'Bearer key-of-ops';

  test('needs the role of its route, and no role holds another', async () => {
    expect(await judge('read', { identity: agent })).toBe('forbidden');
    expect(await judge('admin', { identity: agent })).toBe('forbidden');
    expect(await judge('identity', { identity: agent })).toBe('agent');
    expect(await judge('write', { authorization: basic('grafana', 'pa:ss') })).toBe('forbidden');
    for (const needs of ['read', 'write', 'admin'] as const) {
      expect(await judge(needs, { authorization: ops })).toBe('ops');
      expect(await judge(needs, {})).toBe('unauthorized');
      expect(await judge(needs, { identity: { kind: 'anonymous' } })).toBe('unauthorized');
    }
  });

  test('shows who sends it by its header before the certificate of its connection', async () => {
    expect(await judge('admin', { identity: agent, authorization: ops })).toBe('ops');
    const wrong = { identity: agent, authorization: 'Bearer wrong' };
    expect(await judge('write', wrong)).toBe('unauthorized');
  });

  test('is not helped by credentials when its certificate may not connect', async () => {
    const principals = parsePrincipals('f', file);
    const access = new Access(['agent.example'], principals);
    const identity = certificate('other');
    const asking = { identity, authorization: ops, needs: 'read', now } as const;
    await expect(access.admit(asking)).rejects.toMatchObject({ code: 'forbidden' });
  });

  test('for a probe needs nothing', async () => {
    expect(await judge('nothing', {})).toBeUndefined();
  });

  test('needs nothing where no identities are configured', async () => {
    const access = new Access([], undefined);
    const asking = {
      identity: noIdentity,
      authorization: 'Bearer x',
      needs: 'admin',
      now,
    } as const;
    expect(await access.admit(asking)).toBeUndefined();
  });
});

describe('a file of identities', () => {
  const problemsOf = (source: string): readonly string[] => {
    try {
      parsePrincipals('f.yml', source);
      return [];
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      return error.problems.map(({ place, message }) => `${place}: ${message}`);
    }
  };

  test('that is sound is read', () => {
    expect(parsePrincipals('f.yml', file).count).toBe(3);
    expect(problemsOf(file)).toEqual([]);
  });

  test('names every error with its line, and shows no password', () => {
    const problems = problemsOf(`identities:
  - name: 'a:b'
    roles: [reed]
    password: hunter2
  - name: c
    roles: []
    apikey: x
  - roles: [read]
    name: c
    certificates: x
    apiKeys: [plain]
`);
    expect(problems.map((text) => text.slice(0, 24))).toEqual([
      'f.yml:2: password: want ',
      'f.yml:2: roles: want som',
      'f.yml:2: name: want a te',
      'f.yml:5: no such key: ap',
      'f.yml:5: roles: want som',
      'f.yml:5: want certificat',
      'f.yml:8: certificates: w',
      'f.yml:8: apiKeys: want h',
      'f.yml:8: the name c is a',
    ]);
    expect(problems.join()).not.toContain('hunter2');
  });

  test('has one identity a name, a certificate and a key', () => {
    const two = (a: string, b: string): readonly string[] =>
      problemsOf(`identities:
  - {name: a, roles: [read], ${a}}
  - {name: b, roles: [read], ${b}}
`);
    const key = `apiKeys: ['${hashApiKey('k')}']`;
    expect(two(key, key)).toEqual(["f.yml:3: an API key is also another identity's"]);
    expect(two('certificates: [x.example]', 'certificates: [X.example]')).toEqual([
      "f.yml:3: the certificate X.example is also another identity's",
    ]);
    expect(two(key, 'certificates: [x]')).toEqual([]);
  });

  test.for([
    '',
    'identities:',
    'identities: []',
    '[]',
    'a: 1',
    'identities: [a',
    'identities: {a: 1}',
  ])('that is %j lets nobody in, so it is an error', (source) => {
    expect(problemsOf(source)).not.toEqual([]);
  });

  test('that is not there is an error', () => {
    expect(() => readPrincipals('/nowhere/identities.yml')).toThrow(ConfigError);
  });
});
