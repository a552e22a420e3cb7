/**
 * @file Reads the file of identities, `auth.file`: every error at once, with its line.
 */
import { readFileSync } from 'node:fs';
import { isMap, isScalar, isSeq, LineCounter, parseDocument, type Node as YamlNode } from 'yaml';
import { ConfigError, type ConfigProblem } from '../config/load.js';
import { type Principal, Principals, sharedBetween } from './principals.js';
import { isRole, roles } from './role.js';
import { isApiKeyHash, type PasswordHash, parsePasswordHash } from './secret.js';

/** A list that nobody writes by hand; every request without a key looks through certificates. */
const identitiesMax = 10_000;

/** Reads the identities. Throws {@link ConfigError} with all that is wrong. */
export function readPrincipals(file: string): Principals {
  let source: string;
  try {
    source = readFileSync(file, 'utf8');
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ConfigError([{ place: file, message: `auth.file cannot be read: ${reason}` }]);
  }
  return parsePrincipals(file, source);
}

/** Reads the identities from the text of a file. Throws {@link ConfigError}. */
export function parsePrincipals(file: string, source: string): Principals {
  const lines = new LineCounter();
  const document = parseDocument(source, { lineCounter: lines, prettyErrors: false });
  const placeAt = (offset: number): string => `${file}:${lines.linePos(offset).line}`;
  const problems: ConfigProblem[] = document.errors.map(({ pos, message }) => ({
    place: placeAt(pos[0]),
    message,
  }));
  const principals: Principal[] = [];
  if (problems.length === 0) {
    for (const node of identityNodes(document.contents, file, problems)) {
      const place = placeAt(node.range?.[0] ?? 0);
      const report = (message: string): void => void problems.push({ place, message });
      const principal = readPrincipal(node.toJS(document), report);
      const twin = principals.find((other) => sharedBetween(other, principal) !== undefined);
      if (twin !== undefined) {
        report(`${sharedBetween(twin, principal)} is also another identity's`);
      }
      principals.push(principal);
    }
  }
  if (problems.length > 0) {
    throw new ConfigError(problems);
  }
  return new Principals(principals);
}

/** The entries of `identities`, which is the only key of the file. */
function identityNodes(
  contents: YamlNode | null,
  file: string,
  problems: ConfigProblem[],
): readonly YamlNode[] {
  const pair =
    isMap(contents) && contents.items.length === 1 ? contents.items[0] : { key: null, value: null };
  const list = isScalar(pair.key) && pair.key.value === 'identities' ? pair.value : null;
  const items = isSeq<YamlNode>(list) ? list.items : [];
  // An empty one would shut everybody out, and is what a file looks like while it is written.
  if (items.length === 0 || items.length > identitiesMax) {
    const message = `want identities: with a list of 1 to ${identitiesMax} entries`;
    problems.push({ place: file, message });
    return [];
  }
  return items;
}

type Report = (message: string) => void;

const keys: readonly string[] = ['name', 'roles', 'certificates', 'apiKeys', 'password'];

function readPrincipal(raw: unknown, report: Report): Principal {
  const entry = (typeof raw === 'object' && raw !== null ? raw : {}) as Record<string, unknown>;
  for (const key of Object.keys(entry).filter((name) => !keys.includes(name))) {
    // What is no word may be a part of a secret that is not quoted.
    const shown = /^\w{1,32}$/.test(key) ? `no such key: ${key}` : 'a key that is none';
    report(`${shown}; want some of ${keys.join(', ')}`);
  }
  const certificates = readTexts(entry, 'certificates', report);
  const apiKeys = readTexts(entry, 'apiKeys', report);
  if (!apiKeys.every(isApiKeyHash)) {
    report('apiKeys: want hashes such as sha256:…, as metricstor auth key prints them');
  }
  const password = readPassword(entry.password, report);
  const given = readTexts(entry, 'roles', report);
  if (given.length === 0 || !given.every(isRole)) {
    report(`roles: want some of ${roles.join(', ')}`);
  }
  if (certificates.length === 0 && apiKeys.length === 0 && entry.password === undefined) {
    report('want certificates, apiKeys or a password to know it by');
  }
  const name = readName(entry.name, report);
  return { name, roles: new Set(given.filter(isRole)), certificates, apiKeys, password };
}

function readName(raw: unknown, report: Report): string {
  const name = typeof raw === 'string' ? raw : '';
  // Basic authentication ends the user at the first colon.
  if (!/^[^:\p{Cc}]{1,256}$/u.test(name)) {
    report('name: want a text of 1 to 256 characters without colon');
  }
  return name;
}

function readTexts(entry: Record<string, unknown>, key: string, report: Report): string[] {
  const raw = entry[key] ?? [];
  const texts = Array.isArray(raw) ? raw : [null];
  if (!texts.every((text) => typeof text === 'string' && text !== '')) {
    report(`${key}: want a list of texts`);
    return [];
  }
  return texts;
}

function readPassword(raw: unknown, report: Report): PasswordHash | undefined {
  if (raw === undefined) {
    return undefined;
  }
  const hash = typeof raw === 'string' ? parsePasswordHash(raw) : undefined;
  if (hash === undefined) {
    // The value is not shown: it may be the password itself.
    report('password: want a hash such as $scrypt$…, as metricstor auth password prints it');
  }
  return hash;
}
