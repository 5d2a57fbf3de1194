import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { refreshMaterializedView } from '../postgres/refresh.sql.js';
import type { SqlStatement } from '../postgres/sql-statement.js';
import {
  commentOnView,
  resetStorage,
  setStorage,
  setTablespace,
} from '../postgres/view-ddl.sql.js';
import type { DatabaseState } from './database-state.js';
import type { DeployedView } from './deployed-view.js';
import { type IndexDifference, indexPhases } from './index-steps.js';
import type { NamePlan } from './name-plan.js';
import { inPhases, NO_PHASES, type PlanPhases } from './plan-phases.js';
import { LONG_EXCLUSIVE_LOCK } from '../postgres/lock-words.js';
import type { PlanStep } from './plan-step.js';
import type { Difference, ViewDiff } from './schema-diff.js';
import { storageNames, storageOf, undeclaredStorage } from './storage.js';
import { inOldOrder } from './view-order.js';

/** The steps that change a view where it is, for all that needs no new rows. */
export function alterPhases(
  { view, deployed, differences }: ViewDiff,
  names: NamePlan,
): PlanPhases {
  if (deployed === undefined) {
    return NO_PHASES;
  }
  return inPhases(
    ...differences.map((difference) => {
      if (isOfIndex(difference)) {
        return indexPhases(view, deployed, { difference, names });
      }
      const step = alterStep(view, deployed, difference);
      const before = names.nameBefore(view.name);
      // Readers need not wait for this: only a view that comes under another name is altered after it has it.
      const isEarly = step?.rewritesRows === false && before === view.name;
      return step === undefined
        ? NO_PHASES
        : isEarly
          ? { build: [step] }
          : { finish: [{ ...step, stops: [before] }] };
    }),
  );
}

function isOfIndex(difference: Difference): difference is IndexDifference {
  return difference.kind.startsWith('index-');
}

/**
 * Fills views that have no data yet, each after all that it reads. Before anything is rebuilt: that may
 * read them.
 */
export function populateSteps(
  views: ViewDiff[],
  state: DatabaseState,
  names: NamePlan,
): PlanStep[] {
  const empty = views.filter(({ differences }) =>
    differences.some(({ kind }) => kind === 'unpopulated'),
  );
  return inOldOrder(empty, state).map(({ member: { view } }) => ({
    action: 'populate',
    view: viewName(view),
    name: view.name,
    reason: 'It has no data yet',
    statements: [refreshMaterializedView(names.nameBefore(view.name))],
    undo: [],
    lock: 'ACCESS EXCLUSIVE: it cannot be read yet anyway',
    rewritesRows: true,
  }));
}

function alterStep(
  view: ViewDefinition,
  { row }: DeployedView,
  difference: Difference,
): PlanStep | undefined {
  const step = (
    given: Pick<PlanStep, 'action' | 'reason' | 'statements' | 'undo' | 'lock'> & {
      rewritesRows?: boolean;
    },
  ): PlanStep => ({ view: viewName(view), name: view.name, rewritesRows: false, ...given });
  switch (difference.kind) {
    case 'storage':
      return step({
        action: 'alter',
        reason: `Its ${view.kind.storesRows ? 'storage ' : ''}parameters changed`,
        statements: storageStatements(view, row.storage),
        undo: [
          ...resetAll(view, storageNames(view)),
          ...(row.storage.length === 0 ? [] : [setStorage(view.kind, view.name, row.storage)]),
        ],
        lock: 'SHARE UPDATE EXCLUSIVE: readers go on',
      });
    case 'tablespace':
      return step({
        action: 'alter',
        reason: `Its tablespace is "${row.tablespace ?? 'pg_default'}"`,
        statements: [setTablespace(view.name, view.tablespace ?? 'pg_default')],
        undo: [setTablespace(view.name, row.tablespace ?? 'pg_default')],
        lock: LONG_EXCLUSIVE_LOCK,
        rewritesRows: true,
      });
    case 'comment':
      return step({
        action: 'alter',
        reason: 'Its comment changed',
        statements: [commentOnView(view.kind, view.name, view.comment ?? null)],
        undo: [commentOnView(view.kind, view.name, row.comment)],
        lock: 'SHARE UPDATE EXCLUSIVE: readers go on',
      });
    default:
      return undefined;
  }
}

function storageStatements(view: ViewDefinition, deployed: string[]): SqlStatement[] {
  const wanted = storageOf(view, deployed);
  return [
    ...resetAll(view, undeclaredStorage(view, deployed)),
    ...(wanted.length === 0 ? [] : [setStorage(view.kind, view.name, wanted)]),
  ];
}

function resetAll({ kind, name }: ViewDefinition, parameters: string[]): SqlStatement[] {
  return parameters.length === 0 ? [] : [resetStorage(kind, name, parameters)];
}
