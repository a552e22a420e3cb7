import { describe, expect, test } from 'vitest';
import { type Identity, identityOf, namesOf } from '../../src/auth/identity.js';
import { AccessPolicy } from '../../src/auth/policy.js';

const now = Date.UTC(2026, 0, 1);

function client(commonName: string, altNames = '', validTo = now + 1): Identity {
  return identityOf({
    subject: { CN: commonName },
    subjectaltname: altNames,
    valid_to: new Date(validTo + 1000).toUTCString(),
  });
}

function admits(allowedNames: readonly string[], identity: Identity): boolean {
  try {
    new AccessPolicy(allowedNames).admit(identity, now);
    return true;
  } catch (error) {
    expect(error).toMatchObject({ code: 'forbidden' });
    return false;
  }
}

describe('names of a certificate', () => {
  test('keep their kind', () => {
    const subjectaltname = 'DNS:a.example, URI:spiffe://example/b, IP Address:10.0.0.1, email:x@y';
    expect(namesOf({ subject: { CN: 'agent' }, subjectaltname })).toEqual([
      { kind: 'commonName', text: 'agent' },
      { kind: 'dns', text: 'a.example' },
      { kind: 'uri', text: 'spiffe://example/b' },
    ]);
  });

  test('count each of several common names', () => {
    expect(namesOf({ subject: { CN: ['a', 'b'] } }).map(({ text }) => text)).toEqual(['a', 'b']);
  });

  test('cannot be smuggled into another one', () => {
    const subjectaltname = 'URI:"http://evil/, DNS:admin.example", DNS:own.example';
    expect(namesOf({ subject: {}, subjectaltname })).toEqual([
      { kind: 'uri', text: 'http://evil/, DNS:admin.example' },
      { kind: 'dns', text: 'own.example' },
    ]);
  });
});

describe('allowed names', () => {
  test('admit by common name, DNS name or URI, whole', () => {
    expect(admits(['agent'], client('agent'))).toBe(true);
    expect(admits(['a.example'], client('x', 'DNS:A.Example'))).toBe(true);
    expect(admits(['spiffe://e/a'], client('x', 'URI:spiffe://e/a'))).toBe(true);
    expect(admits(['agent'], client('agent2'))).toBe(false);
    expect(admits(['a.example'], client('x', 'DNS:b.a.example'))).toBe(false);
    expect(admits(['spiffe://e/a'], client('x', 'URI:spiffe://e/a/b'))).toBe(false);
  });

  test('of one kind are not met by a name of another', () => {
    expect(admits(['spiffe://e/a'], client('spiffe://e/a', 'DNS:spiffe://e/a'))).toBe(false);
    expect(admits(['agent'], client('x', 'URI:agent'))).toBe(false);
  });

  test('when there are none, any valid certificate will do', () => {
    expect(admits([], client('anybody'))).toBe(true);
    expect(admits([], { kind: 'invalid', reason: 'unknown CA' })).toBe(false);
    expect(admits([], client('old', '', now - 10_000))).toBe(false);
  });

  test('shut out clients without a certificate', () => {
    expect(admits([], { kind: 'anonymous' })).toBe(true);
    expect(admits(['agent'], { kind: 'anonymous' })).toBe(false);
    expect(admits(['agent'], { kind: 'none' })).toBe(true);
  });

  test('apply at once when they change', () => {
    const policy = new AccessPolicy(['agent']);
    policy.admit(client('agent'), now);
    policy.update(['other']);
    expect(() => policy.admit(client('agent'), now)).toThrow('not in tls.allowedNames'.slice(4));
  });
});
