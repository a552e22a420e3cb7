/**
 * @file Loads the configuration: environment over YAML over defaults, every error at once, frozen.
 *
 * An error names its place (file and line, or environment variable), its key and what was wanted.
 * Unknown keys in the file are errors; unknown `METRICSTOR_…` variables only warn, because
 * orchestrators invent such names for a service called metricstor.
 */
import { readFileSync } from 'node:fs';
import {
  type Document,
  isMap,
  isNode,
  isScalar,
  LineCounter,
  parseDocument,
  type Node as YamlNode,
} from 'yaml';
import { type Config, configLeaves, environmentName, type Leaf } from './schema.js';
import { type ConfigValue, readValue } from './values.js';

export interface ConfigProblem {
  /** `metricstor.yaml:12`, or the name of an environment variable. */
  readonly place: string;
  readonly message: string;
}

/** Thrown by {@link loadConfig} with everything that is wrong. */
export class ConfigError extends Error {
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[]) {
    super(problems.map(({ place, message }) => `${place}: ${message}`).join('\n'));
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

export interface ConfigSources {
  /** Path of a YAML file; undefined means none. */
  readonly file?: string | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

export interface LoadedConfig {
  readonly config: Config;
  readonly warnings: readonly string[];
}

/** Variables with the prefix that are not keys. */
const reservedVariables: ReadonlySet<string> = new Set(['METRICSTOR_CONFIG']);

/** Reads and validates all sources. Throws {@link ConfigError}. */
export function loadConfig(sources: ConfigSources): LoadedConfig {
  const leaves = configLeaves();
  const problems: ConfigProblem[] = [];
  const values = new Map<string, ConfigValue>();
  const places = new Map<string, string>();
  for (const leaf of leaves) {
    values.set(leaf.path, defaultOf(leaf));
  }
  if (sources.file !== undefined) {
    readFile(sources.file, leaves, { problems, values, places });
  }
  const warnings = readEnvironment(sources.environment, leaves, { problems, values, places });
  checkTogether(values, places, problems);
  if (problems.length > 0) {
    throw new ConfigError(problems);
  }
  return { config: assemble(values), warnings };
}

interface Collected {
  readonly problems: ConfigProblem[];
  readonly values: Map<string, ConfigValue>;
  /** Where a key that is not at its default was set. */
  readonly places: Map<string, string>;
}

function isArray({ kind }: Leaf): boolean {
  return kind === 'list' || kind === 'rules';
}

function defaultOf(leaf: Leaf): ConfigValue {
  const read = readValue(leaf, isArray(leaf) ? leaf.written.slice(1, -1) : leaf.written);
  if (!read.ok) {
    throw new Error(`the default of ${leaf.path} is not valid: want ${read.want}`);
  }
  return read.value;
}

function readFile(file: string, leaves: readonly Leaf[], collected: Collected): void {
  let source: string;
  try {
    source = readFileSync(file, 'utf8');
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    collected.problems.push({ place: file, message: `cannot be read: ${reason}` });
    return;
  }
  const lines = new LineCounter();
  const document = parseDocument(source, { lineCounter: lines, prettyErrors: false });
  const placeOf = (offset: number): string => `${file}:${lines.linePos(offset).line}`;
  for (const error of document.errors) {
    collected.problems.push({ place: placeOf(error.pos[0]), message: error.message });
  }
  if (document.errors.length > 0 || document.contents === null) {
    return;
  }
  const byPath = new Map(leaves.map((leaf) => [leaf.path, leaf]));
  walkNode({ document, byPath, placeOf, collected }, document.contents, '');
}

interface Walk {
  readonly document: Document;
  readonly byPath: ReadonlyMap<string, Leaf>;
  readonly placeOf: (offset: number) => string;
  readonly collected: Collected;
}

function walkNode(walk: Walk, node: YamlNode, prefix: string): void {
  const { collected, placeOf, byPath } = walk;
  if (!isMap(node)) {
    // A section without keys (`tls:`) is an empty one.
    if (!isScalar(node) || node.value !== null) {
      const section = prefix === '' ? 'the file' : prefix;
      const place = placeOf(node.range?.[0] ?? 0);
      collected.problems.push({ place, message: `${section}: want a mapping of keys` });
    }
    return;
  }
  for (const { key, value } of node.items) {
    const name = isScalar(key) ? String(key.value) : '?';
    const path = prefix === '' ? name : `${prefix}.${name}`;
    const place = placeOf((isNode(key) ? key.range?.[0] : undefined) ?? 0);
    const leaf = byPath.get(path);
    if (leaf !== undefined) {
      const raw = isNode(value) ? value.toJS(walk.document) : null;
      setValue(leaf, raw, place, collected);
    } else if (isSection(byPath, path)) {
      if (isNode(value)) {
        walkNode(walk, value, path);
      }
    } else {
      collected.problems.push({ place, message: `${path}: no such key${hint(byPath, path)}` });
    }
  }
}

function isSection(byPath: ReadonlyMap<string, Leaf>, path: string): boolean {
  return [...byPath.keys()].some((known) => known.startsWith(`${path}.`));
}

/** Names a key that differs only in case or punctuation, the usual slip. */
function hint(byPath: ReadonlyMap<string, Leaf>, path: string): string {
  const fold = (text: string): string => text.toLowerCase().replaceAll(/[^a-z0-9.]/g, '');
  const similar = [...byPath.keys()].find((known) => fold(known) === fold(path));
  return similar === undefined ? '' : `; did you mean ${similar}?`;
}

function setValue(leaf: Leaf, raw: unknown, place: string, collected: Collected): void {
  const read = readValue(leaf, raw);
  if (read.ok) {
    collected.values.set(leaf.path, read.value);
    collected.places.set(leaf.path, place);
    return;
  }
  const got = raw === null ? 'nothing' : JSON.stringify(raw);
  collected.problems.push({ place, message: `${leaf.path}: want ${read.want}, got ${got}` });
}

function readEnvironment(
  environment: ConfigSources['environment'],
  leaves: readonly Leaf[],
  collected: Collected,
): readonly string[] {
  const byVariable = new Map(leaves.map((leaf) => [environmentName(leaf.path), leaf]));
  const warnings: string[] = [];
  for (const [variable, text] of Object.entries(environment)) {
    if (!variable.startsWith('METRICSTOR_') || text === undefined) {
      continue;
    }
    const leaf = byVariable.get(variable);
    if (leaf !== undefined) {
      setValue(leaf, text, variable, collected);
    } else if (!reservedVariables.has(variable)) {
      warnings.push(`${variable} is set, but there is no such key`);
    }
  }
  return warnings;
}

/** Rules between keys. */
function checkTogether(
  values: ReadonlyMap<string, ConfigValue>,
  places: ReadonlyMap<string, string>,
  problems: ConfigProblem[],
): void {
  const given = (path: string): boolean => {
    const value = values.get(path);
    return Array.isArray(value) ? value.length > 0 : value !== '';
  };
  const needs = (path: string, needed: string): void => {
    if (given(path) && !given(needed)) {
      const place = places.get(path) ?? path;
      problems.push({ place, message: `${path}: needs ${needed} to be set too` });
    }
  };
  needs('tls.cert', 'tls.key');
  needs('tls.key', 'tls.cert');
  needs('tls.clientCa', 'tls.cert');
  needs('tls.allowedNames', 'tls.clientCa');
  if (!given('dataDir')) {
    problems.push({ place: places.get('dataDir') ?? 'dataDir', message: 'dataDir: want a path' });
  }
}

type ConfigTree = { [name: string]: ConfigValue | ConfigTree };

function assemble(values: ReadonlyMap<string, ConfigValue>): Config {
  const root: ConfigTree = {};
  for (const [path, value] of values) {
    const names = path.split('.');
    const last = names.pop() as string;
    let section = root;
    for (const name of names) {
      section[name] ??= {};
      section = section[name] as ConfigTree;
    }
    section[last] = value;
  }
  // Every leaf of the schema was read by `readValue`, so the tree has the schema's type.
  return freeze(root) as unknown as Config;
}

function freeze(tree: ConfigTree): ConfigTree {
  for (const value of Object.values(tree)) {
    if (typeof value === 'object' && !Array.isArray(value)) {
      freeze(value as ConfigTree);
    }
  }
  return Object.freeze(tree);
}
