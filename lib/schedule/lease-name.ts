import { createHash } from 'node:crypto';
import type { DataSourceContext } from '../definition/data-source.context.js';
import type { ViewDefinition } from '../definition/view-definition.js';
import { viewName } from '../definition/view-definition.js';

/** Raised by a release whose background work differs from that of the previous release. */
const WORK_VERSION = 1;

/**
 * The name of the lease of all processes that do the same background work: they declare the same views with the same options,
 * and refresh the same ones by schedule. So no view is left to a process that doesn't know it, as during a rolling deployment.
 * PostgreSQL adds the role.
 */
export class LeaseName {
  private readonly declared: string;
  private last = { scheduled: '', name: '' };

  constructor({ application, options, views }: DataSourceContext) {
    const declared = views.materialized().map(describe).sort();
    this.declared = JSON.stringify([WORK_VERSION, application, options, declared]);
  }

  /** @param scheduled the views that this process refreshes by schedule now */
  of(scheduled: readonly ViewDefinition[]): string {
    const names = JSON.stringify(scheduled.map(viewName).sort());
    if (this.last.scheduled !== names) {
      const hash = createHash('sha256').update(this.declared).update(names).digest('hex');
      this.last = { scheduled: names, name: hash };
    }
    return this.last.name;
  }
}

function describe(view: ViewDefinition): string {
  const { name, query, dependsOn, refresh, freshness, schedule } = view;
  const ticks = schedule && [schedule.cron, schedule.timeZone, schedule.scheduler];
  return JSON.stringify([name, query, dependsOn, refresh, freshness, ticks]);
}
