import type { DataSourceContext } from '../definition/data-source.context.js';
import type { ChangeLogKeeper } from '../tracking/change-log.keeper.js';
import type { RefreshRunner } from '../refresh/refresh.runner.js';
import { StaleWatch } from '../status/stale.watch.js';
import { ChangePoller } from './change.poller.js';
import { ScheduleOrchestrator, type StartJob } from './schedule.orchestrator.js';
import { TickRunner } from './tick.runner.js';

/** All that refreshes the views of a data source by itself: at scheduled times, and after writes. */
export class Schedule {
  private readonly orchestrator: ScheduleOrchestrator;
  private readonly changes: ChangePoller;

  constructor(
    context: DataSourceContext,
    runner: RefreshRunner,
    changeLog: ChangeLogKeeper,
    startJob: StartJob,
  ) {
    const ticks = new TickRunner(context, runner, new StaleWatch(context));
    this.orchestrator = new ScheduleOrchestrator(context, ticks, startJob);
    this.changes = new ChangePoller(context, runner, changeLog);
  }

  start(): void {
    this.orchestrator.start();
    this.changes.start();
  }

  /** Begins no more refreshes. Those under way go on. */
  async stop(): Promise<void> {
    await Promise.all([this.orchestrator.stop(), this.changes.stop()]);
  }
}
