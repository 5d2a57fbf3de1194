import { Inject, Injectable, Logger } from '@nestjs/common';
import { DataSourceRegistry } from '../definition/data-source.registry.js';
import { viewName } from '../definition/view-definition.js';
import { RefreshStoppedError } from '../errors/refresh.errors.js';
import { ModuleRegistrations } from '../module-registrations.js';
import type { RefreshRequest } from './refresh-request.js';
import type { RefreshResult } from './refresh-result.js';
import { RefreshRun } from './refresh-run.js';

/** Runs refreshes, and knows which are under way in this process. */
@Injectable()
export class RefreshRunner {
  private readonly logger = new Logger('MaterializedViews');
  private readonly active = new Map<RefreshRun, Promise<unknown>>();
  private isStopped = false;

  constructor(
    @Inject(ModuleRegistrations) private readonly registrations: ModuleRegistrations,
    @Inject(DataSourceRegistry) private readonly dataSources: DataSourceRegistry,
  ) {}

  async run(request: RefreshRequest): Promise<RefreshResult> {
    const view = viewName(request.definition);
    if (this.isStopped) {
      throw new RefreshStoppedError(
        `Materialized view "${view}" was not refreshed: the application is stopping.`,
        { view },
      );
    }
    const { lockTimeoutMs, statementTimeoutMs, sweepIntervalMs } = this.registrations.options;
    const database = this.dataSources.get(request.definition.dataSourceName);
    const limits = { lockTimeoutMs, statementTimeoutMs, backoffMs: sweepIntervalMs };
    const run = new RefreshRun(request, database, limits);
    const result = run.execute();
    this.active.set(run, result);
    try {
      const settled = await result;
      this.log(settled, request);
      return settled;
    } finally {
      this.active.delete(run);
    }
  }

  /**
   * Takes no more refreshes, lets those under way finish within `shutdownTimeout`, and cancels the
   * rest in the server, which would otherwise go on without their client.
   */
  async stop(): Promise<void> {
    this.isStopped = true;
    const { shutdownTimeoutMs } = this.registrations.options;
    if (await this.settle(shutdownTimeoutMs)) {
      return;
    }
    this.logger.warn(
      `${this.active.size} refreshes are still running ${shutdownTimeoutMs} ms after the application began to stop, and are cancelled. Their views keep the rows that they had.`,
    );
    await Promise.allSettled([...this.active.keys()].map((run) => run.cancel()));
    await this.settle(CANCEL_TIMEOUT_MS);
  }

  /** Waits until nothing is under way; `false` when the time is over first. */
  private async settle(timeoutMs: number): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const isOver = new Promise<boolean>((resolve) => {
      timer = setTimeout(resolve, timeoutMs, false);
    });
    const isSettled = Promise.allSettled(this.active.values()).then(() => true);
    try {
      return await Promise.race([isSettled, isOver]);
    } finally {
      clearTimeout(timer);
    }
  }

  private log(result: RefreshResult, { tick }: RefreshRequest): void {
    const by = tick === undefined ? 'on demand' : `for its tick ${tick.toISOString()}`;
    if (result.outcome === 'refreshed') {
      this.logger.log(
        `Refreshed "${result.view}" ${by} in ${Math.round(result.durationMs)} ms (${result.mode}, ${result.modeReason})`,
      );
    } else {
      this.logger.debug(`Skipped "${result.view}" ${by}: ${result.reason}`);
    }
  }
}

/** How long a cancelled statement may take to end: the server looks for a cancel between rows. */
const CANCEL_TIMEOUT_MS = 5_000;
