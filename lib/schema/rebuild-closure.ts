import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { UnmanagedDependentsError } from '../errors/schema.errors.js';
import type { UnmanagedDependents } from '../definition/module.options.js';
import { displayName, type QualifiedName } from '../postgres/identifier.js';
import type { ViewQuery } from '../postgres/rehearsal.sql.js';
import type { ViewKind } from '../postgres/view-kind.js';
import type { DatabaseState } from './database-state.js';
import { dependentsLeft, describeView, refuseToDrop } from './dependents.js';
import { type DeployedView, deployedName } from './deployed-view.js';
import { isAsKnown } from './holders.js';
import { refuseLosses } from './uncarried.js';

/** One view that is rebuilt: because it changed or is missing, or because it reads one that is. */
export interface ClosureMember {
  /** The name that it has in the end. */
  name: QualifiedName;
  kind: ViewKind;
  /** Its query in the end: declared, or for a plain view what PostgreSQL has of it. */
  query: string;
  /** `undefined` for a plain view, which nobody declares. */
  definition?: ViewDefinition;
  /** `undefined` for a view that is missing. */
  deployed?: DeployedView;
  /** Its indexes that the library made: kept only where they are declared. */
  ownIndexes: string[];
  /** What functions that it calls read, as this process declares it: also of one that is made as it is. */
  dependsOn: readonly QualifiedName[];
  /** Whether it is there, stays, and gets its new definition where it is, so that what reads it stays too. */
  isReplaced?: boolean;
}

/** What nobody declares is made from PostgreSQL's own text. */
export function queryOf({ query, definition }: ClosureMember): ViewQuery {
  return { text: query, isDeclared: definition !== undefined };
}

/** What a closure is taken over. */
export interface ClosureInput {
  changed: Omit<ClosureMember, 'ownIndexes' | 'dependsOn'>[];
  /** Names of those that are replaced where they are, unless they read one that is rebuilt. @default none */
  replaced?: ReadonlySet<string>;
  /** Declared views that may be made as declared. */
  definitions: readonly ViewDefinition[];
  /** Views that are the library's, and are rebuilt as they are, by name: the database has a newer version. */
  asTheyAre: ReadonlyMap<string, ViewDefinition>;
  /** Names of views that go. */
  pruned: ReadonlySet<string>;
  state: DatabaseState;
  policy: UnmanagedDependents;
}

/**
 * Adds to the views that are rebuilt everything that reads them, at whatever distance: a dependent is
 * bound to the old view by its OID and would keep reading that.
 *
 * @throws UnmanagedDependentsError when something depends on them, or hangs on one of them, that cannot be rebuilt
 */
export function closeOverDependents(input: ClosureInput): ClosureMember[] {
  const { members, unmanaged } = closureOf(input);
  if (unmanaged.size > 0) {
    throw refusal(input.changed, [...unmanaged]);
  }
  refuseInUse(input, members);
  const { known } = input.state;
  refuseLosses(
    members
      .filter(({ isReplaced }) => !isReplaced)
      .map((member) => ({
        ...member,
        isOwn:
          member.deployed && isAsKnown(member.deployed, known.get(deployedName(member.deployed))),
      })),
  );
  return members;
}

/** Whether a view that is rebuilt goes on reading one that goes, shows only when its new definition stands. */
function refuseInUse({ state, pruned }: ClosureInput, members: ClosureMember[]): void {
  const going = [...pruned].flatMap((name) => state.views.get(name) ?? []);
  const names = members.map(({ name, deployed }) => displayName(deployed?.name ?? name));
  const others = new Set([...pruned, ...names]);
  const inUse = going.filter((view) => dependentsLeft([view], state, others).length > 0);
  refuseToDrop(
    inUse.map(({ name }) => name),
    dependentsLeft(inUse, state, others),
  );
}

/** The same, with a description of what cannot be rebuilt. */
export function closureOf(input: ClosureInput): {
  members: ClosureMember[];
  unmanaged: Set<string>;
} {
  const { changed, definitions, state, pruned, replaced = new Set() } = input;
  const declared = new Map(definitions.map((view) => [viewName(view), view]));
  const members = new Map(
    changed
      .filter(({ name }) => !replaced.has(displayName(name)))
      .map((member) => [displayName(member.deployed?.name ?? member.name), member]),
  );
  const unmanaged = new Set<string>();
  // Found while iterating: a Map hands out what is added to it, so this goes all the way up.
  for (const [name, member] of members) {
    member.deployed?.otherDependents.forEach((other) => unmanaged.add(other));
    for (const dependent of state.dependents.get(name) ?? []) {
      const deployed = state.views.get(dependent);
      if (deployed !== undefined && !members.has(dependent) && !pruned.has(dependent)) {
        const definition = declared.get(dependent);
        if (definition === undefined && !canRebuild(deployed, input)) {
          unmanaged.add(describeView(deployed));
        }
        members.set(dependent, {
          name: deployed.name,
          kind: definition?.kind ?? deployed.kind,
          query: definition?.query ?? deployed.row.definition,
          definition,
          deployed,
        });
      }
    }
  }
  const staying = changed
    .filter(({ name }) => replaced.has(displayName(name)) && !members.has(displayName(name)))
    .map((member) => ({
      ...member,
      ownIndexes: [],
      dependsOn: member.definition?.dependsOn ?? [],
      isReplaced: true,
    }));
  return {
    members: [
      ...[...members].map(([name, member]) => ({
        ...member,
        // Without a definition all its indexes stay.
        ownIndexes: member.definition ? (state.known.get(name)?.own_indexes ?? []) : [],
        dependsOn: (member.definition ?? input.asTheyAre.get(name))?.dependsOn ?? [],
      })),
      ...staying,
    ],
    unmanaged,
  };
}

function canRebuild(deployed: DeployedView, { policy, asTheyAre }: ClosureInput): boolean {
  return asTheyAre.has(displayName(deployed.name)) || canRebuildPlainView(deployed, policy);
}

/** A plain view is its definition and what hangs on it; triggers and rules of its own are more than that. */
export function canRebuildPlainView(
  { kind, row }: DeployedView,
  policy: UnmanagedDependents,
): boolean {
  return policy === 'rebuild' && !kind.storesRows && !row.has_triggers_or_rules;
}

function refusal(changed: ClosureInput['changed'], dependents: string[]): UnmanagedDependentsError {
  const names = changed
    .filter(({ deployed }) => deployed !== undefined)
    .map(({ name }) => `"${displayName(name)}"`);
  return new UnmanagedDependentsError(
    `Cannot change ${names.join(', ')}: ${dependents.join(', ')} would have to be created again too, and the library did not create ${dependents.length === 1 ? 'it' : 'them'}. Nothing has been changed.`,
    {
      view: changed[0] && displayName(changed[0].name),
      hint: "Drop and recreate them yourself around the change, or have plain views rebuilt with `unmanagedDependents: 'rebuild'`.",
    },
  );
}
