import { channel } from 'node:diagnostics_channel';
import { MaterializedViewChannels } from '../definition/materialized-view.channels.js';
import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { messageOf } from '../errors/error-message.js';
import { displayName } from '../postgres/identifier.js';
import { describeOrphan, type Orphan } from './holders.js';
import type { Prepared } from './preparation.js';
import type { SchemaDiff } from './schema-diff.js';
import { SchemaStepError } from './schema-error.js';
import type { SchemaPlan } from './schema-plan.js';

/**
 * The outcome for a view. `indexed`: only indexes were changed; `orphaned`: created by the library and no longer declared; `dropped`: the same, with `prune`;
 * `skipped`: left as it is, entirely or partly, see the reason; `failed`: it stopped the synchronisation, and nothing was changed.
 */
export type SyncOutcome =
  'created' | 'changed' | 'indexed' | 'unchanged' | 'orphaned' | 'dropped' | 'skipped' | 'failed';

export interface ViewReport {
  /** `schema.name`. */
  view: string;
  outcome: SyncOutcome;
  reason?: string;
}

/** The result of one synchronisation of a data source. */
export interface SyncReport {
  dataSource: string;
  views: ViewReport[];
  counts: Record<SyncOutcome, number>;
  durationMs: number;
}

/** Referenced here, because Node keeps only a weak reference to a channel and may lose its subscribers. */
export const syncChannel = channel(MaterializedViewChannels.sync);

const NO_COUNTS: Record<SyncOutcome, number> = {
  created: 0,
  changed: 0,
  indexed: 0,
  unchanged: 0,
  orphaned: 0,
  dropped: 0,
  skipped: 0,
  failed: 0,
};

/** Counts the outcomes and publishes the report. */
export function publishReport(
  dataSource: string,
  views: ViewReport[],
  startedAtMs: number,
): SyncReport {
  const counts = { ...NO_COUNTS };
  views.forEach(({ outcome }) => counts[outcome]++);
  const report = { dataSource, views, counts, durationMs: performance.now() - startedAtMs };
  syncChannel.publish(report);
  return report;
}

/** Whether the database still differs from the code: views left as they were, or no longer declared. */
export function isDrifted({ counts }: SyncReport): boolean {
  return counts.skipped + counts.orphaned > 0;
}

/** The outcome for each view of an applied plan. */
export function reportsOf(
  { diff, plan }: Prepared,
  views: readonly ViewDefinition[],
): ViewReport[] {
  const skipped = new Map<string, string>();
  for (const { view, reason } of plan.skipped) {
    const others = skipped.get(view);
    skipped.set(view, others === undefined ? reason : `${others}; ${reason}`);
  }
  const declared = views.map((view) => viewName(view));
  // In the order of creation: each after what it reads.
  const made = new Map(plan.steps.map(({ view }, position) => [view, position]));
  declared.sort((one, other) => (made.get(one) ?? -1) - (made.get(other) ?? -1));
  const others = plan.steps.flatMap(({ view }) =>
    view === undefined || declared.includes(view) ? [] : [view],
  );
  const pruned = new Set(others);
  return [
    ...[...declared, ...new Set(others)].map((view) => reportOf(view, plan, diff, skipped)),
    ...diff.orphans.filter(({ name }) => !pruned.has(displayName(name))).map(orphaned),
  ];
}

function orphaned(orphan: Orphan): ViewReport {
  return {
    view: displayName(orphan.name),
    outcome: 'orphaned',
    reason: `${describeOrphan(orphan)}${orphan.isTracked ? ', while writers to what it reads still pay for the triggers that capture changes for it' : ''}`,
  };
}

/** The reports if nothing was done. */
export function unchangedReports({ views, orphans }: SchemaDiff): ViewReport[] {
  return [
    ...views.map(({ view }): ViewReport => ({ view: viewName(view), outcome: 'unchanged' })),
    ...orphans.map(orphaned),
  ];
}

function reportOf(
  view: string,
  { steps }: SchemaPlan,
  diff: SchemaDiff,
  skipped: ReadonlyMap<string, string>,
): ViewReport {
  const own = steps.filter((step) => step.view === view);
  const reason = [...new Set(own.map((step) => step.reason))].join('; ');
  const left = skipped.get(view);
  if (left !== undefined) {
    const done = own.length === 0 ? '' : `. What was done: ${reason}`;
    return { view, outcome: 'skipped', reason: left + done };
  }
  if (own.length === 0) {
    return { view, outcome: 'unchanged' };
  }
  if (own.some(({ action }) => action === 'drop')) {
    return { view, outcome: 'dropped', reason };
  }
  if (own.every(({ action }) => action === 'index')) {
    return { view, outcome: 'indexed', reason };
  }
  const isNew = diff.views.some(
    (each) => viewName(each.view) === view && each.deployed === undefined,
  );
  return { view, outcome: isNew ? 'created' : 'changed', reason };
}

/** For the view that stopped the synchronisation, or for all if none did. */
export function failedReports(views: readonly ViewDefinition[], error: unknown): ViewReport[] {
  const culprit = error instanceof SchemaStepError ? error.view : undefined;
  const reason = messageOf(error);
  return views.map((view) =>
    culprit === undefined || culprit === view
      ? { view: viewName(view), outcome: 'failed', reason }
      : { view: viewName(view), outcome: 'unchanged' },
  );
}
