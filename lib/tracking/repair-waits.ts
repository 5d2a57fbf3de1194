/** A locked table is tried again soon: usually a single statement held the lock and has ended. */
const FIRST_WAIT_MS = 2_000;

/** Each attempt may block a writer, so it isn't made more often than this. */
const LONGEST_WAIT_MS = 30_000;

interface Wait {
  waitMs: number;
  /** By `performance.now()`. */
  untilMs: number;
}

/**
 * The parts of a repair that wait after a failure. Each waits by itself, twice as long each time, so that a table
 * that is locked for hours doesn't hold up others.
 */
export class RepairWaits {
  private readonly waits = new Map<string, Wait>();

  isOver(part: string): boolean {
    return performance.now() >= (this.waits.get(part)?.untilMs ?? 0);
  }

  failed(part: string): void {
    const before = this.waits.get(part)?.waitMs ?? FIRST_WAIT_MS / 2;
    const waitMs = Math.min(2 * before, LONGEST_WAIT_MS);
    this.waits.set(part, { waitMs, untilMs: performance.now() + waitMs });
  }

  succeeded(part: string): void {
    this.waits.delete(part);
  }

  /** Forgets all parts except those that are still to be done. */
  keepOnly(parts: readonly string[]): void {
    [...this.waits.keys()]
      .filter((part) => !parts.includes(part))
      .forEach((part) => this.waits.delete(part));
  }

  /** The milliseconds until the first of them is tried again; `undefined` if there is none. */
  get firstInMs(): number | undefined {
    const instants = [...this.waits.values()].map(({ untilMs }) => untilMs);
    return instants.length === 0 ? undefined : Math.min(...instants) - performance.now();
  }
}
