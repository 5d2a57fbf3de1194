import { viewName } from '../definition/view-definition.js';
import type { SyncPolicy } from '../definition/module.options.js';
import { createSchema, dropSchema } from '../postgres/ddl.sql.js';
import { displayName, type QualifiedName } from '../postgres/identifier.js';
import { INSTALLATION_VERSION, installVersion } from '../postgres/installation.sql.js';
import type { SqlStatement } from '../postgres/sql-statement.js';
import { deleteKnownView, renameKnownView } from '../postgres/state.sql.js';
import { dropView } from '../postgres/view-ddl.sql.js';
import { alterSteps, populateSteps } from './alter-steps.js';
import { captureRecordSteps } from './capture-record-step.js';
import { captureSteps } from './capture-steps.js';
import { type DatabaseState, withDependents } from './database-state.js';
import type { DeployedView } from './deployed-view.js';
import { EXCLUSIVE_LOCK, LONG_EXCLUSIVE_LOCK, NO_LOCK, type PlanStep } from './plan-step.js';
import type { RehearsedMember } from './rehearsal.js';
import { type Rename, renameStatements } from './rename.js';
import { inOldOrder, planReplacement, restoreStatements } from './replacement.js';
import type { SchemaDiff, ViewDiff } from './schema-diff.js';
import { prunes } from './sync-policy.js';

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
export function planSchema(input: PlanInput): SchemaPlan {
  const { dataSource, diff, renames, rehearsed, state, policy, left, failed } = input;
  const done = new Set([
    ...rehearsed.map((member) => displayName(member.name)),
    ...failed.map(({ view }) => view),
  ]);
  const inPlace = diff.views.filter(({ view }) => !done.has(viewName(view)));
  const above = orphansAbove(input);
  const apart = prunes(policy) ? diff.orphans.filter((orphan) => !above.includes(orphan)) : [];
  return {
    dataSource,
    policy,
    steps: [
      ...diff.missingSchemas.map((schema) => schemaStep(schema, state.stateSchema)),
      ...renames.map((each) => renameStep(each, state)),
      ...installSteps(diff, state.stateSchema),
      ...populateSteps(inPlace, state),
      ...rebuildSteps(input, above),
      ...inPlace.flatMap(alterSteps),
      ...inOrder(apart, state)
        .reverse()
        .map((orphan) => pruneStep(orphan, state)),
      ...above.map(forgetStep),
      ...captureRecordSteps(diff, state.stateSchema, new Set(failed.map(({ view }) => view))),
      // Last: it holds up writers from here to the end of the transaction.
      ...captureSteps(diff, state.stateSchema),
    ],
    skipped: [...left, ...failed],
    orphans: diff.orphans.map((orphan) => displayName(orphan.name)),
  };
}

/** Orphans that read a view which is made anew go before it does; the others go by themselves. */
function orphansAbove({ diff, rehearsed, state, policy }: PlanInput): DeployedView[] {
  const replaced = rehearsed.flatMap(({ deployed }) =>
    deployed ? [displayName(deployed.name)] : [],
  );
  const names = withDependents(replaced, state);
  return prunes(policy) ? diff.orphans.filter((orphan) => names.has(displayName(orphan.name))) : [];
}

function inOrder(views: DeployedView[], state: DatabaseState): DeployedView[] {
  const members = views.map((deployed) => ({ deployed }));
  return inOldOrder(members, state).map(({ deployed }) => deployed);
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
  { rehearsed, diff, state, policy }: PlanInput,
  pruned: DeployedView[],
): PlanStep[] {
  const { clear, builds, swap, undo } = planReplacement(rehearsed, pruned, {
    state,
    strategy: policy.changeStrategy,
  });
  const reasons = new Map(diff.views.map((view) => [viewName(view.view), rebuildReason(view)]));
  const steps = builds.map(({ member, statements }): PlanStep => {
    const view = displayName(member.name);
    const reason = reasons.get(view) ?? 'It reads a view that is rebuilt';
    return {
      action: 'build',
      view,
      name: member.name,
      reason: reason + lossNote(member),
      statements,
      undo: [],
      lock: clear.length === 0 ? NO_LOCK : LONG_EXCLUSIVE_LOCK,
      rewritesRows: member.kind === 'm',
    };
  });
  const exchange = { action: 'swap', rewritesRows: false } as const;
  if (clear.length > 0) {
    const reason = 'The old views make room for the new ones';
    return [{ ...exchange, reason, statements: clear, undo, lock: LONG_EXCLUSIVE_LOCK }, ...steps];
  }
  if (rehearsed.some((member) => member.deployed !== undefined)) {
    const reason = 'The new views take the names of the old ones';
    return [...steps, { ...exchange, reason, statements: swap, undo, lock: EXCLUSIVE_LOCK }];
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
function renameStep(
  { view, from }: Rename,
  { stateSchema, installedVersion }: DatabaseState,
): PlanStep {
  const follow = (old: QualifiedName, now: QualifiedName): SqlStatement[] =>
    installedVersion === 0
      ? []
      : [deleteKnownView(stateSchema, now), renameKnownView(stateSchema, old, now)];
  return {
    action: 'rename',
    view: viewName(view),
    name: view.name,
    reason: `It was "${displayName(from)}"`,
    statements: [...renameStatements(from, view.name), ...follow(from, view.name)],
    undo: [...renameStatements(view.name, from), ...follow(view.name, from)],
    lock: EXCLUSIVE_LOCK,
    rewritesRows: false,
  };
}

/** For an orphan that a swap has dropped. */
function forgetStep(orphan: DeployedView): PlanStep {
  return {
    action: 'drop',
    view: displayName(orphan.name),
    name: orphan.name,
    reason: 'No class declares it any more; it went with the views that it read',
    statements: [],
    undo: [],
    lock: NO_LOCK,
    rewritesRows: false,
  };
}

function pruneStep(orphan: DeployedView, state: DatabaseState): PlanStep {
  return {
    action: 'drop',
    view: displayName(orphan.name),
    name: orphan.name,
    reason: 'No class declares it any more',
    statements: [dropView('m', orphan.name)],
    undo: restoreStatements(orphan, state),
    lock: EXCLUSIVE_LOCK,
    rewritesRows: false,
  };
}
