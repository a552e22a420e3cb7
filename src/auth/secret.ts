/**
 * @file Secrets as they are stored: passwords through scrypt (RFC 7914), API keys through SHA-256.
 *
 * A password is weak, so its hash is made slow, and it is written with its own parameters in the
 * PHC string format, `$scrypt$ln=15,r=8,p=3$salt$hash`. A key has 256 random bits, which nobody
 * guesses however fast the hash is.
 */
import { createHash, randomBytes, scrypt, timingSafeEqual } from 'node:crypto';

/** The parameters of scrypt: 2^`ln` rounds of blocks of 128 · `r` bytes, `p` times. */
interface Cost {
  readonly ln: number;
  readonly r: number;
  readonly p: number;
}

/** About 0.2 s and 32 MiB a password, of which the answer is remembered. */
const usualCost: Cost = { ln: 15, r: 8, p: 3 };

/** Of a hash in a file: a check must end, and must not take the memory of the server. */
const maxCost = { ln: 20, r: 64, p: 16, bytes: 256 * 1024 ** 2 };

const saltBytes = 16;
const hashBytes = 32;

/** A stored password: what makes its hash, and the hash. */
export interface PasswordHash extends Cost {
  readonly salt: Buffer;
  readonly hash: Buffer;
}

/** The hash of a password, to be put into a file. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(saltBytes);
  const hash = await derive(password, { ...usualCost, salt, hash: Buffer.alloc(hashBytes) });
  const { ln, r, p } = usualCost;
  return `$scrypt$ln=${ln},r=${r},p=${p}$${unpadded(salt)}$${unpadded(hash)}`;
}

/** Reads what {@link hashPassword} made; undefined when it is not that, or costs too much. */
export function parsePasswordHash(text: string): PasswordHash | undefined {
  const match =
    /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/.exec(
      text,
    );
  if (match === null) {
    return undefined;
  }
  const [ln, r, p] = match.slice(1, 4).map(Number);
  const [salt, hash] = match.slice(4).map((part) => Buffer.from(part, 'base64'));
  const affordable =
    ln >= 1 && ln <= maxCost.ln && r >= 1 && r <= maxCost.r && p >= 1 && p <= maxCost.p;
  const sound = affordable && memoryOf({ ln, r, p }) <= maxCost.bytes;
  return sound && salt.length >= 8 && hash.length >= 16 ? { ln, r, p, salt, hash } : undefined;
}

/** A hash that no password has: checking one against it takes as long as against a real one. */
export function decoyHash(): PasswordHash {
  return { ...usualCost, salt: randomBytes(saltBytes), hash: randomBytes(hashBytes) };
}

/** Whether it is the password. Takes its time on a thread of the pool. */
export async function passwordMatches(password: string, stored: PasswordHash): Promise<boolean> {
  return timingSafeEqual(await derive(password, stored), stored.hash);
}

function derive(password: string, { ln, r, p, salt, hash }: PasswordHash): Promise<Buffer> {
  const options = { N: 2 ** ln, r, p, maxmem: 2 * memoryOf({ ln, r, p }) };
  return new Promise((resolve, reject) => {
    scrypt(password, salt, hash.length, options, (error, key) =>
      error === null ? resolve(key) : reject(error),
    );
  });
}

function memoryOf({ ln, r, p }: Cost): number {
  return 128 * r * (2 ** ln + p);
}

function unpadded(bytes: Buffer): string {
  return bytes.toString('base64').replaceAll('=', '');
}

const keyHashPattern = /^sha256:([0-9a-f]{64})$/;

/** A new API key. The prefix lets scanners of source code find one that was committed. */
export function newApiKey(): string {
  return `metricstor_${randomBytes(hashBytes).toString('base64url')}`;
}

/** The hash of an API key, to be put into a file. */
export function hashApiKey(key: string): string {
  return `sha256:${createHash('sha256').update(key).digest('hex')}`;
}

/** Whether `text` is what {@link hashApiKey} gives. */
export function isApiKeyHash(text: string): boolean {
  return keyHashPattern.test(text);
}
