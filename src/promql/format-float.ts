/**
 * @file Floats as text in the two forms of Go that PromQL shows: `'f'` and `%g`.
 */

/** Shortest digits without an exponent, as Go's `FormatFloat(v, 'f', -1, 64)`. */
export function formatFloat(value: number): string {
  const special = formatSpecial(value);
  if (special !== undefined) {
    return special;
  }
  const text = String(value);
  const parts = /^(-?)(\d+)(?:\.(\d+))?e([+-]\d+)$/.exec(text);
  if (parts === null) {
    return Object.is(value, -0) ? '-0' : text;
  }
  const [, sign = '', whole = '', fraction = '', exponentText = '0'] = parts;
  const digits = whole + fraction;
  const point = whole.length + Number(exponentText);
  if (point <= 0) {
    return `${sign}0.${'0'.repeat(-point)}${digits}`;
  }
  return `${sign}${digits.padEnd(point, '0')}`;
}

/** Shortest digits, with an exponent below 1e-4 and from 1e6 on, as Go's `%g`. */
export function formatShortest(value: number): string {
  const special = formatSpecial(value);
  if (special !== undefined) {
    return special;
  }
  if (Object.is(value, -0)) {
    return '-0';
  }
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e6)) {
    return goExponent(value.toExponential());
  }
  return formatFloat(value);
}

/** Two significant digits, as Go's `%.2g`. */
export function formatTwoDigits(value: number): string {
  const special = formatSpecial(value);
  if (special !== undefined) {
    return special;
  }
  const exponential = value.toExponential(1);
  const exponent = Number(exponential.slice(exponential.indexOf('e') + 1));
  if (value !== 0 && (exponent < -4 || exponent >= 2)) {
    return goExponent(exponential.replace('.0e', 'e'));
  }
  return String(Number(value.toPrecision(2)));
}

function formatSpecial(value: number): string | undefined {
  if (Number.isNaN(value)) {
    return 'NaN';
  }
  if (Number.isFinite(value)) {
    return undefined;
  }
  return value > 0 ? '+Inf' : '-Inf';
}

/** Go writes at least two digits of exponent. */
function goExponent(text: string): string {
  return text.replace(/e([+-])(\d)$/, 'e$10$2');
}
