/**
 * @file Fields of query strings and of forms in bodies.
 *
 * Reads query strings as Go's `net/url` does (`ParseQuery`), because clients were written against
 * it: a field with a broken escape or a semicolon is left out, and the others count. Whoever cannot
 * do without a field asks for `problem`. Bytes that are not UTF-8 become U+FFFD.
 */
import { goQuote } from '../promql/position.js';

export interface Form {
  /** Name and value, in the order in which they stand. */
  readonly fields: readonly (readonly [string, string])[];
  /** What is wrong with the first field that was left out, in Go's words. */
  readonly problem: string | undefined;
  /** How it was sent: the fields of a multipart form count after those of the URL. */
  readonly kind: 'urlencoded' | 'multipart';
}

/** Reads `a=1&b=2`. */
export function parseForm(text: string): Form {
  const fields: [string, string][] = [];
  let problem: string | undefined;
  for (const field of text.split('&')) {
    const wrong = problemOf(field);
    if (wrong !== undefined) {
      problem ??= wrong;
    } else if (field !== '') {
      const mark = field.indexOf('=');
      const [name, value] = mark < 0 ? [field, ''] : [field.slice(0, mark), field.slice(mark + 1)];
      fields.push([unescapeText(name), unescapeText(value)]);
    }
  }
  return { fields, problem, kind: 'urlencoded' };
}

function problemOf(field: string): string | undefined {
  if (field.includes(';')) {
    return 'invalid semicolon separator in query';
  }
  const broken = /%(?![0-9A-Fa-f]{2}).{0,2}/s.exec(field);
  return broken === null ? undefined : `invalid URL escape ${goQuote(broken[0])}`;
}

/** Text whose escapes are all well-formed. */
function unescapeText(text: string): string {
  return text
    .replaceAll('+', ' ')
    .replace(/(?:%[0-9A-Fa-f]{2})+/g, (run) =>
      Buffer.from(run.replaceAll('%', ''), 'hex').toString('utf8'),
    );
}

/** Reads a body of type `multipart/form-data`: files are no fields, a malformed body has none. */
export async function parseMultipart(contentType: string, body: Uint8Array): Promise<Form> {
  const fields: [string, string][] = [];
  try {
    const parts = await new Response(body, { headers: { 'content-type': contentType } }).formData();
    for (const [name, value] of parts) {
      if (typeof value === 'string') {
        fields.push([name, value]);
      }
    }
  } catch {
    return { fields: [], problem: 'malformed multipart form', kind: 'multipart' };
  }
  return { fields, problem: undefined, kind: 'multipart' };
}
