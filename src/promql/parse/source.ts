/**
 * @file A query while it is parsed: its text, its tokens, and how to complain about it.
 */
import { parseError } from '../position.js';
import { diagnose } from './diagnose.js';
import type { Token } from './tokens.js';

export class Source {
  constructor(
    readonly query: string,
    readonly tokens: readonly Token[],
  ) {}

  /** The text of a part of the tree. */
  text(part: { readonly from: number; readonly to: number }): string {
    return this.query.slice(part.from, part.to);
  }

  fail(offset: number, message: string): never {
    throw parseError(this.query, offset, message);
  }

  /** Says what is wrong with the first token that ends behind `offset`. */
  unexpected(offset: number): never {
    const index = this.tokens.findIndex(({ end }) => end > offset);
    const { start, message } = diagnose(this.tokens, index < 0 ? this.tokens.length - 1 : index);
    return this.fail(start, message);
  }

  /** Complains if lezer found an error here. */
  sound(part: { readonly type: { readonly isError: boolean }; readonly from: number }): void {
    if (part.type.isError) {
      this.unexpected(part.from);
    }
  }
}
