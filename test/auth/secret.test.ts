import { expect, test } from 'vitest';
import { PasswordCheck } from '../../src/auth/password-check.js';
import {
  hashApiKey,
  hashPassword,
  isApiKeyHash,
  newApiKey,
  type PasswordHash,
  parsePasswordHash,
  passwordMatches,
} from '../../src/auth/secret.js';

function parsed(text: string): PasswordHash {
  const hash = parsePasswordHash(text);
  if (hash === undefined) throw new Error(`not read: ${text}`);
  return hash;
}

test('a password is known by its hash, and no other is', async () => {
  const text = await hashPassword('correct horse ✓');
  const stored = parsed(text);
  expect(await passwordMatches('correct horse ✓', stored)).toBe(true);
  expect(await passwordMatches('correct horse', stored)).toBe(false);
  expect(await hashPassword('correct horse ✓')).not.toBe(text);
});

test('a hash is that of RFC 7914', async () => {
  // §12: scrypt("pleaseletmein", "SodiumChloride", 16384, 8, 1).
  const key =
    '7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2' +
    'd5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887';
  const base64 = (bytes: Buffer): string => bytes.toString('base64').replaceAll('=', '');
  const salt = base64(Buffer.from('SodiumChloride'));
  const stored = parsed(`$scrypt$ln=14,r=8,p=1$${salt}$${base64(Buffer.from(key, 'hex'))}`);
  expect(await passwordMatches('pleaseletmein', stored)).toBe(true);
});

test.for([
  'secret',
  '$2y$10$abcdefghijklmnopqrstuv',
  '$scrypt$ln=15,r=8,p=3$c2FsdA$AAAAAAAAAAAAAAAAAAAAAA',
  '$scrypt$ln=15,r=8,p=3$c29tZXNhbHQ$AAAA',
  '$scrypt$ln=15,r=8$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA',
  '$scrypt$ln=20,r=8,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA',
  '$scrypt$ln=0,r=8,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA',
  '$scrypt$ln=15,r=8,p=17$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA',
])('%s is not taken for a hash: unreadable, too short or too dear', (text) => {
  expect(parsePasswordHash(text)).toBeUndefined();
});

test('a key is long, random and known by its hash', () => {
  const [a, b] = [newApiKey(), newApiKey()];
  expect(a).not.toBe(b);
  expect(a).toMatch(/^metricstor_[\w-]{43}$/);
  expect(isApiKeyHash(hashApiKey(a))).toBe(true);
  expect(isApiKeyHash(a)).toBe(false);
});

/** 16 bytes that are nobody's hash. */
const nobodys = parsed('$scrypt$ln=4,r=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA');

test('a check is made once, and its answer remembered', async () => {
  const check = new PasswordCheck();
  const stored = parsed(await hashPassword('once'));
  const started = process.cpuUsage();
  expect(await check.matches('once', stored)).toBe(true);
  const first = process.cpuUsage(started).user;
  const again = process.cpuUsage();
  for (let i = 0; i < 100; i++) {
    expect(await check.matches('once', stored)).toBe(true);
  }
  // A hundred answers from memory take less than the one that was computed.
  expect(process.cpuUsage(again).user).toBeLessThan(first);
  expect(await check.matches('twice', stored)).toBe(false);
});

test('who asks for the same at once waits for one check', async () => {
  const check = new PasswordCheck();
  const asked = Array.from({ length: 1000 }, () => check.matches('x', nobodys));
  expect(new Set(await Promise.all(asked))).toEqual(new Set([false]));
});

test('of different passwords only so many wait', async () => {
  const check = new PasswordCheck();
  const asked = Array.from({ length: 100 }, (_, i) => check.matches(`guess ${i}`, nobodys));
  const settled = await Promise.allSettled(asked);
  const refused = settled.filter(({ status }) => status === 'rejected');
  expect(refused.length).toBe(36);
  expect(refused[0]).toMatchObject({ reason: { code: 'overloaded' } });
  expect(await check.matches('guess 99', nobodys)).toBe(false);
});
