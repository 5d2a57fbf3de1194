import { viewName } from '../definition/view-definition.js';
import { codeAndMessageOf } from '../errors/error-message.js';
import type { MaterializedViewError } from '../errors/materialized-view.error.js';
import { displayName } from '../postgres/identifier.js';
import { describeOfAspect } from './aspects/aspects.js';
import { describeOrphan } from './holders.js';
import type { Prepared } from './preparation.js';
import type { ClosureMember } from './rebuild-closure.js';
import { describeFailure, type Difference, type SchemaDiff } from './schema-diff.js';
import type { StandInError } from './stand-ins.js';
import { describeDifference, hasFailingQuery } from './sync-policy.js';

/** For a difference that belongs to no single view. */
type ReportedKind = Exclude<
  SchemaDiff['others'][number]['kind'],
  'installation' | 'capture-left-over'
>;

/** One way in which the database differs from the code. */
export interface SchemaDifference {
  /**
   * `schema.name` of the view; of the table for superfluous triggers, or for a wake-up trigger that isn't as set.
   */
  view: string;
  kind: Difference['kind'] | ReportedKind | 'orphan' | 'refused';
  /** The same in words. */
  description: string;
}

/** All differences, with what stops a change. */
export function schemaDifferences({
  diff,
  failing,
  refusals,
}: Pick<Prepared, 'diff' | 'failing' | 'refusals'>): SchemaDifference[] {
  return [
    ...failing.filter(({ member }) => !isTold(member, diff)).map(failureDifference),
    ...diff.views.flatMap(({ view, differences }) =>
      differences.map((difference) => ({
        view: viewName(view),
        kind: difference.kind,
        description: describeDifference(difference),
      })),
    ),
    ...diff.orphans.map((orphan) => ({
      view: displayName(orphan.name),
      kind: 'orphan' as const,
      description: describeOrphan(orphan),
    })),
    ...diff.others.flatMap(otherDifference),
    ...refusals.filter(({ view }) => !lacksTable(view, diff)).map(refusedDifference),
  ];
}

function otherDifference(difference: SchemaDiff['others'][number]): SchemaDifference[] {
  const description = describeOfAspect(difference);
  return description === undefined || difference.subject === undefined
    ? []
    : [
        {
          view: displayName(difference.subject),
          kind: difference.kind as ReportedKind,
          description,
        },
      ];
}

function isTold(member: ClosureMember, { views }: SchemaDiff): boolean {
  return views.some((diff) => diff.view === member.definition && hasFailingQuery(diff));
}

/** Those that the diff already lists. */
function lacksTable(view: string | undefined, { views }: SchemaDiff): boolean {
  return views.some(
    (diff) =>
      viewName(diff.view) === view && diff.differences.some(({ kind }) => kind === 'table-missing'),
  );
}

/** A query that fails once the views below it are as declared, or whose view doesn't exist yet. */
function failureDifference({ member, cause }: StandInError): SchemaDifference {
  return {
    view: displayName(member.name),
    kind: 'query-fails',
    description: member.definition
      ? describeFailure(member.definition, cause)
      : `it cannot be rebuilt on the new definitions below it: ${codeAndMessageOf(cause)}`,
  };
}

function refusedDifference({ view, message }: MaterializedViewError): SchemaDifference {
  return {
    view: view ?? '',
    kind: 'refused',
    description: message.replace(' Nothing has been changed.', ''),
  };
}
