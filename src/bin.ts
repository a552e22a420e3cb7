#!/usr/bin/env node
/**
 * @file The command: `main.ts`, with a thread pool of the right size around it.
 */
import { availableParallelism } from 'node:os';
import { launchAgain, missingPoolSize } from './cli/launch.js';

const threads = missingPoolSize(process.env, availableParallelism());
if (threads === undefined) {
  const { main } = await import('./main.js');
  process.exitCode = await main(process.argv.slice(2), process.env);
} else {
  process.exitCode = await launchAgain(threads);
}
