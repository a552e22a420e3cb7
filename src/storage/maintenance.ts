/**
 * @file What an operator may have a store do, and what it tells about trouble.
 */
export interface Maintenance {
  /**
   * Makes blocks of what is in memory; settles when they are published. Rejects with `disk_full`,
   * `closed`, `io`; what failed is tried again without being asked.
   */
  flush(): Promise<void>;
  /**
   * Merges all blocks that may be merged, at full speed; settles when nothing is left to merge.
   * Rejects as `flush` does, and with `corruption` when a block was found damaged and set aside:
   * the others are merged then.
   */
  compact(): Promise<void>;
  /** The last failure of background work, or what was found damaged at the start. */
  lastFailure(): string | undefined;
  /**
   * A sentence for each block that was found damaged and set aside since the last call, and before
   * the first one: where it is now, what is missing, and why. Each is given once.
   */
  newlyQuarantined(): readonly string[];
  /** A sentence about what the start cut off the end of the log, if it did. */
  tornEnd(): string | undefined;
}
