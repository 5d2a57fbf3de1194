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
 * What became of a view. `indexed`: only indexes were changed; `orphaned`: made by the library and
 * declared no more; `dropped`: the same, with `prune`; `skipped`: left as it is, in whole or in part, see the reason; `failed`: it stopped the whole, and nothing
 * has been changed.
 */
export type SyncOutcome =
  'created' | 'changed' | 'indexed' | 'unchanged' | 'orphaned' | 'dropped' | 'skipped' | 'failed';

export interface ViewReport {
  /** `schema.name`. */
  view: string;
  outcome: SyncOutcome;
  reason?: string;
}

/** What one synchronisation of a data source did. */
export interface SyncReport {
  dataSource: string;
  views: ViewReport[];
  counts: Record<SyncOutcome, number>;
  durationMs: number;
}

/** Held here: Node keeps a channel that nobody holds by a weak reference, and may lose its subscribers. */
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

/** Counts what became of the views and publishes that. */
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

/** Whether the database is still not what the code declares: views left as they were, or declared no more. */
export function isDrifted({ counts }: SyncReport): boolean {
  return counts.skipped + counts.orphaned > 0;
}

/** What became of each view by a plan that was carried out. */
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
  // As they were made: each after what it reads.
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
    reason: `${describeOrphan(orphan)}${orphan.isTracked ? ', while writers of what it reads go on paying for the triggers that capture changes for it' : ''}`,
  };
}

/** The reports where nothing was done. */
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

/** Of a view that stopped the whole, or of all where none did. */
export function failedReports(views: readonly ViewDefinition[], error: unknown): ViewReport[] {
  const culprit = error instanceof SchemaStepError ? error.view : undefined;
  const reason = messageOf(error);
  return views.map((view) =>
    culprit === undefined || culprit === view
      ? { view: viewName(view), outcome: 'failed', reason }
      : { view: viewName(view), outcome: 'unchanged' },
  );
}
