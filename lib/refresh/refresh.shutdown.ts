import type { DataSourceContext } from '../definition/data-source.context.js';
import type { DemandQueue } from './demand.queue.js';
import type { RefreshRunner } from './refresh.runner.js';
import { isDoneWithin } from '../postgres/time-limit.js';

/** How long a cancelled statement may take to end: the server looks for a cancel between rows. */
const CANCEL_TIMEOUT_MS = 5_000;

/** Ends the refreshes of a data source when the application stops. */
export class RefreshShutdown {
  constructor(
    private readonly context: DataSourceContext,
    private readonly runner: RefreshRunner,
    private readonly demands: DemandQueue,
  ) {}

  /**
   * Accepts no more refreshes, rejects those that have not begun, lets the others finish within
   * `shutdownTimeout`, and cancels the rest in the server, where they would otherwise go on without
   * their client.
   */
  async stop(): Promise<void> {
    this.runner.refuse();
    this.demands.refuse();
    const { shutdownTimeoutMs } = this.context.options;
    if (await isDoneWithin(this.runner.untilIdle(), shutdownTimeoutMs)) {
      return;
    }
    this.context.log.warn(
      `${this.runner.activeCount} refreshes are still running ${shutdownTimeoutMs} ms after the application began to stop, and are cancelled. Their views are not changed.`,
    );
    // Not awaited: on a dead network, a cancel takes as long as what it cancels.
    void this.runner.cancelAll();
    await isDoneWithin(this.runner.untilIdle(), CANCEL_TIMEOUT_MS);
  }
}
