/** What was locked is tried again soon: as a rule one statement held the lock, and has ended. */
const FIRST_WAIT_MS = 2_000;

/** A writer who is held up by each attempt is not to be held up more often than that. */
const LONGEST_WAIT_MS = 30_000;

interface Wait {
  waitMs: number;
  /** By `performance.now()`. */
  untilMs: number;
}

/**
 * Which parts of a repair are left alone after they failed: each for itself, for twice as long each time, so that one
 * table that is locked for hours holds up no other.
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

  /** Forgets all parts but those that are still to be done. */
  keepOnly(parts: readonly string[]): void {
    [...this.waits.keys()]
      .filter((part) => !parts.includes(part))
      .forEach((part) => this.waits.delete(part));
  }

  /** In how many milliseconds the first of them is to be tried again; `undefined` when there is none. */
  get firstInMs(): number | undefined {
    const instants = [...this.waits.values()].map(({ untilMs }) => untilMs);
    return instants.length === 0 ? undefined : Math.min(...instants) - performance.now();
  }
}
