/**
 * @file Scalars of the configuration: from YAML or environment text to the value that is used.
 *
 * A reader takes the raw scalar and returns the value, or says what it wanted. Bounds are judged
 * here too, so that an error can name them in the unit they are written in.
 */
import { parse } from 'yaml';
import { formatDuration, parseDuration } from '../model/duration.js';
import type { Leaf, RetentionRuleSetting, WalSync } from './schema.js';

export type ConfigValue =
  | string
  | number
  | boolean
  | readonly string[]
  | readonly RetentionRuleSetting[]
  | WalSync;

export type ReadValue =
  | { readonly ok: true; readonly value: ConfigValue }
  | { readonly ok: false; readonly want: string };

const byteUnits: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

/** Bytes of a size such as `10MiB`, or undefined when `text` is not one. */
export function parseBytes(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?) ?([A-Za-z]*)$/.exec(text);
  const unit = match === null ? undefined : byteUnits[match[2] ?? ''];
  if (match === null || unit === undefined) {
    return undefined;
  }
  const size = Number(match[1]) * unit;
  return Number.isSafeInteger(size) ? size : undefined;
}

/** The shortest exact spelling of a size. */
export function formatBytes(size: number): string {
  for (const unit of ['TiB', 'GiB', 'MiB', 'KiB']) {
    const factor = byteUnits[unit] as number;
    if (size >= factor && size % factor === 0) {
      return `${size / factor}${unit}`;
    }
  }
  return `${size}`;
}

/** Host and port of `host:port`; an IPv6 address stands in brackets. */
export function parseAddress(text: string): { host: string; port: number } | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.%\w]+)\]|([^\s:[\]/]*)):(\d{1,5})$/.exec(text);
  if (match === null) {
    return undefined;
  }
  const port = Number(match[3]);
  return port <= 65_535 ? { host: match[1] ?? match[2] ?? '', port } : undefined;
}

/** Reads the raw scalar (or list) of a leaf. `raw` is what YAML gave, or environment text. */
export function readValue(leaf: Leaf, raw: unknown): ReadValue {
  if (leaf.kind === 'list') {
    return readList(leaf, raw);
  }
  if (leaf.kind === 'rules') {
    return readRules(leaf, raw);
  }
  if (raw === null || (typeof raw === 'object' && raw !== null)) {
    return { ok: false, want: wantOf(leaf) };
  }
  const value = readScalar(leaf, String(raw).trim(), raw);
  return value === undefined ? { ok: false, want: wantOf(leaf) } : { ok: true, value };
}

function readList(leaf: Leaf, raw: unknown): ReadValue {
  // In the environment a list is separated by commas.
  const items = typeof raw === 'string' ? raw.split(',').map((item) => item.trim()) : raw;
  if (!Array.isArray(items) || items.some((item) => typeof item !== 'string')) {
    return { ok: false, want: 'a list of texts' };
  }
  const given = items.filter((item) => item !== '');
  const { choices } = leaf;
  if (choices === undefined) {
    return { ok: true, value: Object.freeze(given) };
  }
  if (given.some((item) => item !== 'all' && !choices.includes(item))) {
    return { ok: false, want: wantOf(leaf) };
  }
  return { ok: true, value: Object.freeze(given.includes('all') ? [...choices] : given) };
}

/** The most days of a rule, as of `retention.days`. */
const maxDays = 36_500;

function readRules(leaf: Leaf, raw: unknown): ReadValue {
  let items = raw;
  if (typeof raw === 'string') {
    try {
      items = raw.trim() === '' ? [] : parse(raw);
    } catch {
      return { ok: false, want: wantOf(leaf) };
    }
  }
  if (!Array.isArray(items) || !items.every(isRule)) {
    return { ok: false, want: wantOf(leaf) };
  }
  const rules = items.map(({ match, days }) => Object.freeze({ match, days }));
  return { ok: true, value: Object.freeze(rules) };
}

function isRule(item: unknown): item is RetentionRuleSetting {
  if (typeof item !== 'object' || item === null || Object.keys(item).length !== 2) {
    return false;
  }
  const { match, days } = item as Partial<Record<keyof RetentionRuleSetting, unknown>>;
  return typeof match === 'string' && typeof days === 'number' && days > 0 && days <= maxDays;
}

function readScalar(leaf: Leaf, text: string, raw: unknown): ConfigValue | undefined {
  switch (leaf.kind) {
    case 'boolean':
      return text === 'true' ? true : text === 'false' ? false : undefined;
    case 'integer':
    case 'number':
      return inBounds(leaf, parseNumber(text, leaf.kind));
    case 'duration':
      return inBounds(leaf, parseDuration(text));
    case 'bytes':
      return inBounds(leaf, parseBytes(text));
    case 'address':
      return text === '' && leaf.path !== 'http.addr'
        ? ''
        : parseAddress(text) === undefined
          ? undefined
          : text;
    case 'choice':
      return leaf.choices?.includes(text) === true ? text : undefined;
    case 'sync':
      return readSync(text);
    default:
      return typeof raw === 'boolean' ? undefined : String(raw);
  }
}

function parseNumber(text: string, kind: 'integer' | 'number'): number | undefined {
  if (!/^[+-]?(\d[\d_]*)?(\.\d+)?(e[+-]?\d+)?$/i.test(text) || !/\d/.test(text)) {
    return undefined;
  }
  const value = Number(text.replaceAll('_', ''));
  const fits = kind === 'integer' ? Number.isSafeInteger(value) : Number.isFinite(value);
  return fits ? value : undefined;
}

function inBounds(leaf: Leaf, value: number | undefined): number | undefined {
  const { minimum = -Infinity, maximum = Infinity, exclusiveMinimum = -Infinity } = leaf;
  const fits =
    value !== undefined && value >= minimum && value <= maximum && value > exclusiveMinimum;
  return fits ? value : undefined;
}

function readSync(text: string): WalSync | undefined {
  if (text === 'always' || text === 'off') {
    return text;
  }
  const intervalMs = parseDuration(text);
  return intervalMs === undefined || intervalMs === 0 ? undefined : Object.freeze({ intervalMs });
}

const nouns: Readonly<Record<Leaf['kind'], string>> = {
  string: 'a text',
  choice: 'one of',
  integer: 'an integer',
  number: 'a number',
  boolean: 'true or false',
  duration: 'a duration such as 90s or 2h',
  bytes: 'a size such as 512KiB or 10MiB',
  address: 'host:port',
  list: 'a list of texts',
  rules: `a list such as [{match: '{job="x"}', days: 3}], days above 0 and at most ${maxDays}`,
  sync: 'always, off or a duration such as 1s',
};

/** What a leaf accepts, in words: `a duration such as 90s or 2h, at least 1ms`. */
export function wantOf(leaf: Leaf): string {
  if (leaf.kind === 'list' && leaf.choices !== undefined) {
    return `some of ${leaf.choices.join(', ')}, or all`;
  }
  if (leaf.kind === 'choice') {
    return `one of ${(leaf.choices ?? []).join(', ')}`;
  }
  const bounds = boundsOf(leaf);
  return bounds === '' ? nouns[leaf.kind] : `${nouns[leaf.kind]}, ${bounds}`;
}

/** The bounds of a numeric leaf in words, in its own unit; empty when it has none. */
export function boundsOf(leaf: Leaf): string {
  const print = (bound: number): string =>
    leaf.kind === 'duration'
      ? formatDuration(bound)
      : leaf.kind === 'bytes'
        ? formatBytes(bound)
        : `${bound}`;
  const words: string[] = [];
  if (leaf.minimum !== undefined) {
    words.push(`at least ${print(leaf.minimum)}`);
  }
  if (leaf.exclusiveMinimum !== undefined) {
    words.push(`more than ${print(leaf.exclusiveMinimum)}`);
  }
  if (leaf.maximum !== undefined) {
    words.push(`at most ${print(leaf.maximum)}`);
  }
  return words.join(', ');
}
