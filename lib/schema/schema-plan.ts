import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import type { SyncPolicy } from '../materialized-views.options.js';
import { createIndex, createSchema } from '../postgres/ddl.sql.js';
import { displayName, type QualifiedName } from '../postgres/identifier.js';
import { INSTALLATION_VERSION, installVersion } from '../postgres/installation.sql.js';
import { refreshMaterializedView } from '../postgres/refresh.sql.js';
import type { SqlStatement } from '../postgres/sql-statement.js';
import { dropSchema } from '../postgres/ddl.sql.js';
import {
  clusterOn,
  commentOnView,
  dropIndex,
  dropView,
  renameIndex,
  resetStorage,
  setStorage,
  setTablespace,
} from '../postgres/view-ddl.sql.js';
import type { DatabaseState } from './database-state.js';
import type { DeployedView } from './deployed-view.js';
import type { RehearsedMember } from './rehearsal.js';
import { type Rename, renameStatements } from './rename.js';
import { planReplacement } from './replacement.js';
import type { Difference, SchemaDiff, ViewDiff } from './schema-diff.js';
import { undeclaredStorage } from './schema-diff.js';
import { temporaryName } from './temporary-name.js';
import { prunes } from './sync-policy.js';
import { buildStatements, indexStatements, previousBlueprint } from './view-blueprint.js';

export type PlanAction =
  | 'install'
  | 'create-schema'
  | 'rename'
  | 'build'
  | 'swap'
  | 'index'
  | 'alter'
  | 'populate'
  | 'drop';

/** One step of a plan, as data: it can be printed, carried out, or written into a migration. */
export interface PlanStep {
  action: PlanAction;
  /** `schema.name`; none for what concerns no single view. */
  view?: string;
  /** The same in parts. */
  name?: QualifiedName;
  /** Why, in a sentence. */
  reason: string;
  statements: SqlStatement[];
  /** What takes the step back, given that all later steps have been taken back. */
  undo: SqlStatement[];
  /** The strongest lock on what is there already, and whom it stops. */
  lock: string;
  /** Whether rows are computed or written anew. */
  rewritesRows: boolean;
}

/** The definition of a view that a plan leaves as it is, and why. */
export interface SkippedView {
  view: string;
  reason: string;
}

/** What brings the database to what the code declares, in order. */
export interface SchemaPlan {
  dataSource: string;
  /** What the plan was allowed to do. */
  policy: SyncPolicy;
  steps: PlanStep[];
  skipped: SkippedView[];
  /** Views that the library made and that nobody declares any more, dropped only with `prune`. */
  orphans: string[];
}

const NO_LOCK = 'none: nothing reads it yet';
const SHARE_LOCK = 'SHARE: readers go on, refreshes wait';
const EXCLUSIVE_LOCK = 'ACCESS EXCLUSIVE: readers wait, for milliseconds';
const LONG_EXCLUSIVE_LOCK = 'ACCESS EXCLUSIVE: readers wait while the rows are written';

export interface PlanInput {
  dataSource: string;
  diff: SchemaDiff;
  renames: Rename[];
  /** The views that are made anew, in order of dependency. */
  rehearsed: RehearsedMember[];
  state: DatabaseState;
  policy: SyncPolicy;
  /** Left as it is by the policy: in part, or whole. */
  left: SkippedView[];
  /** Cannot be made: whole. */
  failed: SkippedView[];
}

/** Turns differences into steps. Pure. */
export function planSchema({
  dataSource,
  diff,
  renames,
  rehearsed,
  state,
  policy,
  left,
  failed,
}: PlanInput): SchemaPlan {
  const rebuilt = new Set(rehearsed.map((member) => displayName(member.name)));
  const cannotBeMade = new Set(failed.map(({ view }) => view));
  const changed = diff.views.filter(({ view }) => !cannotBeMade.has(viewName(view)));
  return {
    dataSource,
    policy,
    steps: [
      ...renames.map(renameStep),
      ...diff.missingSchemas.map((schema) => schemaStep(schema, state.stateSchema)),
      ...installSteps(diff, state.stateSchema),
      ...rebuildSteps(rehearsed, diff, state),
      ...changed.flatMap((view) => (rebuilt.has(viewName(view.view)) ? [] : alterSteps(view))),
      ...(prunes(policy)
        ? [...diff.orphans].reverse().map((orphan) => pruneStep(orphan, state))
        : []),
    ],
    skipped: [...left, ...failed],
    orphans: diff.orphans.map((orphan) => displayName(orphan.name)),
  };
}

function schemaStep(schema: string, stateSchema: string): PlanStep {
  const whose = schema === stateSchema ? "the library's own tables" : 'views';
  return {
    action: 'create-schema',
    reason: `Schema "${schema}" for ${whose} is missing`,
    statements: [createSchema(schema)],
    // The library's own schema stays, with its tables: a history is not something to lose by a revert.
    undo: schema === stateSchema ? [] : [dropSchema(schema)],
    lock: NO_LOCK,
    rewritesRows: false,
  };
}

function installSteps({ installFrom }: SchemaDiff, stateSchema: string): PlanStep[] {
  if (installFrom === undefined) {
    return [];
  }
  const statements: SqlStatement[] = [];
  for (let version = installFrom + 1; version <= INSTALLATION_VERSION; version++) {
    statements.push(...installVersion(stateSchema, version));
  }
  return [
    {
      action: 'install',
      reason: `The library's own tables are at version ${installFrom} and needed at ${INSTALLATION_VERSION}`,
      statements,
      undo: [],
      lock: NO_LOCK,
      rewritesRows: false,
    },
  ];
}

function rebuildSteps(
  rehearsed: RehearsedMember[],
  diff: SchemaDiff,
  state: DatabaseState,
): PlanStep[] {
  const { builds, swap, undo } = planReplacement(rehearsed, state);
  const reasons = new Map(diff.views.map((view) => [viewName(view.view), rebuildReason(view)]));
  const steps = builds.map(({ member, statements }): PlanStep => {
    const view = displayName(member.name);
    const reason = reasons.get(view) ?? 'It reads a view that is made anew';
    return {
      action: 'build',
      view,
      name: member.name,
      reason: reason + lossNote(member),
      statements,
      undo: [],
      lock: NO_LOCK,
      rewritesRows: member.kind === 'm',
    };
  });
  const swapStep: PlanStep = {
    action: 'swap',
    reason: 'The new views take the names of the old ones',
    statements: swap,
    undo,
    lock: EXCLUSIVE_LOCK,
    rewritesRows: false,
  };
  if (swap.length > 0) {
    return [...steps, swapStep];
  }
  // Nothing is replaced: each new view is taken back by itself.
  return steps.map((step, position) => {
    const member = rehearsed[position];
    return member ? { ...step, undo: [dropView(member.kind, member.name)] } : step;
  });
}

function rebuildReason({ differences }: ViewDiff): string | undefined {
  const reasons = differences.map((difference) => {
    switch (difference.kind) {
      case 'missing':
        return 'It is missing';
      case 'plain-view':
        return 'A plain view has its name';
      case 'definition':
        return difference.isDrift
          ? 'Its definition was changed in the database'
          : 'Its definition changed';
      case 'access-method':
        return 'Its access method changed';
      default:
        return undefined;
    }
  });
  return reasons.find((reason) => reason !== undefined);
}

function lossNote({ lostIndexes, lostStatistics }: RehearsedMember): string {
  const lost = [
    ...lostIndexes.map((name) => `index "${name}"`),
    ...lostStatistics.map((name) => `statistics "${name}"`),
  ];
  return lost.length === 0
    ? ''
    : `; ${lost.join(', ')}, made by hand, cannot be kept: the columns are gone`;
}

/** The steps of a rename, which are carried out before the rest is worked out. */
export function renameStep({ view, from }: Rename): PlanStep {
  return {
    action: 'rename',
    view: viewName(view),
    name: view.name,
    reason: `It was "${displayName(from)}"`,
    statements: renameStatements(from, view.name),
    undo: renameStatements(view.name, from),
    lock: EXCLUSIVE_LOCK,
    rewritesRows: false,
  };
}

function alterSteps({ view, deployed, differences }: ViewDiff): PlanStep[] {
  if (deployed === undefined) {
    return [];
  }
  return differences.flatMap((difference) => alterStep(view, deployed, difference) ?? []);
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
    case 'unpopulated':
      return step({
        action: 'populate',
        reason: 'It has no data yet',
        statements: [refreshMaterializedView(view.name, false)],
        undo: [],
        lock: 'ACCESS EXCLUSIVE: it cannot be read yet anyway',
        rewritesRows: true,
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
      reason: `Index "${name}" is declared no more`,
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

function pruneStep(orphan: DeployedView, state: DatabaseState): PlanStep {
  const blueprint = previousBlueprint(orphan, orphan.name, orphan.name, orphan.row.definition);
  return {
    action: 'drop',
    view: displayName(orphan.name),
    name: orphan.name,
    reason: 'Nobody declares it any more',
    statements: [dropView('m', orphan.name)],
    undo: buildStatements(blueprint, state.defaultGrantees),
    lock: EXCLUSIVE_LOCK,
    rewritesRows: false,
  };
}
