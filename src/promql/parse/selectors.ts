/**
 * @file Selectors and lists of labels: what stands in braces, and behind `by`, `on` and their kin.
 */
import type { SyntaxNode } from '@lezer/common';
import type { MatchOp } from '../../storage/querier.js';
import type { PlacedMatcher, Shift, VectorSelector } from '../ast.js';
import { goQuote } from '../position.js';
import type { Source } from './source.js';
import { unquote } from './strings.js';
import { childrenOf } from './tree.js';

export const noShift: Shift = { offset: undefined, at: undefined };

/** Words that lezer takes for a metric name, and Prometheus does not. */
const notAMetricName: ReadonlySet<string> = new Set(['atan2']);

/** Words and numbers that lezer takes for a label of a grouping, and Prometheus does not. */
const notAGroupingLabel: ReadonlySet<string> = new Set(['inf', 'nan', 'without']);

export function buildSelector(source: Source, node: SyntaxNode): VectorSelector {
  let name = '';
  const named: PlacedMatcher[] = [];
  const matchers: PlacedMatcher[] = [];
  for (const part of childrenOf(node)) {
    if (part.name === 'Identifier') {
      name = source.text(part);
      if (notAMetricName.has(name.toLowerCase())) {
        source.unexpected(part.from);
      }
      named.push({ name: '__name__', op: '=', value: name, span: spanOf(part) });
    } else {
      for (const matcher of childrenOf(part)) {
        matchers.push(buildMatcher(source, matcher));
      }
    }
  }
  const span = spanOf(node);
  return { kind: 'selector', name, matchers: [...matchers, ...named], shift: noShift, span };
}

/** `label op "value"`; a lone string is the metric name. */
function buildMatcher(source: Source, node: SyntaxNode): PlacedMatcher {
  const [label = '', op, value = ''] = childrenOf(node).map((part) => source.text(part));
  const name = node.name === 'UnquotedLabelMatcher' ? label : unquote(label);
  return op === undefined
    ? { name: '__name__', op: '=', value: name, span: spanOf(node) }
    : { name, op: op as MatchOp, value: unquote(value), span: spanOf(node) };
}

/** The labels in the parentheses of a grouping. */
export function buildLabels(source: Source, node: SyntaxNode): readonly string[] {
  const labels: string[] = [];
  for (const part of childrenOf(node)) {
    const text = source.text(part);
    const quoted = part.name === 'QuotedLabelName';
    if (!quoted && notAGroupingLabel.has(text.toLowerCase())) {
      source.unexpected(part.from);
    }
    const label = quoted ? unquote(text) : text;
    if (label === '') {
      source.fail(spanOf(part), `invalid label name for grouping: ${goQuote(label)}`);
    }
    labels.push(label);
  }
  return labels;
}

function spanOf(node: SyntaxNode): { readonly start: number; readonly end: number } {
  return { start: node.from, end: node.to };
}
