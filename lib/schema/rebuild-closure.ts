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

/** A view that is rebuilt because it changed or is missing, or because it reads such a view. */
export interface ClosureMember {
  /** Its final name. */
  name: QualifiedName;
  kind: ViewKind;
  /** Its final query: declared, or for an undeclared plain view PostgreSQL's own text. */
  query: string;
  /** `undefined` for a plain view that no class declares. */
  definition?: ViewDefinition;
  /** `undefined` for a view that is missing. */
  deployed?: DeployedView;
  /** Its indexes that the library created: kept only if they are declared. */
  ownIndexes: string[];
  /** The views that its functions read, as this process declares them, even if it is rebuilt unchanged. */
  dependsOn: readonly QualifiedName[];
  /** Whether it exists and gets its new definition in place, so that what reads it stays too. */
  isReplaced?: boolean;
}

/** An undeclared view is created from PostgreSQL's own text. */
export function queryOf({ query, definition }: ClosureMember): ViewQuery {
  return { text: query, isDeclared: definition !== undefined };
}

/** What a closure is computed from. */
export interface ClosureInput {
  changed: Omit<ClosureMember, 'ownIndexes' | 'dependsOn'>[];
  /** Names of views that are replaced in place, unless they read a rebuilt one. @default none */
  replaced?: ReadonlySet<string>;
  /** Declared views that may be created as declared. */
  definitions: readonly ViewDefinition[];
  /** The library's views that are rebuilt unchanged because the database has a newer version, by name. */
  asTheyAre: ReadonlyMap<string, ViewDefinition>;
  /** Names of views that are dropped. */
  pruned: ReadonlySet<string>;
  state: DatabaseState;
  policy: UnmanagedDependents;
}

/**
 * Adds to the rebuilt views everything that reads them, directly or not: a dependent is bound to the
 * old view by its OID and would keep reading that.
 *
 * @throws UnmanagedDependentsError if something that can't be rebuilt depends on them or belongs to one of them
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

/** Whether a rebuilt view still reads a dropped one is known only once its new definition is tried. */
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

/** The same, with a description of what can't be rebuilt. */
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
  // Added while iterating: iterating over a Map includes what is added meanwhile, so this goes all
  // the way up.
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
        // Without a definition, all its indexes stay.
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

/**
 * A plain view is recreated from its definition and properties. Its own triggers and rules are more than
 * that.
 */
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
