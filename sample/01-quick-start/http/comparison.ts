/** The same rows, read from a view and by a live query. */
export interface Comparison<Row> {
  viewMs: number;
  liveMs: number;
  /** How many times longer the live query took. */
  ratio: number;
  /** `false` if the tables have changed since the last refresh of the view. */
  isSameAnswer: boolean;
  rows: Row[];
}

/** Reads the view, then runs the live query, and times both. */
export async function compare<Row>(
  readView: () => Promise<Row[]>,
  askLive: () => Promise<Row[]>,
): Promise<Comparison<Row>> {
  const view = await measure(readView);
  const live = await measure(askLive);
  return {
    viewMs: rounded(view.durationMs),
    liveMs: rounded(live.durationMs),
    ratio: rounded(live.durationMs / view.durationMs),
    isSameAnswer: JSON.stringify(view.rows) === JSON.stringify(live.rows),
    rows: view.rows,
  };
}

async function measure<Row>(
  read: () => Promise<Row[]>,
): Promise<{ rows: Row[]; durationMs: number }> {
  const startedAtMs = performance.now();
  const rows = await read();
  return { rows, durationMs: performance.now() - startedAtMs };
}

function rounded(value: number): number {
  return Math.round(value * 10) / 10;
}
