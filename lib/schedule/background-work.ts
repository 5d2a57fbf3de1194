import type { ChangePoller } from './change.poller.js';
import type { SharedWork } from './lease.keeper.js';
import type { Sweeper } from './sweeper.js';

/** What one process does for all processes like it: it sweeps, and polls for changes. */
export class BackgroundWork implements SharedWork {
  private sweeper?: Sweeper;

  /**
   * @param newSweeper set if there is something to sweep
   * @param firstSweepAtMs the earliest time of the first sweep, by `performance.now()`: a starting process
   * has other things to do
   */
  constructor(
    private readonly changes: ChangePoller,
    private readonly newSweeper: (() => Sweeper) | undefined,
    private readonly firstSweepAtMs: number,
  ) {}

  get restMs(): number {
    return this.changes.isNeeded ? 0 : (this.sweeper?.restMs ?? 0);
  }

  start(): void {
    this.changes.start();
    this.sweeper = this.newSweeper?.();
    this.sweeper?.start(Math.max(0, this.firstSweepAtMs - performance.now()));
  }

  async stop(): Promise<void> {
    this.sweeper?.stop();
    await this.changes.stop();
  }
}
