/**
 * @file Logarithm and power to base two as Go computes them, which V8 does not to the last bit.
 *
 * Follows Go 1.26, `math/log10.go` (`log2`) and `math/exp.go` (`exp2`, `expmulti`), which in turn
 * are FreeBSD's `e_exp.c`.
 */
import { scaleByPower } from './exponential-bounds.js';

const ln2High = 0.6931471803691238;
const ln2Low = 1.9082149292705877e-10;
/** Coefficients of the Remez polynomial for `r * (exp(r) + 1) / (exp(r) - 1)`. */
const p1 = 0.16666666666666666;
const p2 = -0.0027777777777015593;
const p3 = 6.613756321437934e-5;
const p4 = -1.6533902205465252e-6;
const p5 = 4.1381367970572385e-8;

const bits = new DataView(new ArrayBuffer(8));

/** The base-two logarithm; exact for powers of two. */
export function goLog2(value: number): number {
  if (!(value > 0) || value === Infinity) {
    return Math.log2(value);
  }
  // A subnormal number has no exponent of its own.
  const shift = value < 2 ** -1022 ? 52 : 0;
  bits.setFloat64(0, value * 2 ** shift);
  const high = bits.getUint32(0);
  const exponent = ((high >>> 20) & 0x7ff) - 1022;
  bits.setUint32(0, (high & 0x800fffff) | (1022 << 20));
  const fraction = bits.getFloat64(0);
  const power = exponent - shift;
  return fraction === 0.5 ? power - 1 : Math.log(fraction) * (1 / Math.LN2) + power;
}

/** Two to the power of `value`. */
export function goExp2(value: number): number {
  if (Number.isNaN(value) || value === Infinity) {
    return value;
  }
  if (value > 1023.9999999999999) {
    return Infinity;
  }
  if (value < -1074) {
    return 0;
  }
  const whole = value > 0 ? Math.trunc(value + 0.5) : Math.trunc(value - 0.5);
  const rest = value - whole;
  const high = rest * ln2High;
  const low = -rest * ln2Low;
  const r = high - low;
  const t = r * r;
  const c = r - t * (p1 + t * (p2 + t * (p3 + t * (p4 + t * p5))));
  const y = 1 - (low - (r * c) / (2 - c) - high);
  return scaleByPower(y, whole);
}
