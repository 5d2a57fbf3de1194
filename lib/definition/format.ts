/** As people read it: "350 ms", "2.1 s", "3 min 5 s", "2 h 4 min", "3 d 2 h". */
export function shownDuration(durationMs: number): string {
  const seconds = durationMs / 1_000;
  if (seconds < 1) {
    return `${Math.round(durationMs)} ms`;
  }
  if (seconds < 60) {
    return `${seconds.toFixed(1)} s`;
  }
  const units = [
    ['d', 86_400],
    ['h', 3_600],
    ['min', 60],
    ['s', 1],
  ] as const;
  const first = units.findIndex(([, size]) => seconds >= size);
  const [big, small] = [units[first], units[first + 1]];
  if (big === undefined || small === undefined) {
    return `${Math.round(seconds)} s`;
  }
  const rest = Math.floor((seconds % big[1]) / small[1]);
  return `${Math.floor(seconds / big[1])} ${big[0]}${rest > 0 ? ` ${rest} ${small[0]}` : ''}`;
}

export function shownInstant(instant: Date): string {
  return `${instant.toISOString().slice(0, 19).replace('T', ' ')}Z`;
}

const SIZE_STEP = 1_024;

export function shownSize(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let [size, unit] = [bytes, 0];
  while (size >= SIZE_STEP && unit < units.length - 1) {
    [size, unit] = [size / SIZE_STEP, unit + 1];
  }
  return `${unit === 0 ? size : size.toFixed(1)} ${units[unit] ?? ''}`;
}
