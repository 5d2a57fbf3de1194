import { displayName } from '../postgres/identifier.js';
import { EXCLUSIVE_LOCK, NO_LOCK } from '../postgres/lock-words.js';
import type { SqlStatement } from '../postgres/sql-statement.js';
import { createView, dropView, refuseWayBack } from '../postgres/view-ddl.sql.js';
import { type DatabaseState, withDependents } from './database-state.js';
import type { DeployedView } from './deployed-view.js';
import type { NamePlan } from './name-plan.js';
import type { PlanStep } from './plan-step.js';
import type { RehearsedMember } from './rehearsal.js';
import { asTheyWere, restoration } from './restoration.js';
import { uncarried } from './uncarried.js';
import { storageOf } from './storage.js';
import { inOldOrder } from './view-order.js';

/** The steps that replace plain views in place. What reads them stays, and follows. */
export interface Redefinition {
  /** First in a plan, so that they are undone last: undoing removes columns. */
  first: PlanStep[];
  /** Last, when all other names are final. */
  last: PlanStep[];
}

interface RedefinitionContext {
  state: DatabaseState;
  names: NamePlan;
  reasonOf: (member: RehearsedMember) => string;
}

/** @param members in order of dependency */
export function redefinition(
  members: readonly RehearsedMember[],
  { state, names, reasonOf }: RedefinitionContext,
): Redefinition {
  const steps = members.flatMap((member) => {
    const { deployed } = member;
    return deployed === undefined ? [] : [{ member, deployed }];
  });
  return {
    first: steps
      .filter(({ member }) => isGrown(member))
      .map(({ member, deployed }) => ({
        ...stepOf(member, reasonOf(member)),
        undo: shrink(deployed, state),
        lock: NO_LOCK,
      })),
    last: steps.map(({ member, deployed }) => ({
      ...stepOf(member, reasonOf(member)),
      statements: [replaceView(member, deployed, member.finalQuery)],
      undo: isGrown(member) ? [] : [replaceView(member, deployed)],
      stops: [names.nameBefore(member.name)],
    })),
  };
}

/** Whether it has more columns, which `CREATE OR REPLACE` can't remove again. */
export function isGrown({ columns, deployed }: RehearsedMember): boolean {
  return columns.length > (deployed?.row.columns.length ?? 0);
}

/** The views that undoing added columns recreates, each after everything that it reads. */
export function madeAgain(deployed: DeployedView, state: DatabaseState): DeployedView[] {
  const names = withDependents([displayName(deployed.name)], state);
  const views = [...names].map((name) => ({ deployed: state.views.get(name) }));
  return inOldOrder(views, state).map((each) => each.deployed);
}

function stepOf({ name }: RehearsedMember, reason: string): PlanStep {
  return {
    action: 'replace',
    view: displayName(name),
    name,
    reason,
    statements: [],
    undo: [],
    lock: EXCLUSIVE_LOCK,
    rewritesRows: false,
  };
}

/** @param finalQuery its new definition @default the old one */
function replaceView(
  { kind, name, definition }: RehearsedMember,
  { row }: DeployedView,
  finalQuery?: string,
): SqlStatement {
  const isBack = finalQuery === undefined;
  return createView({
    kind,
    name,
    replaces: true,
    query: { text: finalQuery ?? row.definition, isDeclared: false },
    withData: true,
    accessMethod: null,
    toastStorage: [],
    tablespace: null,
    // The options are replaced too: without any, the view would lose those that it has.
    storage: isBack || definition === undefined ? row.storage : storageOf(definition, row.storage),
  });
}

function shrink(deployed: DeployedView, state: DatabaseState): SqlStatement[] {
  const views = madeAgain(deployed, state);
  const lost = views.flatMap((view) => [...uncarried(view), ...view.otherDependents]);
  if (lost.length > 0) {
    const name = displayName(deployed.name);
    return [
      refuseWayBack(
        `"${name}" has more columns than before. It cannot be recreated without them, because that would lose ${lost.join(', ')}.`,
      ),
    ];
  }
  const { build, finish } = restoration(asTheyWere(views), state);
  return [
    ...[...views].reverse().map(({ kind, name }) => dropView(kind, name)),
    ...build,
    ...finish,
  ];
}
