/**
 * @file A query while its tree is built: its text, its tokens, and how to complain about it.
 *
 * Where lezer could not go on, it makes up what is missing, which means nothing. Prometheus' parser
 * reports that place too, unless something that was complete before it makes no sense. So a
 * complaint about a part only counts if the part was complete.
 */
import type { SyntaxNode } from '@lezer/common';
import type { Span } from '../ast.js';
import { parseError } from '../position.js';
import { diagnose } from './diagnose.js';
import type { Token } from './tokens.js';
import { holdsError } from './tree.js';

export class Source {
  /** Index of the token where lezer could not go on, or behind the last. */
  private readonly broken: number;

  constructor(
    readonly query: string,
    readonly tokens: readonly Token[],
    broken?: number,
  ) {
    this.broken = broken ?? tokens.length;
  }

  /** The text of a part of the tree. */
  text(part: { readonly from: number; readonly to: number }): string {
    return this.query.slice(part.from, part.to);
  }

  /** The word or name at an offset; lezer may have read another (`spelling.ts`). */
  word(offset: number): string {
    const pattern = /[A-Za-z0-9_:]*/y;
    pattern.lastIndex = offset;
    return pattern.exec(this.query)?.[0] ?? '';
  }

  /**
   * Complains, at its start, about a part that lezer accepts and Prometheus does not; `node` is
   * what it ends with.
   */
  fail(part: Span, message: string, node?: SyntaxNode): never {
    const broken = this.tokens[this.broken];
    const hollow = node !== undefined && holdsError(node);
    if (broken !== undefined && (part.end > broken.start || hollow)) {
      return this.unexpectedAt(this.broken);
    }
    throw parseError(this.query, part.start, message);
  }

  /** The same about a part after which Prometheus reads one token more. */
  failBehind(part: Span, message: string, node?: SyntaxNode): never {
    const next = this.indexBehind(part.end);
    return this.tokens[next]?.type === 'error'
      ? this.unexpectedAt(next)
      : this.fail(part, message, node);
  }

  /** The token behind an offset. */
  tokenBehind(offset: number): Token | undefined {
    return this.tokens[this.indexBehind(offset)];
  }

  /** Complains about the first token that ends behind `offset`, or one before it. */
  unexpected(offset: number): never {
    return this.unexpectedAt(this.indexBehind(offset));
  }

  /** Complains about a node that lacks what only an error can have left out. */
  incomplete(node: SyntaxNode): never {
    return this.unexpected(node.to);
  }

  /** Complains if lezer did, or if the tokens end in something that is none. */
  finish(): void {
    if (this.broken < this.tokens.length) {
      this.unexpectedAt(this.broken);
    }
    const last = this.tokens.length - 1;
    if (this.tokens[last]?.type === 'error') {
      this.unexpectedAt(last);
    }
  }

  private unexpectedAt(index: number): never {
    const { start, message } = diagnose(this.tokens, Math.min(index, this.broken));
    throw parseError(this.query, start, message);
  }

  private indexBehind(offset: number): number {
    const index = this.tokens.findIndex(({ end }) => end > offset);
    return index < 0 ? this.tokens.length - 1 : index;
  }
}
