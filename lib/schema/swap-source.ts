import { isDeepStrictEqual } from 'node:util';
import type { ViewDefinition } from '../definition/view-definition.js';
import { RefreshLockError, SwapRefusedError, ViewMissingError } from '../errors/refresh.errors.js';
import { displayName, type QualifiedName } from '../postgres/identifier.js';
import type { Session } from '../postgres/session.js';
import { selectSwapObstacles, type SwapObstacleRow } from '../postgres/swap.sql.js';
import {
  type IndexRow,
  selectIndexesOf,
  selectViews,
  selectViewStatistics,
  type StatisticsRow,
  type ViewRow,
} from '../postgres/view-catalog.sql.js';
import { MATERIALIZED, viewKindOf } from '../postgres/view-kind.js';
import type { DeployedView } from './deployed-view.js';
import { foreignLiterals, uncarried } from './uncarried.js';

/** A view that its copy can replace, with everything that the copy needs to be the same. */
export interface SwapSource {
  deployed: DeployedView;
}

/**
 * Reads one view, in a constant number of queries.
 *
 * @throws SwapRefusedError if something depends on it or can't be copied
 * @throws ViewMissingError if there is no such view
 */
export async function readSwapSource(
  session: Session,
  definition: ViewDefinition,
): Promise<SwapSource> {
  const { name } = definition;
  const [row] = await session.query<ViewRow>(selectViews(name));
  if (row === undefined || viewKindOf(row.relation_kind) !== MATERIALIZED) {
    throw missing(name);
  }
  const obstacles = await session.query<SwapObstacleRow>(selectSwapObstacles(row.oid));
  const indexes = await session.query<IndexRow>(selectIndexesOf(row.oid));
  const statistics = await session.query<StatisticsRow>(selectViewStatistics(row.oid));
  const deployed: DeployedView = {
    row,
    name,
    kind: MATERIALIZED,
    indexes,
    statistics,
    otherDependents: [],
  };
  refuseObstacles(name, [
    ...obstacles,
    ...uncarried(deployed, definition).map((description) => ({ is_dependent: false, description })),
  ]);
  refuseForeign(name, foreignLiterals(deployed));
  return {
    deployed,
  };
}

/** Not everything that must be copied takes a lock: a GRANT doesn't. */
export function requireUnchanged(before: SwapSource, now: SwapSource): void {
  if (!isDeepStrictEqual(now, before)) {
    const view = displayName(before.deployed.name);
    throw new RefreshLockError(
      `Materialized view "${view}" was changed (its privileges, comments or the like) while its new rows were built. The new rows are discarded, so that the change is not lost.`,
      { view, hint: 'Refresh it again.' },
    );
  }
}

/** @throws SwapRefusedError if there are any */
export function refuseObstacles(name: QualifiedName, obstacles: SwapObstacleRow[]): void {
  const listed = (isDependent: boolean): string =>
    obstacles
      .filter((each) => each.is_dependent === isDependent)
      .map(({ description }) => description)
      .join(', ');
  const view = displayName(name);
  const [dependents, belongings] = [listed(true), listed(false)];
  if (dependents !== '') {
    throw new SwapRefusedError(
      `Cannot refresh materialized view "${view}" by swap: the old view would be dropped, and ${dependents} depends on it. The view was not changed.`,
      {
        view,
        hint: 'Only a view on which nothing depends can be swapped. Give this one a unique index and refresh it concurrently.',
      },
    );
  }
  if (belongings !== '') {
    throw new SwapRefusedError(
      `Cannot refresh materialized view "${view}" by swap: it has ${belongings}, which its copy would lose. The view was not changed.`,
      { view, hint: 'Take that away, or refresh it in another mode.' },
    );
  }
}

function refuseForeign(name: QualifiedName, literals: string[]): void {
  if (literals.length > 0) {
    const view = displayName(name);
    throw new SwapRefusedError(
      `Cannot refresh materialized view "${view}" by swap: it has ${literals.join(', ')}, and reading that would run functions of other roles with the rights of this role. The view was not changed.`,
      { view, hint: 'Refresh it in another mode.' },
    );
  }
}

function missing(name: QualifiedName): ViewMissingError {
  const view = displayName(name);
  return new ViewMissingError(
    `Cannot refresh "${view}" by swap: there is no materialized view of this name outside of extensions.`,
    { view, hint: 'Was it dropped or renamed by hand? Booting creates a missing view again.' },
  );
}
