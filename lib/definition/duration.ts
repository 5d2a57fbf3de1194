import ms from 'ms';

/** A time span: milliseconds, or a number with its unit, as in `'500ms'`, `'30s'`, `'5m'`, `'2h'`. */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`;

const DAY_MS = 86_400_000;

/** PostgreSQL keeps its timeouts in a signed 32-bit number of milliseconds, and so does Node. */
const MAX_DURATION_MS = 2 ** 31 - 1;

/** The expectation in the message about a value that is no duration or out of bounds. */
export function durationExpected(minimumMs: number, maximumMs = MAX_DURATION_MS): string {
  return `a duration such as 500 (milliseconds), '30s' or '5m', from ${minimumMs} ms to ${Math.floor(maximumMs / DAY_MS)} days`;
}

/** The duration in milliseconds; `undefined` if it isn't one or is out of bounds. */
export function durationMs(
  value: unknown,
  minimumMs: number,
  maximumMs = MAX_DURATION_MS,
): number | undefined {
  const parsedMs = parse(value);
  const isWithin = parsedMs !== undefined && parsedMs >= minimumMs && parsedMs <= maximumMs;
  return isWithin ? Math.round(parsedMs) : undefined;
}

/** The milliseconds of a checked duration. */
export function milliseconds(duration: Duration): number {
  return Math.round(parse(duration) ?? 0);
}

function parse(value: unknown): number | undefined {
  if (typeof value === 'number') {
    return Number.isFinite(value) ? value : undefined;
  }
  // A bare number in a string is refused, because its unit is unclear.
  return typeof value === 'string' && /[a-z]$/i.test(value)
    ? ms(value as ms.StringValue)
    : undefined;
}
