/**
 * @file Calendar dates of any whole second that an int64 holds, far outside what `Date` can do.
 *
 * Days to dates: the algorithm `civil_from_days` of Howard Hinnant, "chrono-Compatible Low-Level
 * Date Algorithms".
 */

/** A date and time in UTC, proleptic Gregorian. Months and days count from 1, Sunday is 0. */
export interface CivilTime {
  readonly year: number;
  readonly month: number;
  readonly day: number;
  readonly weekday: number;
  readonly yearDay: number;
  readonly hour: number;
  readonly minute: number;
}

const daySeconds = 86400n;
/**
 * A float that fits no int64, NaN included, becomes -2^63 in Go on x86-64; that lies before the
 * first day of Go's calendar, whose unsigned count of seconds wraps around.
 */
const outOfRange = 1n << 63n;

function floorDiv(value: bigint, by: bigint): bigint {
  const quotient = value / by;
  return value % by < 0n ? quotient - 1n : quotient;
}

function toInt64(seconds: number): bigint {
  return Math.abs(seconds) < 2 ** 63 ? BigInt(Math.trunc(seconds)) : outOfRange;
}

export function isLeapYear(year: number): boolean {
  return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
}

/** Days before the month in a year that is not a leap year. */
const daysBefore = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365];

export function daysInMonth(year: number, month: number): number {
  return daysBefore[month] - daysBefore[month - 1] + (month === 2 && isLeapYear(year) ? 1 : 0);
}

/** The date of some seconds since 1970, cut to whole ones. */
export function civilTime(seconds: number): CivilTime {
  const whole = toInt64(seconds);
  const days = floorDiv(whole, daySeconds);
  const ofDay = Number(whole - days * daySeconds);
  // Years begin in March here, and eras of 400 years on 1 March 0000.
  const shifted = days + 719468n;
  const era = floorDiv(shifted, 146097n);
  const dayOfEra = Number(shifted - era * 146097n);
  const yearOfEra = Math.floor(
    (dayOfEra -
      Math.floor(dayOfEra / 1460) +
      Math.floor(dayOfEra / 36524) -
      Math.floor(dayOfEra / 146096)) /
      365,
  );
  const dayOfYear =
    dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const marchMonth = Math.floor((5 * dayOfYear + 2) / 153);
  const day = dayOfYear - Math.floor((153 * marchMonth + 2) / 5) + 1;
  const month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9;
  const year = Number(era) * 400 + yearOfEra + (month <= 2 ? 1 : 0);
  const leapDay = month > 2 && isLeapYear(year) ? 1 : 0;
  return {
    year,
    month,
    day,
    weekday: Number((((days + 4n) % 7n) + 7n) % 7n),
    yearDay: daysBefore[month - 1] + day + leapDay,
    hour: Math.floor(ofDay / 3600),
    minute: Math.floor((ofDay % 3600) / 60),
  };
}
