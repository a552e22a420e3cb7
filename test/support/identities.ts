/**
 * @file Hashes and headers for files of identities, with passwords that are cheap to check.
 */
import { scryptSync } from 'node:crypto';

const salt = 'somesalt';

/** A password's hash as the file has it, with parameters that take no time. */
export function cheapPasswordHash(password: string): string {
  const base64 = (bytes: Buffer): string => bytes.toString('base64').replaceAll('=', '');
  const hash = scryptSync(password, salt, 32, { N: 16, r: 1, p: 1 });
  return `$scrypt$ln=4,r=1,p=1$${base64(Buffer.from(salt))}$${base64(hash)}`;
}

/** The `Authorization` header of basic authentication. */
export function basicHeader(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
}
