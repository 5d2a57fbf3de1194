import ms from 'ms';

/** A time span: milliseconds, or a number with its unit, as in `'500ms'`, `'30s'`, `'5m'`, `'2h'`. */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`;

/** PostgreSQL keeps its timeouts in a signed 32-bit number of milliseconds, and so does Node. */
const MAX_DURATION_MS = 2 ** 31 - 1;

/** What a message says that a duration has to be. */
export const EXPECTED_DURATION = "a duration such as 500 (milliseconds), '30s' or '5m'";

/** Whole milliseconds; `undefined` when it is no duration of at least `minimumMs`. */
export function durationMs(value: unknown, minimumMs = 1): number | undefined {
  const parsed = parseDuration(value);
  return parsed === undefined || parsed < minimumMs || parsed > MAX_DURATION_MS
    ? undefined
    : Math.round(parsed);
}

function parseDuration(value: unknown): number | undefined {
  if (typeof value === 'number') {
    return Number.isFinite(value) ? value : undefined;
  }
  // A bare number in a string is refused: nobody can say in which unit it was meant.
  return typeof value === 'string' && /[a-z]$/i.test(value)
    ? ms(value as ms.StringValue)
    : undefined;
}
