import { type MappedColumn, type ViewDefinition, viewName } from '../definition/view-definition.js';
import { InvalidDefinitionError } from '../errors/usage.errors.js';
import type { RehearsedMember } from './rehearsal.js';
import { keepsOldName, type SchemaDiff } from './schema-diff.js';

/** A view with the columns that it has, or will have, in the database. */
export interface ViewColumns {
  view: ViewDefinition;
  columns: string[];
}

/**
 * The columns of the views that will match their declarations. For a view that is left as it is, the missing columns
 * are known already, and a missing view has none.
 *
 * @param left the names of views that keep another definition, and of those above them: their missing columns may
 * come with the new definition
 */
export function columnsToBe(
  { views }: SchemaDiff,
  members: RehearsedMember[],
  left: ReadonlySet<string>,
): ViewColumns[] {
  const memberOf = new Map(members.map((member) => [member.definition, member]));
  return views.flatMap((diff) => {
    const { view, deployed, newerVersion } = diff;
    const member = memberOf.get(view);
    if (member !== undefined) {
      return [{ view, columns: member.columns }];
    }
    return deployed?.kind !== view.kind ||
      left.has(viewName(view)) ||
      newerVersion !== undefined ||
      keepsOldName(diff)
      ? []
      : [{ view, columns: deployed.row.columns.map(({ name }) => name) }];
  });
}

/** @throws InvalidDefinitionError if a class maps a column that its view doesn't have: no row could be read */
export function refuseMissingColumns(found: ViewColumns[]): void {
  const wrong = found
    .map((each) => ({ ...each, missing: missingFrom(each) }))
    .filter(({ missing }) => missing.length > 0);
  const [first] = wrong;
  if (first === undefined) {
    return;
  }
  throw new InvalidDefinitionError(`${wrong.map(describe).join(' ')} Nothing has been changed.`, {
    view: viewName(first.view),
    hint: hintFor(first.missing, first.columns),
  });
}

function missingFrom({ view, columns }: ViewColumns): MappedColumn[] {
  const there = new Set(columns);
  return view.columns.filter(({ name }) => !there.has(name));
}

function describe({ view, columns, missing }: ViewColumns & { missing: MappedColumn[] }): string {
  const properties = missing
    .map(({ property, name }) => `${view.target.name}.${property} is mapped to column "${name}"`)
    .join(', and ');
  const names = columns.map((name) => `"${name}"`).join(', ');
  return `${properties}, which the query of ${view.kind.noun} "${viewName(view)}" does not have: its columns are ${names || 'none'}.`;
}

function hintFor(missing: MappedColumn[], columns: string[]): string {
  const folded = missing.find(({ name }) => columns.includes(name.toLowerCase()));
  return folded === undefined
    ? 'Add the column to the query, take the property out of the class, or map it with @ViewColumn({ name }).'
    : `PostgreSQL writes names without quotes in lower case. Put quotes around the name in the query, as in AS "${folded.name}", or map the property to what it is called now: @ViewColumn({ name: '${folded.name.toLowerCase()}' }).`;
}
