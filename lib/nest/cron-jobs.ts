import { Inject, Injectable } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { type ScheduleModuleOptions, SchedulerRegistry } from '@nestjs/schedule';
import { refreshJobName } from '../definition/view-definition.js';
import { InvalidOptionsError } from '../errors/usage.errors.js';
import type { ScheduledJob } from '../schedule/schedule.orchestrator.js';
import type { ScheduledView } from '../schedule/tick.runner.js';
import { RefreshJob } from './refresh.job.js';

/** The token of ScheduleModule's options, which @nestjs/schedule does not export. */
const SCHEDULE_MODULE_OPTIONS = 'SCHEDULE_MODULE_OPTIONS';

/** Registers the schedules of views as cron jobs in @nestjs/schedule's `SchedulerRegistry`. */
@Injectable()
export class CronJobs {
  constructor(@Inject(ModuleRef) private readonly moduleRef: ModuleRef) {}

  /**
   * With `ScheduleModule.forRoot({ cronJobs: false })` there is no job, and the view is not refreshed by its schedule.
   *
   * @throws InvalidOptionsError if ScheduleModule is not imported
   */
  start(dataSource: string, view: ScheduledView, onTick: () => Promise<void>): ScheduledJob {
    const registry = this.schedulerRegistry();
    if (!this.hasCronJobs()) {
      return { isOn: false, stop: () => undefined };
    }
    const name = refreshJobName(dataSource, view);
    const job = new RefreshJob(name, view, onTick);
    registry.addCronJob(name, job);
    return {
      // Stopping or deleting the job stops all ticks of the view in this process.
      get isOn() {
        return job.isActive && registry.getCronJobs().get(name) === job;
      },
      stop: async () => {
        await job.stop();
        if (registry.getCronJobs().get(name) === job) {
          registry.deleteCronJob(name);
        }
      },
    };
  }

  private hasCronJobs(): boolean {
    const options = this.moduleRef.get<ScheduleModuleOptions>(SCHEDULE_MODULE_OPTIONS, {
      strict: false,
    });
    return options.cronJobs !== false;
  }

  private schedulerRegistry(): SchedulerRegistry {
    try {
      return this.moduleRef.get(SchedulerRegistry, { strict: false });
    } catch (cause) {
      throw new InvalidOptionsError(
        'MaterializedViewsModule: views have a schedule, but @nestjs/schedule is not set up.',
        {
          cause,
          hint: 'Import ScheduleModule.forRoot() in the root module, or give forRoot() of this module `scheduling: false`.',
        },
      );
    }
  }
}
