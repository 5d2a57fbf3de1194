import { QueryFailedError } from 'typeorm';
import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { codeAndMessageOf } from '../errors/error-message.js';
import { SchemaSyncError } from '../errors/schema.errors.js';
import type { IndexDefinition } from '../postgres/ddl.sql.js';
import { displayName } from '../postgres/identifier.js';
import { createStandIn, selectStandIns, type StandInRow } from '../postgres/rehearsal.sql.js';
import type { Statements } from '../postgres/statements.js';
import type { DatabaseState } from './database-state.js';
import { compareDefinitions } from './definition-comparison.js';
import { deployedName, type DeployedView } from './deployed-view.js';
import type { OldView } from './old-views.js';
import { asTheyWere, restoration } from './restoration.js';

/** What the code declares about a view, if the database has the same. */
interface Declared {
  query: string;
  indexes: IndexDefinition[];
}

export type DeclaredViews = ReadonlyMap<DeployedView, Declared>;

/**
 * The views that match the code. Only those come back as declared, because PostgreSQL's text of a definition contains the table's
 * old types. What someone changed by hand, or a newer release created, comes back as it was.
 */
export async function findDeclared(
  session: Statements,
  definitions: readonly ViewDefinition[],
  views: readonly DeployedView[],
  state: DatabaseState,
): Promise<DeclaredViews> {
  const byName = new Map(views.map((view) => [deployedName(view), view]));
  const concerned = definitions.filter((view) => byName.get(viewName(view))?.kind === view.kind);
  const comparisons = await compareDefinitions(session, concerned, state);
  const declared = new Map<DeployedView, Declared>();
  for (const view of concerned) {
    const deployed = byName.get(viewName(view));
    // A view without a comparison has the stored fingerprint.
    const { isSameQuery = true, changedIndexes = [] } = comparisons.get(viewName(view)) ?? {};
    if (deployed !== undefined && isSameQuery) {
      const indexes = view.indexes.filter((index) => !changedIndexes.includes(index));
      declared.set(deployed, { query: view.query, indexes });
    }
  }
  return declared;
}

/**
 * Recreates views that were dropped before a table changed.
 *
 * @param views each after everything that it reads
 * @throws SchemaSyncError if one can't be created from the table as it is now
 */
export async function restore(
  session: Statements,
  views: readonly DeployedView[],
  declared: DeclaredViews,
  state: DatabaseState,
): Promise<void> {
  const { builds, finish } = restoration(await redefined(session, views, declared), state);
  for (const { deployed, statements } of builds) {
    for (const statement of statements) {
      await explained(deployed, () => session.query(statement), statement.makes);
    }
  }
  for (const statement of finish) {
    await session.query(statement);
  }
}

/** Plain views stand in for all of them, to find out what the declared texts mean now. */
async function redefined(
  session: Statements,
  views: readonly DeployedView[],
  declared: DeclaredViews,
): Promise<OldView[]> {
  const rows = await session.undone(async () => {
    for (const view of views) {
      const text = declared.get(view)?.query;
      const query = { text: text ?? view.row.definition, isDeclared: text !== undefined };
      await explained(view, () => session.query(createStandIn(view.name, query)));
    }
    return session.query<StandInRow>(selectStandIns(views.map(({ name }) => name)));
  });
  return asTheyWere(views).map((old, position) => {
    const found = declared.get(old.deployed);
    const row = rows[position];
    return row === undefined
      ? old
      : {
          ...old,
          ...(found && { buildQuery: row.definition, declaredIndexes: found.indexes }),
          found: { columns: row.columns, plainColumns: row.plain_columns },
        };
  });
}

async function explained(
  view: DeployedView,
  work: () => Promise<unknown>,
  makes?: string,
): Promise<void> {
  try {
    await work();
  } catch (error) {
    // TypeORM copies all of pg's error into its own, with the statement and its values.
    const cause: unknown = error instanceof QueryFailedError ? error.driverError : error;
    const name = displayName(view.name);
    throw new SchemaSyncError(
      `Could not make ${makes === undefined ? '' : `${makes} of `}"${name}" again after the change of a table that it reads: ${codeAndMessageOf(cause)}. The transaction has to be rolled back.`,
      {
        view: name,
        cause,
        hint: 'Its definition has to fit the table as it is after the change, and every row of it.',
      },
    );
  }
}
