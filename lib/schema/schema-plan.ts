import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import type { SyncPolicy } from '../definition/module.options.js';
import { createSchema, dropSchema } from '../postgres/ddl.sql.js';
import { displayName } from '../postgres/identifier.js';
import { populateSteps } from './populate-steps.js';
import { aspectSteps } from './aspects/aspects.js';
import { alterPhases } from './aspects/view-aspects.js';
import type { DatabaseState } from './database-state.js';
import { hide, type HiddenIndex, show } from './hidden-indexes.js';
import type { NamePlan } from './name-plan.js';
import { inPhases } from './plan-phases.js';
import { describeKind } from '../postgres/view-kind.js';
import { NO_LOCK } from '../postgres/lock-words.js';
import type { PlanStep } from './plan-step.js';
import type { Rehearsed, RehearsedMember } from './rehearsal.js';
import type { Rename } from './rename.js';
import { renamePhases } from './rename-steps.js';
import { redefinition } from './redefinition.js';
import { planReplacement } from './replacement.js';
import type { Difference, SchemaDiff, ViewDiff } from './schema-diff.js';

/** A view that a plan leaves as it is, and why. */
export interface SkippedView {
  view: string;
  reason: string;
}

/** The steps that make the database match the code, in order. */
export interface SchemaPlan {
  dataSource: string;
  /** What the plan was allowed to do. */
  policy: SyncPolicy;
  steps: PlanStep[];
  skipped: SkippedView[];
  /**
   * Views that the library created and the application no longer declares. With `prune`, those that only this
   * application created are dropped.
   */
  orphans: string[];
}

export interface PlanInput {
  dataSource: string;
  diff: SchemaDiff;
  renames: Rename[];
  /** The views that are rebuilt, in order of dependency, and those that are dropped. */
  rehearsed: Pick<Rehearsed, 'members' | 'going'>;
  names: NamePlan;
  /** Indexes in the way of what is renamed. */
  hidden: readonly HiddenIndex[];
  state: DatabaseState;
  /** The same with the remembered dependencies, for undoing. */
  oldState: DatabaseState;
  policy: SyncPolicy;
  /** Views that the policy leaves as they are, partly or entirely. */
  left: SkippedView[];
  /** Views that can't be created. */
  failed: SkippedView[];
}

/** Turns differences into steps. Pure. */
export function planSchema(input: PlanInput): SchemaPlan {
  const { dataSource, diff, renames, rehearsed, state, policy, left, failed, names } = input;
  const members = rehearsed.members.filter(({ isReplaced }) => !isReplaced);
  const rebuiltNames = new Set(members.map((member) => displayName(member.name)));
  const hasFailed = new Set(failed.map(({ view }) => view));
  const done = new Set([...rebuiltNames, ...hasFailed]);
  const inPlace = diff.views.filter(({ view }) => !done.has(viewName(view)));
  const isSideBySide = policy.rebuildStrategy === 'side-by-side';
  const buildsFirst = isSideBySide || members.length === 0;
  const renamed = renamePhases(
    renames,
    isSideBySide ? renames.filter(({ view }) => !rebuiltNames.has(viewName(view))) : renames,
    state,
  );
  // Side by side, old views are dropped before new ones get their names.
  const going = new Set([
    ...rebuiltNames,
    ...rehearsed.going.map(({ deployed }) => displayName(deployed.name)),
  ]);
  const hidden = isSideBySide
    ? []
    : input.hidden.filter(({ view }) => going.has(displayName(view)));
  const rebuilt = planReplacement({
    ...rehearsed,
    hidden,
    members,
    state: input.oldState,
    names,
    strategy: policy.rebuildStrategy,
    filled: unpopulated(diff),
    reasonOf: rebuildReasons(diff),
  });
  const replaced = rehearsed.members.filter(({ isReplaced }) => isReplaced);
  const redefined = redefinition(replaced, { state, names, reasonOf: rebuildReasons(diff) });
  const replacedNames = new Set(replaced.map(({ name }) => displayName(name)));
  const populated = populateSteps(
    inPlace,
    { replaced: replacedNames, renamed: new Set(renames.map(({ view }) => viewName(view))) },
    { state, names },
  );
  // One that is replaced gets its parameters with its definition, without which it might not bear them.
  const isAltered = (view: ViewDefinition, { kind }: Difference): boolean =>
    kind !== 'storage' || !replacedNames.has(viewName(view));
  const altered = inPhases(
    ...inPlace.map(({ view, deployed, differences }) =>
      deployed === undefined
        ? {}
        : alterPhases(
            differences.filter((difference) => isAltered(view, difference)),
            { view, deployed, names },
          ),
    ),
  );
  const exchange = isSideBySide
    ? [
        ...renamed.clear,
        ...rebuilt.clear,
        ...altered.clear,
        ...renamed.finish,
        ...rebuilt.finish,
        ...altered.finish,
      ]
    : [
        ...hideStep({ statements: hide(hidden), undo: [] }),
        // Indexes are in the old schema until their view moves, and in the new one until that is
        // undone.
        ...altered.clear.map((step) => ({ ...step, undo: [] })),
        ...renamed.clear,
        ...renamed.finish,
        ...rebuilt.clear,
        ...altered.clear.map((step) => ({ ...step, statements: [] })),
        ...altered.finish,
        ...(buildsFirst ? [] : rebuilt.build),
        ...rebuilt.finish,
      ];
  const differences = [...diff.views.flatMap((each) => each.differences), ...diff.others];
  const ofAspects = (order: 'first' | 'last'): PlanStep[] =>
    aspectSteps(order, differences, { stateSchema: state.stateSchema, failed: hasFailed });
  return {
    dataSource,
    policy,
    steps: [
      ...diff.missingSchemas.map((schema) => schemaStep(schema, state.stateSchema)),
      ...ofAspects('first'),
      ...renamed.follow,
      ...populated.first,
      ...redefined.first,
      ...rebuilt.first,
      ...altered.build,
      ...(buildsFirst ? rebuilt.build : []),
      ...hideStep({ statements: [], undo: show(hidden.filter(({ isValid }) => isValid)) }),
      ...renamed.build,
      ...exchange,
      ...redefined.last,
      ...populated.last,
      // From here to the end of the transaction, writers wait.
      ...ofAspects('last'),
    ],
    skipped: [...left, ...failed],
    orphans: diff.orphans.map((orphan) => displayName(orphan.name)),
  };
}

function hideStep(part: Pick<PlanStep, 'statements' | 'undo'>): PlanStep[] {
  return part.statements.length + part.undo.length === 0
    ? []
    : [
        {
          action: 'swap',
          reason: 'Indexes that go make room for what comes under another name',
          ...part,
          lock: NO_LOCK,
          rewritesRows: false,
        },
      ];
}

/** Unpopulated views that are filled. */
export function unpopulated({ views }: SchemaDiff): Set<string> {
  return new Set(
    views
      .filter(({ differences }) => differences.some(({ kind }) => kind === 'unpopulated'))
      .map(({ view }) => viewName(view)),
  );
}

/** The names of all unpopulated views. */
export function withoutData({ views }: DatabaseState): Set<string> {
  return new Set(
    [...views]
      .filter(([, { kind, row }]) => kind.storesRows && !row.is_populated)
      .map(([name]) => name),
  );
}

function rebuildReasons({ views }: SchemaDiff): (member: RehearsedMember) => string {
  const reasons = new Map(views.map((diff) => [viewName(diff.view), rebuildReason(diff)]));
  return (member) =>
    (reasons.get(displayName(member.name)) ?? 'It reads a view that is rebuilt') + lossNote(member);
}

function schemaStep(schema: string, stateSchema: string): PlanStep {
  const whose = schema === stateSchema ? "the library's own tables" : 'views';
  return {
    action: 'create-schema',
    reason: `Schema "${schema}" for ${whose} is missing`,
    statements: [createSchema(schema)],
    // The library's own schema stays, with its tables: a revert must not lose the history.
    undo: schema === stateSchema ? [] : [dropSchema(schema)],
    lock: NO_LOCK,
    rewritesRows: false,
  };
}

function rebuildReason({ differences }: ViewDiff): string | undefined {
  const reasons = differences.map((difference) => {
    switch (difference.kind) {
      case 'missing':
        return 'It is missing';
      case 'view-kind':
        return `A ${describeKind(difference.deployed)} has its name`;
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

function lossNote({ invalidIndexes, lostIndexes, lostStatistics }: RehearsedMember): string {
  const indexes = (names: string[]): string[] => names.map((name) => `index "${name}"`);
  const lost = [...indexes(lostIndexes), ...lostStatistics.map((name) => `statistics "${name}"`)];
  return [
    noteOf(lost, 'cannot be kept: the columns are gone'),
    noteOf(indexes(invalidIndexes), 'is not kept: it is invalid, so no query uses it'),
  ].join('');
}

function noteOf(things: string[], fate: string): string {
  return things.length === 0 ? '' : `; ${things.join(', ')}, made by hand, ${fate}`;
}
