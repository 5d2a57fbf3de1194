import {
  mustBeKnowable,
  type ViewDefinition,
  type ViewFreshness,
  viewName,
} from '../definition/view-definition.js';
import { InvalidDefinitionError } from '../errors/usage.errors.js';
import type { QualifiedName } from '../postgres/identifier.js';
import type { Session } from '../postgres/session.js';
import {
  type ObstacleReason,
  obstacleReasons,
  type ObstacleRow,
  selectObstacles,
} from '../postgres/obstacle.sql.js';
import { selectSources, type SourceRow } from '../postgres/source.sql.js';
import { rootsOfDefinition } from './capture-needs.js';
import { refuseCircles } from './refresh-circle.js';

/**
 * Refuses three kinds of views: those for which it can't be known whether a refresh would give the same
 * rows, those whose own refresh would trigger the next one endlessly, and those whose sources are unknown.
 *
 * @throws InvalidDefinitionError naming the view, the option and the reasons
 */
export async function refuseUnknowable(
  session: Pick<Session, 'query'>,
  stateSchema: string,
  definitions: readonly ViewDefinition[],
  standIns: readonly QualifiedName[],
): Promise<void> {
  await refuseCircles(session, definitions);
  await refuseObstructed(session, stateSchema, definitions, standIns);
  await refuseSourceless(session, definitions, standIns);
}

async function refuseObstructed(
  session: Pick<Session, 'query'>,
  stateSchema: string,
  definitions: readonly ViewDefinition[],
  standIns: readonly QualifiedName[],
): Promise<void> {
  const asked = definitions.flatMap((view) => {
    const { freshness } = view;
    return freshness === undefined
      ? []
      : rootsOfDefinition(view).map((root) => ({ view, freshness, root }));
  });
  if (asked.length === 0) {
    return;
  }
  const roots = asked.map(({ root }) => root);
  const rows = await session.query<ObstacleRow>(selectObstacles(stateSchema, roots, standIns));
  const obstacles = rows.flatMap((row) => {
    const { view, freshness } = asked[row.position] ?? {};
    return view && freshness && matters(freshness, row) ? [{ view, freshness, row }] : [];
  });
  const [first] = obstacles;
  if (first !== undefined) {
    const reasons = obstacles
      .filter(({ view }) => view === first.view)
      .map(({ row }) => describe(row));
    throw refusal(first.view, first.freshness, [...new Set(reasons)]);
  }
}

/** Refuses a view for which the catalog knows no sources: no write would ever be noticed. */
async function refuseSourceless(
  session: Pick<Session, 'query'>,
  definitions: readonly ViewDefinition[],
  standIns: readonly QualifiedName[],
): Promise<void> {
  const asking = definitions.filter(
    ({ freshness }) =>
      freshness?.readsSources && freshness.tables.length === 0 && !freshness.isImplied,
  );
  if (asking.length === 0) {
    return;
  }
  const roots = asking.map(({ name }) => ({ view: name, root: name }));
  const rows = await session.query<SourceRow>(selectSources(roots, standIns));
  // A view that doesn't exist has a row too, without a name. That doesn't mean that it has no
  // sources.
  const found = new Set(rows.map(({ position }) => position));
  const view = asking.find((_, position) => !found.has(position));
  if (view !== undefined) {
    throw new InvalidDefinitionError(
      `Materialized view "${viewName(view)}" of ${view.target.name} cannot have \`refresh.${optionOf(view)}\`: its query reads no table or view that the catalog knows of, for example because a function does all the reading. So no write could be noticed. Nothing has been changed.`,
      { view: viewName(view), hint: 'Name the tables whose writes count in `on`.' },
    );
  }
}

function optionOf({ freshness }: ViewDefinition): string {
  if (freshness?.onWrite !== undefined) {
    return 'on';
  }
  return freshness?.maxStalenessMs === undefined ? 'skipUnchanged' : 'maxStaleness';
}

function matters(freshness: ViewFreshness, { reason }: ObstacleRow): boolean {
  return obstacleReasons(mustBeKnowable(freshness)).includes(reason);
}

function refusal(
  view: ViewDefinition,
  freshness: ViewFreshness,
  reasons: string[],
): InvalidDefinitionError {
  const isKnowable = mustBeKnowable(freshness);
  const skipping = freshness.maxStalenessMs === undefined ? 'skipUnchanged' : 'maxStaleness';
  const option = isKnowable ? skipping : 'on';
  return new InvalidDefinitionError(
    `Materialized view "${viewName(view)}" of ${view.target.name} cannot have \`refresh.${option}\`: ${reasons.join('; ')}. So it can be out of date without a write that could be noticed. Nothing has been changed.`,
    {
      view: viewName(view),
      hint:
        !isKnowable && freshness.readsSources
          ? 'Name the tables whose writes count in `on`, and refresh it with `cron` beside that.'
          : 'Refresh it with `cron` alone, or take that out of its query.',
    },
  );
}

function describe({ reason, subject }: ObstacleRow): string {
  return describeObstacle(reason, reason === 'volatile-function' ? subject : `"${subject}"`);
}

/**
 * Why changes can't be noticed, or why rows may differ without a change.
 *
 * @param subject the relation or function, as shown to users
 */
export function describeObstacle(reason: ObstacleReason, subject: string): string {
  switch (reason) {
    case 'foreign-table':
      return `${subject} is a foreign table, which is written in another server`;
    case 'not-a-table':
      return `${subject} is not a table`;
    case 'own-table':
      return `${subject} is the library's own`;
    case 'row-security':
      return `${subject} has row security, and policies decide what is read`;
    case 'subscribed':
      return `${subject} is written by a subscription, which fires no triggers for statements`;
    case 'system-catalog':
      return `${subject} is the system's own`;
    case 'unlogged':
      return `${subject} is unlogged, and empty after a crash`;
    case 'volatile-function':
      return `it calls ${subject}, which is not immutable`;
  }
}
