/** A gap in local time, made by a clock change, that contains a midnight. */
export interface MidnightGap {
  /** The time of the change. Milliseconds since the epoch. */
  atMs: number;
  /** The local time that the clocks would show then, as if it were UTC. */
  fromMs: number;
  /** The local time that they show instead. */
  toMs: number;
}

const DAY_MS = 86_400_000;
const SECOND_MS = 1_000;

/** The interval at which clocks are compared: two changes in a zone are further apart. */
const STEP_MS = 7 * DAY_MS;

const found = new Map<string, MidnightGap[]>();

/** The gaps of a year, in order. Hardly any zone has one; Nuuk has one each spring. */
export function midnightGapsOf(timeZone: string, year: number): MidnightGap[] {
  const key = `${timeZone} ${year}`;
  const gaps = found.get(key) ?? findGaps(timeZone, year);
  found.set(key, gaps);
  return gaps;
}

function findGaps(timeZone: string, year: number): MidnightGap[] {
  const offsetMsAt = offsetReader(timeZone);
  const endMs = Date.UTC(year + 1, 0, 1);
  const gaps: MidnightGap[] = [];
  for (let beginMs = Date.UTC(year, 0, 1); beginMs < endMs; beginMs += STEP_MS) {
    const untilMs = Math.min(beginMs + STEP_MS, endMs);
    const before = offsetMsAt(beginMs);
    const after = offsetMsAt(untilMs);
    if (after > before) {
      const atMs = changeBetween(beginMs, untilMs, offsetMsAt);
      gaps.push({ atMs, fromMs: atMs + before, toMs: atMs + after });
    }
  }
  return gaps.filter(({ fromMs, toMs }) => dayOf(fromMs) !== dayOf(toMs));
}

/** The first time at which clocks are as at the end. */
function changeBetween(
  beginMs: number,
  endMs: number,
  offsetMsAt: (instantMs: number) => number,
): number {
  const before = offsetMsAt(beginMs);
  let [low, high] = [beginMs / SECOND_MS, endMs / SECOND_MS];
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (offsetMsAt(middle * SECOND_MS) === before) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return high * SECOND_MS;
}

/** How far local time is ahead of UTC, in whole seconds. */
function offsetReader(timeZone: string): (instantMs: number) => number {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });
  return (instantMs) => {
    const parts = new Map(format.formatToParts(instantMs).map((part) => [part.type, part.value]));
    const field = (type: Intl.DateTimeFormatPartTypes): number => Number(parts.get(type));
    const day = [field('year'), field('month') - 1, field('day')] as const;
    return Date.UTC(...day, field('hour'), field('minute'), field('second')) - instantMs;
  };
}

function dayOf(localMs: number): number {
  return Math.floor(localMs / DAY_MS);
}
