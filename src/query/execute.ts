/**
 * @file Answers one job on the thread it is called on: a session, the PromQL engine or a look-up,
 * and the result as JSON or as columns.
 */
import { MetricstorError } from '../errors.js';
import { packCells } from '../model/histogram.js';
import type { LabelTable } from '../model/labels.js';
import type { QueryResult } from '../model/result.js';
import type { PromqlEngine, QueryOutcome } from '../promql/engine.js';
import { parseQuery, parseSelector } from '../promql/parse.js';
import { pretty } from '../promql/pretty.js';
import { checkAllRegexes, checkRegexes } from '../promql/regexes.js';
import { treeJson } from '../promql/tree-json.js';
import type {
  LabelMatcher,
  LabelRequest,
  Querier,
  QuerySession,
  Scope,
  SessionLimits,
} from '../storage/querier.js';
import { evaluateRange, type ReusedOutcome } from './reuse.js';
import {
  type ExemplarsJob,
  type ExplainJob,
  type ExpressionJob,
  type FormatJob,
  isHeavy,
  type ParseJob,
  type QueryAnswer,
  type QueryJob,
  type ResultColumns,
} from './service.js';

const truncatedWarning = 'results truncated due to limit';

export interface Executor {
  readonly querier: Querier;
  readonly engine: PromqlEngine;
}

/** A job, for whom, and until when. */
export interface Work extends SessionLimits {
  readonly job: QueryJob;
  readonly scope: Scope;
  /** Epoch milliseconds. */
  readonly deadlineMs: number;
}

type LookUpJob = Extract<QueryJob, { kind: 'series' | 'labelNames' | 'labelValues' }>;

/** Answers a job. Throws {@link MetricstorError}. */
export function execute(executor: Executor, work: Work): QueryAnswer {
  // Look-ups answer with names alone: only what is evaluated has a bound on its series.
  const maxSeries = isHeavy(work.job) ? executor.engine.maxSeries : 0;
  const session = executor.querier.openSession(work.scope, { ...work, maxSeries });
  try {
    const { job } = work;
    switch (job.kind) {
      case 'instant':
      case 'range':
        return evaluate(executor.engine, session, job, work.deadlineMs);
      case 'exemplars':
        return exemplars(executor.engine, session, job);
      case 'metadata':
        return plain(session.encodeMetadata(job));
      case 'cardinality':
        return plain(session.encodeCardinality(job.limit));
      case 'format':
      case 'parse':
        return understand(session, job);
      case 'explain':
        return explain(executor.engine, session, job, work.deadlineMs);
      default:
        return lookUp(session, job);
    }
  } finally {
    session.close();
  }
}

function understand(session: QuerySession, { kind, query }: FormatJob | ParseJob): QueryAnswer {
  const expr = parseQuery(query);
  checkAllRegexes(expr, query, session);
  const value = kind === 'format' ? pretty(expr) : treeJson(expr);
  return { json: encoder.encode(JSON.stringify(value)), warnings: [], infos: [] };
}

function explain(
  engine: PromqlEngine,
  session: QuerySession,
  { query, lookbackMs, at, analyze }: ExplainJob,
  deadlineMs: number,
): QueryAnswer {
  const lookback = lookbackMs === undefined ? {} : { lookbackMs };
  const asked = { query, ...at, ...lookback, deadlineMs };
  const { plan, outcome } = engine.explain(session, asked, { analyze });
  if (outcome === undefined) {
    return plain(encoder.encode(JSON.stringify({ query, plan })));
  }
  const { samples, series, peakBytes, peakPoints } = outcome.stats;
  const used = { samples, selectedSeries: series, peakBytes, peakSamples: peakPoints };
  return {
    json: encoder.encode(JSON.stringify({ query, plan, analyze: used })),
    ...outcome.annotations,
  };
}

function evaluate(
  engine: PromqlEngine,
  session: QuerySession,
  job: ExpressionJob,
  deadlineMs: number,
): QueryAnswer {
  const { outcome, ...cached }: Partial<ReusedOutcome> & { outcome: QueryOutcome } =
    job.kind === 'instant'
      ? { outcome: engine.instant(session, { ...job, deadlineMs }) }
      : evaluateRange({ engine, session, job, deadlineMs });
  const { stats, statistics, annotations } = outcome;
  const [result, truncated] = truncate(outcome.result, job.limit);
  const warnings = truncated ? [...annotations.warnings, truncatedWarning] : annotations.warnings;
  const { infos } = annotations;
  const said = { warnings, infos, stats, ...(statistics && { statistics }), ...cached };
  if (job.format === 'json') {
    return { json: session.encodeResult(result), ...said };
  }
  return { json: new Uint8Array(0), columns: toColumns(session, result), ...said };
}

function truncate(result: QueryResult, limit: number): readonly [QueryResult, boolean] {
  if (limit === 0 || result.type === 'scalar' || result.type === 'string') {
    return [result, false];
  }
  if (result.labels.count <= limit) {
    return [result, false];
  }
  const labels = firstSeries(result.labels, limit);
  if (result.type === 'vector') {
    const timestamps = result.timestamps.slice(0, limit);
    return [{ ...result, labels, timestamps, values: result.values.slice(0, limit) }, true];
  }
  const offsets = result.offsets.slice(0, limit + 1);
  const end = offsets[limit];
  const timestamps = result.timestamps.slice(0, end);
  const values = result.values.slice(0, end);
  return [{ ...result, labels, offsets, timestamps, values }, true];
}

function firstSeries(labels: LabelTable, count: number): LabelTable {
  const offsets = labels.offsets.slice(0, count + 1);
  return { count, offsets, ids: labels.ids.slice(0, offsets[count]) };
}

/** Copies: the arrays change threads, and the evaluator may reuse its own. */
function toColumns(session: QuerySession, result: QueryResult): ResultColumns {
  if (result.type === 'string') {
    return result;
  }
  if (result.type === 'scalar') {
    const { timestampMs, values } = result;
    return { type: 'scalar', timestampMs, values: values.slice() };
  }
  const { labels } = result;
  const texts: string[] = [];
  const indexes = new Map<number, number>();
  const labelIds = labels.ids.map((id) => {
    let index = indexes.get(id);
    if (index === undefined) {
      index = texts.push(session.text(id)) - 1;
      indexes.set(id, index);
    }
    return index;
  });
  const offsets =
    result.type === 'matrix'
      ? result.offsets.slice()
      : Uint32Array.from({ length: labels.count + 1 }, (_, index) => index);
  const points = offsets[labels.count];
  const histograms = packCells(result.histograms, points);
  return {
    ...(histograms === undefined ? {} : { histograms }),
    type: result.type,
    texts,
    labelIds,
    labelOffsets: labels.offsets.slice(),
    offsets,
    timestamps: result.timestamps.slice(0, points),
    values: result.values.slice(0, points),
  };
}

const plain = (json: Uint8Array): QueryAnswer => ({ json, warnings: [], infos: [] });

function exemplars(engine: PromqlEngine, session: QuerySession, job: ExemplarsJob): QueryAnswer {
  const selectors = engine.selectors(job.query, session);
  return plain(
    selectors.length === 0
      ? new Uint8Array(0)
      : session.encodeExemplars({ selectors, mint: job.mint, maxt: job.maxt }),
  );
}

const encoder = new TextEncoder();

function lookUp(session: QuerySession, job: LookUpJob): QueryAnswer {
  const { mint, maxt, limit } = job;
  const selectors = readSelectors(session, job.selectors);
  const request: LabelRequest = { selectors, mint, maxt, limit };
  const answer = (json: Uint8Array, truncated: boolean): QueryAnswer => ({
    json,
    warnings: truncated ? [truncatedWarning] : [],
    infos: [],
  });
  if (maxt < mint) {
    return answer(encoder.encode('[]'), false);
  }
  if (job.kind === 'series') {
    const { labels, truncated } = session.series(request);
    return answer(session.encodeLabels(labels), truncated);
  }
  const { values, truncated } =
    job.kind === 'labelNames'
      ? session.labelNames(request)
      : session.labelValues(job.name, request);
  return answer(encoder.encode(JSON.stringify(values)), truncated);
}

/** What selects everything is refused after what does not parse, in other words than in a query. */
function readSelectors(
  session: QuerySession,
  texts: readonly string[],
): readonly (readonly LabelMatcher[])[] {
  const emptyMatchers = 'must contain at least one non-empty matcher';
  let selectsAll: MetricstorError | undefined;
  const selectors = texts.map((text) => {
    try {
      const matchers = parseSelector(text);
      checkRegexes(matchers, text, session);
      return matchers;
    } catch (error) {
      if (error instanceof MetricstorError && error.message.endsWith(emptyMatchers)) {
        selectsAll ??= error;
        return [];
      }
      throw error;
    }
  });
  if (selectsAll !== undefined) {
    throw new MetricstorError('bad_data', `match[] ${emptyMatchers}`, { cause: selectsAll });
  }
  return selectors;
}
