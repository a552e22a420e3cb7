/** @file Runs a script against something that takes samples and answers queries. */
import type { PromqlFeature } from '../../../src/model/promql-features.js';
import type { ApiEnvelope } from '../../support/compare-results.js';
import { compareWithScript } from './compare.js';
import type { Evaluation, Load, Script } from './parse.js';

/** What a script is run against: an evaluator in memory, a server, a Prometheus. */
export interface ScriptTarget {
  load(load: Load): Promise<void>;
  ask(evaluation: Evaluation): Promise<ApiEnvelope>;
  stop(): Promise<void>;
}

/** Starts a target without data. */
export type StartTarget = (features: readonly PromqlFeature[]) => Promise<ScriptTarget>;

/** One `eval` of a script that did not give what it should. */
export interface ScriptFailure {
  readonly line: number;
  readonly query: string;
  readonly problems: readonly string[];
}

/** Hands every `eval` with its answer to `see`; a `clear` is a target of its own. */
export async function askScript(
  { features, commands }: Script,
  start: StartTarget,
  see: (evaluation: Evaluation, answer: ApiEnvelope) => void,
): Promise<void> {
  let target: ScriptTarget | undefined;
  try {
    for (const command of commands) {
      if (command.kind === 'clear') {
        await target?.stop();
        target = undefined;
        continue;
      }
      target ??= await start(features);
      if (command.kind === 'load') {
        await target.load(command);
      } else {
        see(command, await target.ask(command));
      }
    }
  } finally {
    await target?.stop();
  }
}

/** Runs a script and returns the evaluations that failed. */
export async function runScript(script: Script, start: StartTarget): Promise<ScriptFailure[]> {
  const failures: ScriptFailure[] = [];
  await askScript(script, start, (evaluation, answer) => {
    const problems = compareWithScript(evaluation, answer);
    if (problems.length > 0) {
      failures.push({ line: evaluation.line, query: evaluation.query, problems });
    }
  });
  return failures;
}
