/**
 * @file `metricstor auth <verb>`: makes the secrets of the file of identities.
 */
import { hashApiKey, hashPassword, newApiKey } from '../auth/secret.js';
import { UsageError } from './arguments.js';

export const authUsage = `Usage: metricstor auth <verb>

Verbs:
  key        print a new API key, and the hash that goes into the file of identities
  password   read a password from standard input, up to the end of its first line, and print the
             hash that goes into the file

The file is the one that auth.file of the configuration names.
`;

/** Longer than any password, and than a request's headers may be. */
const maxPasswordBytes = 8192;

/** Runs a verb; resolves with the exit code. Throws {@link UsageError}. */
export async function auth(parameters: readonly string[]): Promise<number> {
  const [verb, extra] = parameters;
  if (verb === '--help' || verb === '-h' || verb === 'help') {
    process.stdout.write(authUsage);
    return 0;
  }
  if (extra !== undefined) {
    throw new UsageError(`unexpected argument: ${extra}`, authUsage);
  }
  switch (verb) {
    case 'key': {
      const key = newApiKey();
      process.stdout.write(`key:  ${key}\nhash: ${hashApiKey(key)}\n`);
      return 0;
    }
    case 'password':
      process.stdout.write(`${await hashPassword(await readPassword())}\n`);
      return 0;
    default:
      throw new UsageError(verb === undefined ? 'no verb' : `no such verb: ${verb}`, authUsage);
  }
}

async function readPassword(): Promise<string> {
  let text = '';
  process.stdin.setEncoding('utf8');
  for await (const piece of process.stdin) {
    text += String(piece);
    if (text.includes('\n') || text.length > maxPasswordBytes) {
      break;
    }
  }
  const [password = ''] = text.split(/\r?\n/);
  if (password === '' || Buffer.byteLength(password) > maxPasswordBytes) {
    throw new UsageError(`want a password of 1 to ${maxPasswordBytes} bytes`, authUsage);
  }
  return password;
}
