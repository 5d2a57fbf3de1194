import type { RebuildStrategy } from '../definition/module.options.js';
import { displayName, rowName } from '../postgres/identifier.js';
import type { SqlStatement } from '../postgres/sql-statement.js';
import { dropView, refuseWayBack } from '../postgres/view-ddl.sql.js';
import type { DatabaseState } from './database-state.js';
import { deployedName, type DeployedView } from './deployed-view.js';
import { type HiddenIndex, withHidden } from './hidden-indexes.js';
import { namesIn, type NamePlan } from './name-plan.js';
import { inPhases, type PlanPhases } from './plan-phases.js';
import { EXCLUSIVE_LOCK, LONG_EXCLUSIVE_LOCK, NO_LOCK } from '../postgres/lock-words.js';
import type { PlanStep } from './plan-step.js';
import type { OldView } from './old-views.js';
import type { RehearsedMember } from './rehearsal.js';
import { asTheyWere, restoration } from './restoration.js';
import {
  blueprintOf,
  buildStatements,
  fillStatements,
  renameStatements,
} from './view-blueprint.js';
import { uncarried } from './uncarried.js';
import { inOldOrder } from './view-order.js';

export interface ReplacementInput {
  /** In order of dependency: each after everything that it reads. */
  members: RehearsedMember[];
  /** Views that are dropped without a replacement. */
  going: OldView[];
  /** Unpopulated views that are filled first. */
  filled: ReadonlySet<string>;
  state: DatabaseState;
  names: NamePlan;
  /** Indexes that have other names when their views are dropped: those of rebuilt and dropped views. */
  hidden: readonly HiddenIndex[];
  strategy: RebuildStrategy;
  reasonOf: (member: RehearsedMember) => string;
}

const SWAP = { action: 'swap', rewritesRows: false } as const;
const ROOM = 'The old views make room for the new ones';
const FILLED = 'When this is undone, the old views are filled or emptied under their old names';
const NAMES = 'The new views take the names of the old ones';

/**
 * How a closure is rebuilt and undeclared views are dropped, and how that is undone. Nothing is dropped with
 * CASCADE.
 */
export function planReplacement(input: ReplacementInput): PlanPhases & { first: PlanStep[] } {
  const { first, ...phases } = replacementOf(input);
  return { first: [...first, ...oneWay(input.going)], ...phases };
}

/** If dropping an undeclared view loses something that can't be recreated, the plan has no undo. */
function oneWay(going: readonly OldView[]): PlanStep[] {
  const lost = going.flatMap(({ deployed }) =>
    uncarried(deployed).map((each) => `"${deployedName(deployed)}" with its ${each}`),
  );
  const reason = `This cannot be undone, because what was dropped cannot be recreated: ${lost.join(', ')}.`;
  return lost.length === 0
    ? []
    : [{ ...SWAP, reason, statements: [], undo: [refuseWayBack(reason)], lock: NO_LOCK }];
}

function replacementOf(input: ReplacementInput): PlanPhases & { first: PlanStep[] } {
  if (input.members.length === 0) {
    return { first: [], ...pruning(input) };
  }
  return input.strategy === 'side-by-side' ? { first: [], ...sideBySide(input) } : inPlace(input);
}

/**
 * The old views whose functions read others, as remembered. The functions find them by names that they have again
 * only once everything is undone.
 *
 * @param late names of views that get their names late, together with all renamed ones
 */
function readersInFunctions(
  late: readonly string[],
  { state, names }: Pick<ReplacementInput, 'state' | 'names'>,
): string[] {
  const isMoved = ({ name }: DeployedView): boolean =>
    displayName(names.nameBefore(name)) !== displayName(name);
  const moved = [...state.views.values()].filter(isMoved).map(deployedName);
  const sources = new Set([...late, ...moved]);
  return [...state.known.values()]
    .filter(({ depends_on }) => depends_on?.some((source) => sources.has(source)))
    .map(rowName);
}

function sideBySide(input: ReplacementInput): PlanPhases {
  const { members, state, filled, names } = input;
  const old = [...members.flatMap((member) => member.old ?? []), ...input.going];
  const last = members.filter(({ isFilledLast }) => isFilledLast);
  const restored = restoration(old, state, {
    filled,
    last: new Set([
      ...last.map(({ name }) => displayName(name)),
      ...readersInFunctions(namesOf(old), input),
    ]),
    nameThen: ({ name }) => names.nameBefore(name),
  });
  const renames = members.flatMap((member) => renameStatements(blueprintOf(member)));
  const steps = members.map((member) => buildStep(input, member, NO_LOCK));
  if (old.length + renames.length === 0) {
    // Nothing is replaced, so each new view is undone by itself.
    return inPhases({
      build: steps.map((step, at) => ({ ...step, undo: dropAll(members.slice(at, at + 1)) })),
      finish: fillSteps(last),
    });
  }
  const dropped = fromAbove(old, state);
  return inPhases({
    build: steps.map((step, at) => ({ ...step, undo: at === 0 ? restored.finish : [] })),
    clear: [
      {
        ...SWAP,
        reason: ROOM,
        statements: dropped.map(({ deployed, name }) => dropView(deployed.kind, name)),
        undo: dropAll(members),
        stops: dropped.map(({ name }) => name),
        lock: EXCLUSIVE_LOCK,
      },
      ...fromAbove(input.going, state).map((view) => pruneStep(view)),
    ],
    finish: [
      { ...SWAP, reason: NAMES, statements: renames, undo: restored.build, lock: EXCLUSIVE_LOCK },
      ...fillSteps(last),
    ],
  });
}

/** Without room for both copies, readers wait for all of it, until the new rows exist. */
function inPlace(input: ReplacementInput): PlanPhases & { first: PlanStep[] } {
  const { members, filled, names } = input;
  const state = withHidden(input.state, input.hidden);
  const hidden = (view: DeployedView): DeployedView => state.views.get(deployedName(view)) ?? view;
  const going = asTheyWere(input.going.map(({ deployed }) => hidden(deployed)));
  const rebuilt = members.flatMap(({ deployed }) => (deployed ? hidden(deployed) : []));
  const old = [...asTheyWere(rebuilt), ...going];
  const lock = old.length === 0 ? NO_LOCK : LONG_EXCLUSIVE_LOCK;
  const { build, finish } = restoration(old, state, {
    filled,
    last: new Set(readersInFunctions([], { state, names })),
    nameThen: ({ name }) => names.nameBefore(name),
  });
  const dropped = fromAbove(old, state);
  const fill = { ...SWAP, reason: FILLED, statements: [], undo: finish, lock };
  return {
    first: finish.length === 0 ? [] : [fill],
    ...inPhases({
      build: members.map((member) => buildStep(input, member, lock)),
      clear: [
        {
          ...SWAP,
          reason: ROOM,
          statements: dropped.map(({ deployed, name }) => dropView(deployed.kind, name)),
          undo: [...dropAll(members), ...build],
          stops: dropped.map(({ name }) => names.nameBefore(name)),
          lock,
        },
        ...fromAbove(going, state).map((view) => pruneStep(view)),
      ],
    }),
  };
}

function namesOf(views: readonly OldView[]): string[] {
  return views.map(({ deployed }) => deployedName(deployed));
}

/** Views are dropped, and nothing is rebuilt. */
function pruning({ names, ...input }: ReplacementInput): PlanPhases {
  const state = withHidden(input.state, input.hidden);
  const going = input.going.map((view) => ({
    ...view,
    deployed: state.views.get(deployedName(view.deployed)) ?? view.deployed,
  }));
  const readsMoved = new Set(readersInFunctions([], { state, names }));
  // Undone in two parts: what is in the way of old names, and what finds others by their old names.
  const isSplit = going.some(
    ({ deployed }) =>
      readsMoved.has(deployedName(deployed)) || namesIn(deployed).some(names.isWanted),
  );
  const old = isSplit ? going : asTheyWere(going.map(({ deployed }) => deployed));
  const { build, finish } = restoration(old, state, {
    last: new Set(isSplit ? readersInFunctions(namesOf(old), { state, names }) : []),
    // Otherwise all is undone before renamed views get their old names back.
    ...(isSplit && { nameThen: ({ name }) => names.nameBefore(name) }),
  });
  const steps = fromAbove(old, state).map((view, at) =>
    pruneStep(view, {
      statements: [dropView(view.deployed.kind, view.name)],
      undo: at > 0 || isSplit ? [] : [...build, ...finish],
      stops: [view.name],
      lock: EXCLUSIVE_LOCK,
    }),
  );
  const [back] = isSplit ? steps.map((step) => ({ ...step, statements: [], stops: [] })) : [];
  return inPhases({
    build: back ? [{ ...back, action: 'swap', undo: finish }] : [],
    clear: steps,
    finish: back ? [{ ...back, action: 'swap', undo: build }] : [],
  });
}

/** Separately, only if there is no exchange that includes it. */
function pruneStep(
  { deployed, name }: OldView,
  alone?: Pick<PlanStep, 'statements' | 'undo' | 'stops' | 'lock'>,
): PlanStep {
  const apart = { statements: [], undo: [], lock: NO_LOCK };
  return {
    action: 'drop',
    view: displayName(deployed.name),
    name,
    reason: 'No class declares it any more',
    ...(alone ?? apart),
    rewritesRows: false,
  };
}

function buildStep(
  { reasonOf }: ReplacementInput,
  member: RehearsedMember,
  lock: string,
): PlanStep {
  return {
    action: 'build',
    view: displayName(member.name),
    name: member.name,
    reason: reasonOf(member),
    statements: buildStatements(blueprintOf(member)),
    undo: [],
    lock,
    rewritesRows: member.kind.storesRows && !member.isFilledLast,
  };
}

/** For views whose functions find others by name: only now do the names belong to the new views. */
function fillSteps(members: RehearsedMember[]): PlanStep[] {
  return members
    .filter(({ kind, withData }) => kind.storesRows && withData)
    .map(({ name }) => ({
      action: 'populate',
      view: displayName(name),
      name,
      reason: 'It calls a function that finds a view by a name which the view gets only now',
      statements: fillStatements(name),
      undo: [],
      lock: LONG_EXCLUSIVE_LOCK,
      rewritesRows: true,
    }));
}

function dropAll(members: RehearsedMember[]): SqlStatement[] {
  return [...members].reverse().map((member) => dropView(member.kind, member.name));
}

/** In the order in which they can be dropped. */
function fromAbove(views: OldView[], state: DatabaseState): OldView[] {
  return inOldOrder(views, state)
    .reverse()
    .map(({ member }) => member);
}
