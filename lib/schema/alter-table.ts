import { type EntityTarget, type ObjectLiteral, QueryFailedError, type QueryRunner } from 'typeorm';
import { OptionPath } from '../definition/option-path.js';
import {
  aFunction,
  aQualifiedName,
  checkOptions,
  matching,
  objectOf,
} from '../definition/option-rules.js';
import { codeAndMessageOf } from '../errors/error-message.js';
import { SchemaSyncError, UnmanagedDependentsError } from '../errors/schema.errors.js';
import { MODULE_RULES, type UnmanagedDependents } from '../definition/module.options.js';
import { refreshLockKey } from '../postgres/advisory-lock.js';
import { lock } from '../postgres/advisory-lock.sql.js';
import {
  displayName,
  quoteIdentifier,
  quoteQualifiedName,
  rowName,
} from '../postgres/identifier.js';
import {
  giveBackSettings,
  takeOwnSettings,
  withItsSettings,
} from '../postgres/own-settings.sql.js';
import type { Session } from '../postgres/session.js';
import type { SqlStatement } from '../postgres/sql-statement.js';
import {
  type RelationOidRow,
  selectRelation,
  selectTableReaders,
  type TableReaderRow,
} from '../postgres/table-readers.sql.js';
import { rollbackToSavepoint, savepoint } from '../postgres/transaction.sql.js';
import { dropView } from '../postgres/view-ddl.sql.js';
import { type DatabaseState, readDatabaseState, withDependents } from './database-state.js';
import { describeView } from './dependents.js';
import type { DeployedView } from './deployed-view.js';
import { canRebuildPlainView } from './rebuild-closure.js';
import { asTheyWere, restoration } from './restoration.js';
import { refuseLosses } from './uncarried.js';
import { inOldOrder } from './view-order.js';

export interface AlterTableOptions {
  /** What becomes of plain views between: refused, or made anew too. @default 'refuse' */
  unmanagedDependents?: UnmanagedDependents;
  /** As in the module's options. @default 'materialized_views' */
  stateSchema?: string;
}

/**
 * Changes a table in a way that PostgreSQL forbids while views read it: takes the library's views that do,
 * at whatever distance, out of the way, runs `work`, and makes them again with all that belongs
 * to them. In one transaction, the query runner's own where it has one: all of it happens or nothing.
 * Readers of these views wait until it ends.
 *
 * Made for migrations. The views come back with the definitions that the database had; one that names a
 * column which is gone fails, and with it the whole.
 *
 * @param table an entity, or `name` or `schema.name`
 * @throws UnmanagedDependentsError when something that is not the library's stands in the way
 * @throws SchemaSyncError when a view cannot be made again from the changed table
 * @example
 * ```ts
 * async up(queryRunner: QueryRunner): Promise<void> {
 *   await alterTable(queryRunner, 'orders', () =>
 *     queryRunner.query('ALTER TABLE orders ALTER COLUMN amount TYPE numeric(12, 2)'),
 *   );
 * }
 * ```
 */
export async function alterTable<T>(
  queryRunner: QueryRunner,
  table: EntityTarget<ObjectLiteral>,
  work: () => Promise<T>,
  options: AlterTableOptions = {},
): Promise<T> {
  checkOptions('alterTable', alterTableArguments, { queryRunner, table, work, options });
  const { unmanagedDependents = 'refuse', stateSchema = 'materialized_views' } = options;
  const session = sessionOf(queryRunner);
  return inTransaction(queryRunner, async () => {
    await session.query(takeOwnSettings());
    // Taken back for the locks of reading: see `read` in preparation.ts.
    await session.query(savepoint());
    const state = await readDatabaseState(session, stateSchema, []);
    await session.query(rollbackToSavepoint());
    const readers = await readersOf(session, tableName(queryRunner, table));
    const views = closure(readers, state);
    refuseUnmanaged(views, state, unmanagedDependents);
    refuseLosses(views.map((deployed) => ({ deployed })));
    for (const key of views.map((view) => refreshLockKey(view.name)).sort()) {
      await session.query(lock(key));
    }
    for (const view of [...views].reverse()) {
      await session.query(dropView(view.kind, view.name));
    }
    await session.query(giveBackSettings());
    const result = await work();
    await session.query(takeOwnSettings());
    const { builds, finish } = restoration(asTheyWere(views), state);
    for (const { deployed, statements } of builds) {
      await explained(deployed, async () => {
        for (const statement of statements) {
          await session.query(statement);
        }
      });
    }
    for (const statement of finish) {
      await session.query(statement);
    }
    await session.query(giveBackSettings());
    return result;
  });
}

interface AlterTableArguments {
  queryRunner: unknown;
  table: unknown;
  work: unknown;
  options: AlterTableOptions;
}

const alterTableArguments = objectOf<AlterTableArguments>(
  {
    queryRunner: matching(
      "a query runner of TypeORM's",
      (value) => typeof (value as QueryRunner | null)?.query === 'function',
    ),
    // Which of the strings are entities shows only with the data source.
    table: matching('an entity, `name` or `schema.name`', (value) => (value ?? null) !== null),
    work: aFunction,
    options: objectOf<AlterTableOptions>({
      unmanagedDependents: MODULE_RULES.unmanagedDependents,
      stateSchema: MODULE_RULES.stateSchema,
    }),
  },
  ['queryRunner', 'table', 'work'],
);

/** @throws SchemaSyncError where the view cannot be made from the table as it is now */
async function explained(view: DeployedView, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    // TypeORM copies all of pg's error into its own, with the statement and its values.
    const cause: unknown = error instanceof QueryFailedError ? error.driverError : error;
    const name = displayName(view.name);
    throw new SchemaSyncError(
      `Could not make "${name}" again after the change of a table that it reads: ${codeAndMessageOf(cause)}. The transaction has to be rolled back.`,
      {
        view: name,
        cause,
        hint: 'Its definition has to fit the table as it is after the change, and every row of it.',
      },
    );
  }
}

/** What the library's statements need of a query runner. */
function sessionOf(queryRunner: QueryRunner): Pick<Session, 'query'> {
  return {
    query: async <Row>(statement: SqlStatement): Promise<Row[]> => {
      let rows: Row[] = [];
      for (const each of withItsSettings(statement)) {
        const result = (await queryRunner.query(each.text, each.values)) as Row[];
        rows = each === statement ? result : rows;
      }
      return rows;
    },
  };
}

async function readersOf(
  session: Pick<Session, 'query'>,
  quotedName: string,
): Promise<TableReaderRow[]> {
  const [relation] = await session.query<RelationOidRow>(selectRelation(quotedName));
  return session.query<TableReaderRow>(selectTableReaders(relation?.oid ?? null));
}

async function inTransaction<T>(queryRunner: QueryRunner, work: () => Promise<T>): Promise<T> {
  if (queryRunner.isTransactionActive) {
    return work();
  }
  await queryRunner.startTransaction('READ COMMITTED');
  try {
    const result = await work();
    await queryRunner.commitTransaction();
    return result;
  } catch (error) {
    await queryRunner.rollbackTransaction().catch(() => undefined);
    throw error;
  }
}

/** As PostgreSQL reads it: without a schema it is the application's search_path that tells. */
function tableName(queryRunner: QueryRunner, table: EntityTarget<ObjectLiteral>): string {
  const { connection } = queryRunner;
  if (connection.hasMetadata(table)) {
    const metadata = connection.getMetadata(table);
    return quotedName(metadata.schema, metadata.tableName);
  }
  if (typeof table !== 'string') {
    throw new OptionPath('alterTable')
      .member('table')
      .refuse('`name`, `schema.name` or an entity of the data source', table);
  }
  checkOptions('alterTable', objectOf<{ table: string }>({ table: aQualifiedName }), { table });
  const [first = '', second] = table.split('.');
  return second === undefined ? quotedName(undefined, first) : quotedName(first, second);
}

function quotedName(schema: string | undefined, name: string): string {
  return schema === undefined ? quoteIdentifier(name) : quoteQualifiedName({ schema, name });
}

/** All views above, in the order in which they read each other. */
function closure(readers: TableReaderRow[], state: DatabaseState): DeployedView[] {
  const names = withDependents(readers.map(rowName), state);
  const members = [...names].map((name) => ({ deployed: state.views.get(name) }));
  return inOldOrder(members, state).map(({ deployed }) => deployed);
}

function refuseUnmanaged(
  views: DeployedView[],
  state: DatabaseState,
  policy: UnmanagedDependents,
): void {
  const blockers = views.flatMap((view) => {
    const isOwn = state.known.get(displayName(view.name))?.is_own === true;
    const canBeMade = isOwn || canRebuildPlainView(view, policy);
    return [...(canBeMade ? [] : [describeView(view)]), ...view.otherDependents];
  });
  if (blockers.length > 0) {
    throw new UnmanagedDependentsError(
      `Cannot drop the views that read the table: ${blockers.join(', ')} would have to be dropped and created again too, and the library did not create them. Nothing has been changed.`,
      {
        hint: "Drop and recreate them around it, or have plain views rebuilt with `unmanagedDependents: 'rebuild'`.",
      },
    );
  }
}
