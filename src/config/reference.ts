/**
 * @file Prints `docs/configuration.md` from the schema.
 */
import { stringify } from 'yaml';
import { formatDuration } from '../model/duration.js';
import { type Config, configLeaves, environmentName, type Leaf } from './schema.js';
import { boundsOf, formatBytes } from './values.js';

const intro = `# Configuration

<!-- Generated from src/config/schema.ts by \`metricstor config-reference\`. Do not edit. -->

metricstor reads, in rising order of precedence, its defaults, a YAML file (\`--config file\`, or its
path in \`METRICSTOR_CONFIG\`) and the environment. The environment variable of a key is its path in
upper snake case after \`METRICSTOR_\`; a list is separated by commas there. \`metricstor
check-config\` reports every error at once, with line and key.

Durations are written as \`90s\`, \`1h30m\` or \`15d\`, sizes as \`512KiB\` or \`10MiB\`.

The keys marked "reloaded" are read again when the file changes and on SIGHUP; the files of
certificates and identities are read again when they change. Other keys need a restart.
`;

/** The reference as Markdown. */
export function configReference(): string {
  const sections = new Map<string, Leaf[]>();
  for (const leaf of configLeaves()) {
    const section = leaf.path.includes('.') ? (leaf.path.split('.')[0] as string) : '';
    sections.set(section, [...(sections.get(section) ?? []), leaf]);
  }
  let text = intro;
  for (const [section, leaves] of sections) {
    if (section !== '') {
      text += `\n## ${section}\n`;
    }
    for (const leaf of leaves) {
      text += `\n${section === '' ? '##' : '###'} \`${leaf.path}\`\n\n${leaf.description}\n\n`;
      text += `${facts(leaf).join(' · ')}\n`;
    }
  }
  return text;
}

function facts(leaf: Leaf): string[] {
  const shown = leaf.written === '' ? 'empty' : `\`${leaf.written}\``;
  const list = [`Default ${shown}`];
  if (leaf.choices !== undefined) {
    list.push(
      `${leaf.kind === 'list' ? 'some' : 'one'} of ${leaf.choices.map((name) => `\`${name}\``).join(', ')}`,
    );
  }
  const bounds = boundsOf(leaf);
  if (bounds !== '') {
    list.push(bounds);
  }
  list.push(`\`${environmentName(leaf.path)}\``);
  if (leaf.reloaded) {
    list.push('reloaded');
  }
  return list;
}

/** Every key of a loaded configuration as it would be written in YAML, in the schema's order. */
export function effectiveValues(config: Config): Map<string, string> {
  const values = new Map<string, string>();
  for (const leaf of configLeaves()) {
    values.set(leaf.path, write(leaf, valueAt(config, leaf)));
  }
  return values;
}

/** A loaded configuration as a YAML file that would give the same one. */
export function effectiveYaml(config: Config): string {
  const root: Record<string, unknown> = {};
  const written = effectiveValues(config);
  for (const leaf of configLeaves()) {
    const names = leaf.path.split('.');
    const last = names.pop() as string;
    let section = root;
    for (const name of names) {
      section[name] ??= {};
      section = section[name] as Record<string, unknown>;
    }
    section[last] = asIs.has(leaf.kind) ? valueAt(config, leaf) : written.get(leaf.path);
  }
  return stringify(root);
}

/** Kinds that YAML writes as the value itself. */
const asIs: ReadonlySet<Leaf['kind']> = new Set(['integer', 'number', 'boolean', 'list', 'rules']);

function valueAt(config: Config, leaf: Leaf): unknown {
  let value: unknown = config;
  for (const name of leaf.path.split('.')) {
    value = (value as Readonly<Record<string, unknown>>)[name];
  }
  return value;
}

function write(leaf: Leaf, value: unknown): string {
  switch (leaf.kind) {
    case 'duration':
      return formatDuration(value as number);
    case 'bytes':
      return formatBytes(value as number);
    case 'list':
      return (value as readonly string[]).join(',');
    case 'rules':
      return JSON.stringify(value);
    case 'sync':
      return typeof value === 'string'
        ? value
        : formatDuration((value as { intervalMs: number }).intervalMs);
    default:
      return String(value);
  }
}
