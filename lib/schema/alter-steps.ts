import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { createIndex } from '../postgres/ddl.sql.js';
import type { QualifiedName } from '../postgres/identifier.js';
import { refreshMaterializedView } from '../postgres/refresh.sql.js';
import type { SqlStatement } from '../postgres/sql-statement.js';
import {
  clusterOn,
  commentOnView,
  dropIndex,
  renameIndex,
  resetStorage,
  setStorage,
  setTablespace,
} from '../postgres/view-ddl.sql.js';
import type { DatabaseState } from './database-state.js';
import type { DeployedView } from './deployed-view.js';
import { EXCLUSIVE_LOCK, LONG_EXCLUSIVE_LOCK, type PlanStep, SHARE_LOCK } from './plan-step.js';
import { inOldOrder } from './replacement.js';
import { type Difference, undeclaredStorage, type ViewDiff } from './schema-diff.js';
import { temporaryName } from './temporary-name.js';
import { indexStatements } from './view-blueprint.js';

/** The steps that change a view where it is, for all that needs no new rows. */
export function alterSteps({ view, deployed, differences }: ViewDiff): PlanStep[] {
  if (deployed === undefined) {
    return [];
  }
  return differences.flatMap((difference) => alterStep(view, deployed, difference) ?? []);
}

/**
 * Fills views that have no data yet, each after all that it reads. Before anything is made anew: that may
 * read them.
 */
export function populateSteps(views: ViewDiff[], state: DatabaseState): PlanStep[] {
  const empty = views.filter(({ differences }) =>
    differences.some(({ kind }) => kind === 'unpopulated'),
  );
  return inOldOrder(empty, state).map(({ member: { view } }) => ({
    action: 'populate',
    view: viewName(view),
    name: view.name,
    reason: 'It has no data yet',
    statements: [refreshMaterializedView(view.name)],
    undo: [],
    lock: 'ACCESS EXCLUSIVE: it cannot be read yet anyway',
    rewritesRows: true,
  }));
}

function alterStep(
  view: ViewDefinition,
  deployed: DeployedView,
  difference: Difference,
): PlanStep | undefined {
  const { row } = deployed;
  const step = (
    given: Pick<PlanStep, 'action' | 'reason' | 'statements' | 'undo' | 'lock'> & {
      rewritesRows?: boolean;
    },
  ): PlanStep => ({ view: viewName(view), name: view.name, rewritesRows: false, ...given });
  switch (difference.kind) {
    case 'index-missing':
    case 'index-changed':
    case 'index-superfluous':
      return step(indexStep(view, deployed, difference));
    case 'storage':
      return step({
        action: 'alter',
        reason: 'Its storage parameters changed',
        statements: storageStatements(view, row.storage),
        undo: [
          ...resetAll(view.name, Object.keys(view.storage ?? {})),
          ...(row.storage.length === 0 ? [] : [setStorage(view.name, row.storage)]),
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
        statements: [commentOnView('m', view.name, view.comment ?? null)],
        undo: [commentOnView('m', view.name, row.comment)],
        lock: 'SHARE UPDATE EXCLUSIVE: readers go on',
      });
    default:
      return undefined;
  }
}

function indexStep(
  view: ViewDefinition,
  deployed: DeployedView,
  difference: Extract<Difference, { kind: `index-${string}` }>,
): Pick<PlanStep, 'action' | 'reason' | 'statements' | 'undo' | 'lock'> {
  const name = difference.kind === 'index-superfluous' ? difference.name : difference.index.name;
  const existing = deployed.indexes.find((index) => index.name === name);
  const restore = (as: string): SqlStatement[] => [
    ...indexStatements(view.name, as, { existing }),
    ...(existing?.is_clustered ? [clusterOn(view.name, as)] : []),
  ];
  const inSchema = (index: string): QualifiedName => ({ schema: view.name.schema, name: index });
  if (difference.kind === 'index-missing') {
    return {
      action: 'index',
      reason: `Index "${name}" is missing`,
      statements: [createIndex(view.name, difference.index)],
      undo: [dropIndex(inSchema(name))],
      lock: SHARE_LOCK,
    };
  }
  if (difference.kind === 'index-superfluous') {
    return {
      action: 'index',
      reason: `Index "${name}" is no longer declared`,
      statements: [dropIndex(inSchema(name))],
      undo: restore(name),
      lock: EXCLUSIVE_LOCK,
    };
  }
  const temporary = temporaryName('index', viewName(view), name);
  const exchange = (create: SqlStatement[]): SqlStatement[] => [
    ...create,
    dropIndex(inSchema(name)),
    renameIndex(inSchema(temporary), name),
  ];
  return {
    action: 'index',
    reason: `Index "${name}" changed`,
    statements: exchange(
      indexStatements(view.name, temporary, { declared: difference.index, existing }),
    ),
    undo: exchange(restore(temporary)),
    lock: EXCLUSIVE_LOCK,
  };
}

function storageStatements(view: ViewDefinition, deployed: string[]): SqlStatement[] {
  const wanted = Object.entries(view.storage ?? {}).map(
    ([name, value]) => `${name}=${String(value)}`,
  );
  return [
    ...resetAll(view.name, undeclaredStorage(view, deployed)),
    ...(wanted.length === 0 ? [] : [setStorage(view.name, wanted)]),
  ];
}

function resetAll(name: QualifiedName, parameters: string[]): SqlStatement[] {
  return parameters.length === 0 ? [] : [resetStorage(name, parameters)];
}
