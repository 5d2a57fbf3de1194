import { Inject, Injectable, Logger } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { SchedulerRegistry } from '@nestjs/schedule';
import { CronJob } from 'cron';
import { DefinitionRegistry } from '../definition/definition.registry.js';
import { refreshJobName, type ViewDefinition } from '../definition/view-definition.js';
import { messageOf } from '../errors/error-message.js';
import { InvalidModuleOptionsError } from '../errors/usage.errors.js';
import { ModuleRegistrations } from '../module-registrations.js';
import { type EarlyTick, isScheduled, type ScheduledView, TickRunner } from './tick.runner.js';

/** Sweeps of different processes drift apart, so that they do not all look at the same moment. */
const SWEEP_JITTER = 0.5;

/** Starts and stops what wakes the process up: a cron job for each view, and the sweep. */
@Injectable()
export class ScheduleOrchestrator {
  private readonly logger = new Logger('MaterializedViews');
  private readonly jobs = new Map<string, CronJob>();
  private readonly timers = new Set<NodeJS.Timeout>();
  private isStopped = false;

  constructor(
    @Inject(ModuleRegistrations) private readonly registrations: ModuleRegistrations,
    @Inject(DefinitionRegistry) private readonly definitions: DefinitionRegistry,
    @Inject(TickRunner) private readonly ticks: TickRunner,
    @Inject(ModuleRef) private readonly moduleRef: ModuleRef,
  ) {}

  /** @throws InvalidModuleOptionsError when a view has a schedule and ScheduleModule is not imported */
  start(): void {
    if (!this.registrations.options.scheduling) {
      return;
    }
    const views = this.definitions.all().filter(isScheduled);
    if (views.length > 0) {
      const registry = this.schedulerRegistry();
      views.forEach((view) => this.addJob(registry, view));
    }
    for (const name of this.definitions.dataSourceNames()) {
      const watched = this.definitions.in(name).filter(isSwept);
      if (watched.length > 0) {
        this.scheduleSweep(name, watched);
      }
    }
  }

  /** Begins no more ticks and sweeps. Those under way go on. */
  async stop(): Promise<void> {
    this.isStopped = true;
    this.timers.forEach(clearTimeout);
    await Promise.all([...this.jobs.values()].map(async (job) => job.stop()));
  }

  private schedulerRegistry(): SchedulerRegistry {
    try {
      return this.moduleRef.get(SchedulerRegistry, { strict: false });
    } catch (cause) {
      throw new InvalidModuleOptionsError(
        'MaterializedViewsModule: views have a schedule, but @nestjs/schedule is not set up.',
        {
          cause,
          hint: 'Import ScheduleModule.forRoot() in the root module, or give forRoot() of this module `scheduling: false`.',
        },
      );
    }
  }

  private addJob(registry: SchedulerRegistry, view: ScheduledView): void {
    const { cron, timeZone } = view.schedule;
    const job = CronJob.from({
      cronTime: cron,
      timeZone,
      onTick: () => this.wake(view),
      start: true,
    });
    const name = refreshJobName(view);
    registry.addCronJob(name, job);
    this.jobs.set(name, job);
  }

  private async wake(view: ScheduledView): Promise<void> {
    this.whenDue(view, await this.ticks.wake(view));
  }

  /**
   * Attempts a tick again when its time has come. That very tick, and not the last one by then: this process's clock
   * is ahead, and would name a later one, which would be too early again.
   */
  private whenDue(view: ScheduledView, early: EarlyTick | undefined): void {
    // If it is due later than the next sweep, the sweep does it: a clock so far ahead cannot be trusted.
    if (early !== undefined && early.dueInMs < this.registrations.options.sweepIntervalMs) {
      this.after(early.dueInMs, async () => {
        this.whenDue(view, await this.ticks.attempt(view, early.tick));
      });
    }
  }

  private scheduleSweep(dataSourceName: string, views: ViewDefinition[]): void {
    const { sweepIntervalMs } = this.registrations.options;
    const delayMs = sweepIntervalMs * (1 - SWEEP_JITTER * Math.random());
    this.after(delayMs, async () => {
      try {
        await this.ticks.sweep(dataSourceName, views);
      } catch (error) {
        if (!this.isStopped) {
          this.logger.warn(
            `Could not look for due refreshes in data source "${dataSourceName}"; the next look is in ${sweepIntervalMs} ms at the latest: ${messageOf(error)}`,
          );
        }
      } finally {
        this.scheduleSweep(dataSourceName, views);
      }
    });
  }

  private after(delayMs: number, work: () => Promise<void>): void {
    if (this.isStopped) {
      return;
    }
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      void work();
    }, delayMs).unref();
    this.timers.add(timer);
  }
}

/** A view with a schedule may have missed a tick, and one with `maxStaleness` may have become stale. */
function isSwept({ schedule, freshness }: ViewDefinition): boolean {
  return schedule !== undefined || freshness?.maxStalenessMs !== undefined;
}
