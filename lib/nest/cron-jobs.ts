import { Inject, Injectable } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { SchedulerRegistry } from '@nestjs/schedule';
import { CronJob } from 'cron';
import { refreshJobName } from '../definition/view-definition.js';
import { InvalidModuleOptionsError } from '../errors/usage.errors.js';
import type { ScheduledJob } from '../schedule/schedule.orchestrator.js';
import type { ScheduledView } from '../schedule/tick.runner.js';

/** Has the schedules of views stand as cron jobs in @nestjs/schedule's `SchedulerRegistry`. */
@Injectable()
export class CronJobs {
  constructor(@Inject(ModuleRef) private readonly moduleRef: ModuleRef) {}

  /** @throws InvalidModuleOptionsError when ScheduleModule is not imported */
  start(dataSource: string, view: ScheduledView, onTick: () => Promise<void>): ScheduledJob {
    const { cron, timeZone } = view.schedule;
    const registry = this.schedulerRegistry();
    const job = CronJob.from({ cronTime: cron, timeZone, onTick, start: true });
    registry.addCronJob(refreshJobName(dataSource, view), job);
    return job;
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
}
