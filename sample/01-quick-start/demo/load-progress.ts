import { SingleBar } from 'cli-progress';

/** Shows the progress of loading. */
export interface LoadProgress {
  start(totalRowCount: number): void;
  step(tableName: string, rowCount: number): void;
  advance(rowCount: number): void;
  stop(): void;
}

/** A bar on a terminal, or a line for each table in a log. */
export function loadProgress(): LoadProgress {
  return process.stdout.isTTY ? barProgress() : lineProgress();
}

function barProgress(): LoadProgress {
  const bar = new SingleBar({
    format: '  loading {bar} {percentage}% of {total} rows, {table}',
    barsize: 30,
    barCompleteChar: '█',
    barIncompleteChar: '░',
    hideCursor: true,
    clearOnComplete: true,
    stream: process.stdout,
  });
  return {
    start: (totalRowCount) => bar.start(totalRowCount, 0, { table: '' }),
    step: (table) => bar.update({ table }),
    advance: (rowCount) => bar.increment(rowCount),
    stop: () => bar.stop(),
  };
}

function lineProgress(): LoadProgress {
  return {
    start: () => undefined,
    step: (table, rowCount) => console.log(`  loading ${table}: ${rowCount} rows`),
    advance: () => undefined,
    stop: () => undefined,
  };
}
