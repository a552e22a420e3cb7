/**
 * @file Which series are info series, and which of their labels `info` adds.
 *
 * Follows `effectiveInfoNameMatchers` and `fetchInfoSeries` in Prometheus' `promql/info.go` (3.14).
 */
import type { LabelTable } from '../../model/labels.js';
import type { LabelMatcher } from '../../storage/querier.js';
import type { PlacedMatcher } from '../ast.js';
import type { EvalContext } from '../exec/context.js';
import { labelValue } from '../exec/label-sets.js';
import { matchesEmpty } from '../nullable.js';
import { checkRegexes } from '../regexes.js';

/** What the second argument says of labels other than the name. */
export interface DataMatchers {
  /** Ids of the labels to add; none means all. */
  readonly labels: ReadonlySet<number>;
  /** Whether a series without any info series has all that is asked for. */
  readonly allMatchEmpty: boolean;
}

export interface InfoMatchers {
  readonly data: DataMatchers;
  /** Whether a series is an info series itself, which stays as it is. */
  isInfo(labels: LabelTable, series: number): boolean;
  /** Selects the info series of a vector; undefined when it can have none. */
  select(base: LabelTable): readonly PlacedMatcher[] | undefined;
}

/** A matcher that stands nowhere in the text. */
function made(name: string, op: LabelMatcher['op'], value: string): PlacedMatcher {
  return { name, op, value, span: { start: 0, end: 0 } };
}

/** `target_info`, unless the argument says otherwise; whatever ends so where it only excludes. */
function nameMatchers(given: readonly PlacedMatcher[]): readonly PlacedMatcher[] {
  if (given.some(({ op }) => op === '=' || op === '=~')) {
    return given;
  }
  return given.length > 0
    ? [made('__name__', '=~', '.+_info'), ...given]
    : [made('__name__', '=', 'target_info')];
}

/** Takes the matchers of the second argument, none where it is left out. */
export function infoMatchers(ctx: EvalContext, matchers: readonly PlacedMatcher[]): InfoMatchers {
  checkRegexes(matchers, ctx.query, ctx.session);
  const names = nameMatchers(matchers.filter(({ name }) => name === '__name__'));
  const data = matchers.filter(({ name }) => name !== '__name__');
  const isInfo = (labels: LabelTable, series: number): boolean => {
    const name = ctx.session.text(labelValue(labels, series, ctx.nameLabel));
    return names.every((matcher) => matches(ctx, matcher, name));
  };
  return {
    data: {
      labels: new Set(data.map(({ name }) => ctx.session.intern(name))),
      allMatchEmpty: data.every(matchesEmpty),
    },
    isInfo,
    select: (base) => {
      const identifying = ['instance', 'job'].flatMap((name) => {
        const values = valuesOf(ctx, base, name, isInfo);
        return values.length === 0 ? [] : [made(name, '=~', values.map(quoted).join('|'))];
      });
      return identifying.length === 0 ? undefined : [...identifying, ...data, ...names];
    },
  };
}

function matches(ctx: EvalContext, { op, value }: LabelMatcher, text: string): boolean {
  switch (op) {
    case '=':
      return text === value;
    case '!=':
      return text !== value;
    case '=~':
      return ctx.session.regex(value).replace(text, '') !== undefined;
    case '!~':
      return ctx.session.regex(value).replace(text, '') === undefined;
  }
}

/** The values that a label has among series that are no info series. */
function valuesOf(
  ctx: EvalContext,
  base: LabelTable,
  name: string,
  isInfo: (labels: LabelTable, series: number) => boolean,
): string[] {
  const label = ctx.session.intern(name);
  const values = new Set<number>();
  for (let i = 0; i < base.count; i++) {
    const value = labelValue(base, i, label);
    if (value !== 0 && !isInfo(base, i)) {
      values.add(value);
    }
  }
  return [...values].map((value) => ctx.session.text(value));
}

/** A regular expression of one text. */
function quoted(text: string): string {
  return text.replaceAll(/[\\.+*?()|[\]{}^$]/g, '\\$&');
}
