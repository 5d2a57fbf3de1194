import { displayName, type QualifiedName } from '../postgres/identifier.js';
import type { DatabaseState } from './database-state.js';
import type { NamePlan } from './name-plan.js';
import { isGrown, madeAgain } from './redefinition.js';
import type { Rehearsed, RehearsedMember } from './rehearsal.js';
import type { SchemaDiff } from './schema-diff.js';

/** A view that a migration changes, with its names before and after. */
export interface TouchedView {
  change: 'created' | 'replaced' | 'dropped' | 'altered' | 'redefined' | 'kept';
  before: QualifiedName;
  after: QualifiedName;
  /** What it becomes. */
  member?: ViewAfter;
  /** Whether only `down` recreates it. */
  isMadeAgain?: boolean;
}

/** A view as it is after a migration. */
export type ViewAfter = Pick<
  RehearsedMember,
  'kind' | 'definition' | 'deployed' | 'columns' | 'columnTypes' | 'finalQuery'
> & { ownIndexes?: readonly string[] };

/** The kinds of facts that are changed in place. */
export const IN_PLACE: ReadonlySet<string> = new Set([
  'index',
  'index setting',
  'cluster',
  'storage',
  'comment',
  'tablespace',
]);

/** The views whose facts a plan could lose. */
export function touchedViews(
  { views }: SchemaDiff,
  { members, going }: Pick<Rehearsed, 'members' | 'going'>,
  names: NamePlan,
  state: DatabaseState,
): TouchedView[] {
  const rebuilt = members.filter(({ isReplaced }) => !isReplaced);
  const redefined = members.filter(({ isReplaced }) => isReplaced);
  const touchedNames = new Set(members.map(({ name }) => displayName(name)));
  return [
    ...rebuilt.map((member) => ({
      change: member.deployed === undefined ? ('created' as const) : ('replaced' as const),
      before: names.nameBefore(member.name),
      after: member.name,
      member,
    })),
    ...redefined.map((member) => ({
      change: 'redefined' as const,
      before: names.nameBefore(member.name),
      after: member.name,
      member,
      isMadeAgain: isGrown(member),
    })),
    ...keptAbove(redefined, state, touchedNames),
    ...going.map(({ name }) => ({ change: 'dropped' as const, before: name, after: name })),
    ...views
      .filter(
        ({ view, differences }) =>
          !touchedNames.has(displayName(view.name)) &&
          differences.some(({ kind }) => kind.startsWith('index-') || IN_PLACE.has(kind)),
      )
      .map(({ view: { name } }) => ({
        change: 'altered' as const,
        before: names.nameBefore(name),
        after: name,
      })),
  ];
}

/** Views that read a view with added columns stay, until `down` recreates them. */
function keptAbove(
  redefined: readonly RehearsedMember[],
  state: DatabaseState,
  others: ReadonlySet<string>,
): TouchedView[] {
  const above = redefined
    .filter(isGrown)
    .flatMap(({ deployed }) => (deployed === undefined ? [] : madeAgain(deployed, state)));
  return [...new Set(above)]
    .filter(({ name }) => !others.has(displayName(name)))
    .map((deployed) => ({
      change: 'kept' as const,
      before: deployed.name,
      after: deployed.name,
      member: {
        kind: deployed.kind,
        deployed,
        columns: deployed.row.columns.map(({ name }) => name),
        columnTypes: deployed.row.columns.map(({ type }) => type),
        finalQuery: deployed.row.definition,
      },
      isMadeAgain: true,
    }));
}
