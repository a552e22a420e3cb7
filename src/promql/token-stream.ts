/**
 * @file The tokens of a query with a position, and the parser's error texts.
 */
import { lex } from './lex.js';
import { parseError } from './position.js';
import { describeToken, type Token } from './tokens.js';

export class TokenStream {
  private readonly tokens: readonly Token[];
  private at = 0;

  constructor(private readonly query: string) {
    this.tokens = lex(query);
  }

  /** The next token, which stays. Throws when it could not be read. */
  peek(): Token {
    // The list ends with `end` or `error`, neither of which is passed.
    const token = this.tokens[this.at] as Token;
    if (token.type === 'error') {
      throw parseError(this.query, token.start, token.word);
    }
    return token;
  }

  next(): Token {
    const token = this.peek();
    if (token.type !== 'end') {
      this.at++;
    }
    return token;
  }

  /** Passes a keyword if it is next. */
  takeWord(word: string): boolean {
    const token = this.peek();
    const found = token.type === 'keyword' && token.word === word;
    if (found) {
      this.at++;
    }
    return found;
  }

  takePunctuation(text: string): boolean {
    const token = this.peek();
    const found = token.type === 'punctuation' && token.text === text;
    if (found) {
      this.at++;
    }
    return found;
  }

  expectPunctuation(text: string): Token {
    const token = this.peek();
    if (!this.takePunctuation(text)) {
      this.unexpected('', '');
    }
    return token;
  }

  /** Where the last passed token ends. */
  previousEnd(): number {
    return this.tokens[this.at - 1]?.end ?? 0;
  }

  /** Complains about the next token. */
  unexpected(context: string, expected: string): never {
    const token = this.peek();
    const where = context === '' ? '' : ` in ${context}`;
    const instead = expected === '' ? '' : `, expected ${expected}`;
    return this.fail(token.start, `unexpected ${describeToken(token)}${where}${instead}`);
  }

  fail(offset: number, message: string): never {
    throw parseError(this.query, offset, message);
  }
}
