import { Inject, Injectable, Logger } from '@nestjs/common';
import { DataSourceRegistry } from '../definition/data-source.registry.js';
import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { RefreshStoppedError } from '../errors/refresh.errors.js';
import { ModuleRegistrations } from '../module-registrations.js';
import { type RefreshRequest, skippedResult } from './refresh-request.js';
import type { RefreshResult } from './refresh-result.js';
import { RefreshRun } from './refresh-run.js';

/** How long a cancelled statement may take to end: the server looks for a cancel between rows. */
const CANCEL_TIMEOUT_MS = 5_000;

interface ActiveRun {
  run: RefreshRun;
  result: Promise<RefreshResult>;
}

/** Runs refreshes, and knows which are under way in this process. */
@Injectable()
export class RefreshRunner {
  private readonly logger = new Logger('MaterializedViews');
  /** One a view, those that wait for a connection too. */
  private readonly active = new Map<ViewDefinition, ActiveRun>();
  private isStopped = false;

  constructor(
    @Inject(ModuleRegistrations) private readonly registrations: ModuleRegistrations,
    @Inject(DataSourceRegistry) private readonly dataSources: DataSourceRegistry,
  ) {}

  async run(request: RefreshRequest): Promise<RefreshResult> {
    if (this.isStopped) {
      throw RefreshStoppedError.of(viewName(request.definition));
    }
    const result = this.active.has(request.definition)
      ? skippedResult(request, 'busy', new Date())
      : await this.execute(request);
    this.log(result, request);
    return result;
  }

  /**
   * Takes no more refreshes, turns away those that have not begun, lets the others finish within
   * `shutdownTimeout`, and cancels the rest in the server, which would otherwise go on without their
   * client.
   */
  async stop(): Promise<void> {
    this.isStopped = true;
    this.dataSources.all().forEach((database) => database.stop());
    const { shutdownTimeoutMs } = this.registrations.options;
    if (await this.settle(shutdownTimeoutMs)) {
      return;
    }
    this.logger.warn(
      `${this.active.size} refreshes are still running ${shutdownTimeoutMs} ms after the application began to stop, and are cancelled. Their views keep the rows that they had.`,
    );
    // Not waited for by themselves: on a dead network a cancel takes as long as what it cancels.
    void Promise.allSettled([...this.active.values()].map(({ run }) => run.cancel()));
    await this.settle(CANCEL_TIMEOUT_MS);
  }

  private async execute(request: RefreshRequest): Promise<RefreshResult> {
    const { lockTimeoutMs, statementTimeoutMs, sweepIntervalMs } = this.registrations.options;
    const database = this.dataSources.get(request.definition.dataSourceName);
    const limits = { lockTimeoutMs, statementTimeoutMs, backoffMs: sweepIntervalMs };
    const run = new RefreshRun(request, database, limits);
    const result = run.execute();
    this.active.set(request.definition, { run, result });
    try {
      return await result;
    } finally {
      this.active.delete(request.definition);
    }
  }

  /** Waits until nothing is under way; `false` when the time is over first. */
  private async settle(timeoutMs: number): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const isOver = new Promise<boolean>((resolve) => {
      timer = setTimeout(resolve, timeoutMs, false);
    });
    const isSettled = Promise.allSettled(
      [...this.active.values()].map(({ result }) => result),
    ).then(() => true);
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
