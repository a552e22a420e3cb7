/**
 * @file Writes what Prometheus answers below every `eval` of the scripts in
 * `test/conformance/scripts`, or says where the scripts differ from it.
 *
 *     PROMETHEUS_BIN=… node dist-bench/test/differential/record-scripts.js write [file …]
 *     PROMETHEUS_BIN=… node dist-bench/test/differential/record-scripts.js check [file …]
 *
 * A script to be answered needs its `load` and `eval` lines only; `expect ordered` is kept.
 */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { PromqlFeature } from '../../src/model/promql-features.js';
import { compareWithScript } from '../conformance/script/compare.js';
import { httpTarget } from '../conformance/script/http-target.js';
import { type Evaluation, parseScript } from '../conformance/script/parse.js';
import { withAnswers } from '../conformance/script/print.js';
import { askScript, type ScriptTarget } from '../conformance/script/run.js';
import type { ApiEnvelope } from '../support/compare-results.js';
import { writeOtlp } from './otlp.js';
import { scriptSetup, startPrometheus } from './prometheus.js';

const folder = join('test', 'conformance', 'scripts');
const binary = process.env.PROMETHEUS_BIN ?? 'prometheus';

async function startTarget(features: readonly PromqlFeature[]): Promise<ScriptTarget> {
  const prometheus = await startPrometheus(binary, scriptSetup(features));
  return httpTarget(prometheus.url, prometheus.stop, writeOtlp);
}

const [mode, ...named] = process.argv.slice(2);
if (mode !== 'write' && mode !== 'check') {
  throw new Error('usage: record-scripts.js write|check [file …]');
}
const files = named.length > 0 ? named : (await readdir(folder)).sort();
for (const file of files) {
  const path = join(folder, file);
  const text = await readFile(path, 'utf8');
  const answers: [Evaluation, ApiEnvelope][] = [];
  await askScript(parseScript(text), startTarget, (...pair) => answers.push(pair));
  if (mode === 'write') {
    await writeFile(path, withAnswers(text, answers));
  } else {
    for (const [evaluation, answer] of answers) {
      for (const problem of compareWithScript(evaluation, answer)) {
        console.log(`${file}:${evaluation.line} ${evaluation.query}\n  ${problem}`);
        process.exitCode = 1;
      }
    }
  }
  console.log(`${file}: ${answers.length} answers`);
}
