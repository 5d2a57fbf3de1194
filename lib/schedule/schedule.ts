import type { DataSourceContext } from '../definition/data-source.context.js';
import type { ViewDefinition } from '../definition/view-definition.js';
import type { ChangeLogKeeper } from '../tracking/change-log.keeper.js';
import type { RefreshRunner } from '../refresh/refresh.runner.js';
import { StaleWatch } from '../status/stale.watch.js';
import { BackgroundWork } from './background-work.js';
import { ChangePoller } from './change.poller.js';
import { Lease } from '../definition/lease.js';
import { LeaseKeeper, WORK_LEASE_TIMES } from './lease.keeper.js';
import { LeaseName } from './lease-name.js';
import { ScheduleOrchestrator, type StartJob } from './schedule.orchestrator.js';
import { isSwept, nextSweepInMs, Sweeper } from './sweeper.js';
import { TickRunner } from './tick.runner.js';

/**
 * Everything that refreshes a data source's views without a call: at scheduled times and after writes. Timers fire in
 * every process; polling and sweeping are done by one process at a time.
 */
export class Schedule {
  private readonly ticks: TickRunner;
  private readonly orchestrator: ScheduleOrchestrator;
  private readonly changes: ChangePoller;
  private keeper?: LeaseKeeper;
  /** Ends when the keeper is the one for the present views. Never fails. */
  private keeping: Promise<void> = Promise.resolve();
  private isStopped = false;

  constructor(
    private readonly context: DataSourceContext,
    runner: RefreshRunner,
    changeLog: ChangeLogKeeper,
    startJob: StartJob,
  ) {
    this.ticks = new TickRunner(context, runner, new StaleWatch(context));
    this.orchestrator = new ScheduleOrchestrator(context, this.ticks, startJob);
    this.changes = new ChangePoller(context, runner, changeLog);
  }

  /** Call it again when the views change. */
  start(): void {
    this.orchestrator.start();
    // The lease's name depends on the views, so other views need another lease.
    this.keeping = this.keeping.then(async () => {
      await this.keeper?.stop();
      this.keeper = undefined;
      this.keepLease(this.context.views.materialized().filter(isSwept));
    });
  }

  /** Begins no more refreshes. Running ones go on. */
  async stop(): Promise<void> {
    this.isStopped = true;
    await Promise.all([this.orchestrator.stop(), this.keeping.then(() => this.keeper?.stop())]);
  }

  /** Waits a short time until another process can take over what this one did for all. */
  async untilReleased(): Promise<void> {
    await this.keeper?.untilReleased();
  }

  private keepLease(watched: ViewDefinition[]): void {
    if (this.isStopped || (watched.length === 0 && !this.changes.isNeeded)) {
      return;
    }
    const { context, orchestrator, changes } = this;
    const { scheduled } = orchestrator;
    const firstSweepInMs = nextSweepInMs(context);
    const newSweeper = (): Sweeper => new Sweeper(context, this.ticks, { watched, scheduled });
    const name = new LeaseName(context);
    this.keeper = new LeaseKeeper({
      lease: new Lease(context, WORK_LEASE_TIMES),
      nameOf: (views) => name.of(views),
      scheduled,
      work: new BackgroundWork(
        changes,
        watched.length > 0 ? newSweeper : undefined,
        performance.now() + firstSweepInMs,
      ),
      isAlive: changes.isNeeded,
      lookMs: context.options.sweepIntervalMs,
    });
    this.keeper.start(changes.isNeeded ? 0 : firstSweepInMs);
  }
}
