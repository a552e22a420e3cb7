/** @file Values of samples as the HTTP API prints them, but for the form of exponents. */

export function valueText(value: number): string {
  if (Number.isNaN(value)) {
    return 'NaN';
  }
  if (!Number.isFinite(value)) {
    return value > 0 ? '+Inf' : '-Inf';
  }
  return Object.is(value, -0) ? '-0' : String(value);
}
