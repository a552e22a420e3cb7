/**
 * @file Verbs over directories that no engine of this process has open, each on a thread of the
 * add-on. Reports and their fields are described in `native/engine/src/{inspect,backup}.rs`.
 */
import { type TextAnswer, textOf } from './answers.js';
import { loadAddon } from './load.js';

export interface BlockInfo {
  readonly ulid: string;
  readonly start: number;
  readonly end: number;
  readonly mint: number;
  readonly maxt: number;
  readonly level: number;
  readonly series: number;
  readonly samples: number;
  readonly chunks: number;
  readonly bytes: number;
  readonly files: readonly { readonly name: string; readonly bytes: number }[];
}

export interface Finding {
  readonly code: string;
  readonly message: string;
}

export interface Listing {
  readonly blocks: readonly BlockInfo[];
  /** Blocks that cannot be described. */
  readonly findings: readonly Finding[];
}

export interface Verified {
  readonly blocks: number;
  readonly samples: number;
  readonly bytes: number;
  readonly log: 'read' | 'damaged' | 'absent' | 'in-use' | 'not-permitted';
  readonly logFrames: number;
  readonly tornBytes: number;
  readonly findings: readonly Finding[];
}

export interface SeriesCount {
  readonly name: string;
  readonly series: number;
}

export interface Analysis {
  readonly blocks: readonly BlockInfo[];
  readonly bytes: number;
  readonly samples: number;
  readonly series: number;
  readonly bytesPerSample: number;
  readonly metrics: readonly SeriesCount[];
  readonly labels: readonly (SeriesCount & { readonly values: number })[];
  readonly pairs: readonly SeriesCount[];
  readonly churn: readonly {
    readonly start: number;
    readonly end: number;
    readonly series: number;
    readonly newSeries: number;
  }[];
  /** Deletes that blocks are read with. */
  readonly tombstones: number;
  /** What they take in each block; it is counted elsewhere, too, for as long as it is there. */
  readonly deleted: readonly {
    readonly ulid: string;
    readonly series: number;
    readonly samples: number;
  }[];
  /** Damage; a block that has some is left out. */
  readonly findings: readonly Finding[];
}

export interface CopyReport {
  readonly blocks: number;
  readonly bytes: number;
  readonly copiedBlocks: number;
  readonly copiedBytes: number;
  readonly removedBlocks: number;
  /** Bytes of exemplars and metadata. */
  readonly besideBytes: number;
}

interface Addon {
  listBlocks(dir: string): Promise<TextAnswer>;
  verifyDirectory(dir: string): Promise<TextAnswer>;
  analyzeDirectory(dir: string, top: number): Promise<TextAnswer>;
  backupDirectory(dir: string, target: string, replace: boolean): Promise<TextAnswer>;
  restoreDirectory(target: string, dir: string): Promise<TextAnswer>;
}

const addon = loadAddon() as Addon;

/** The blocks of a data directory, by time. */
export async function listBlocks(dir: string): Promise<Listing> {
  return JSON.parse(await textOf(addon.listBlocks(dir)));
}

/** Compares everything in a data directory with its checksums. Damage is in the result. */
export async function verifyDirectory(dir: string): Promise<Verified> {
  return JSON.parse(await textOf(addon.verifyDirectory(dir)));
}

/** Counts what the blocks of a data directory hold; lists have `top` entries at most. */
export async function analyzeDirectory(dir: string, top: number): Promise<Analysis> {
  return JSON.parse(await textOf(addon.analyzeDirectory(dir, top)));
}

/**
 * Brings a backup up to the blocks of a data directory, of which everything is in blocks. Rejects
 * with `bad_data` where the backup is of another store, unless that may be replaced.
 */
export async function backupDirectory(
  dir: string,
  target: string,
  { replace }: { readonly replace: boolean },
): Promise<CopyReport> {
  return JSON.parse(await textOf(addon.backupDirectory(dir, target, replace)));
}

/** Makes a data directory of a backup. */
export async function restoreDirectory(target: string, dir: string): Promise<CopyReport> {
  return JSON.parse(await textOf(addon.restoreDirectory(target, dir)));
}
