import type { EntityTarget, ObjectLiteral, QueryRunner } from 'typeorm';
import { OptionPath } from '../definition/option-path.js';
import {
  aFunction,
  aQualifiedName,
  checkOptions,
  matching,
  objectOf,
} from '../definition/option-rules.js';
import type { ViewDefinition } from '../definition/view-definition.js';
import { exploreViews } from '../definition/view.explorer.js';
import { UnmanagedDependentsError } from '../errors/schema.errors.js';
import { MODULE_RULES, type UnmanagedDependents } from '../definition/module.options.js';
import {
  displayName,
  quoteIdentifier,
  quoteQualifiedName,
  rowName,
} from '../postgres/identifier.js';
import { giveBackSettings, takeOwnSettings } from '../postgres/own-settings.sql.js';
import { selectServer, type ServerRow } from '../postgres/server.sql.js';
import {
  type RelationOidRow,
  selectRelation,
  selectTableReaders,
  type TableReaderRow,
} from '../postgres/table-readers.sql.js';
import { dropView } from '../postgres/view-ddl.sql.js';
import {
  type DatabaseState,
  readDatabaseState,
  withDeclaredDependencies,
  withRememberedDependencies,
  withDependents,
} from './database-state.js';
import { describeView } from './dependents.js';
import type { DeployedView } from './deployed-view.js';
import { canRebuildPlainView } from './rebuild-closure.js';
import { refuseForeignState } from './foreign-state.js';
import { QueryRunnerSession } from './query-runner.session.js';
import { lockRefreshes } from './refresh-holdoff.js';
import { findDeclared, restore } from './table-restoration.js';
import { refuseLosses } from './uncarried.js';
import { inOldOrder } from './view-order.js';

export interface AlterTableOptions {
  /** What happens to undeclared plain views in between: refuse the change, or rebuild them too. @default 'refuse' */
  unmanagedDependents?: UnmanagedDependents;
  /** As in the module's options. @default 'materialized_views' */
  stateSchema?: string;
}

/**
 * Changes a table in a way that PostgreSQL forbids while views read it. It drops the library's views that read the
 * table, directly or not, runs `work`, and recreates the views with indexes, grants and comments. All of it happens
 * in one transaction, the query runner's own if it has one. Readers of these views wait until it ends.
 *
 * Use it in migrations. If a view matches its class, and the class is among the entities of the data source, it is
 * recreated from the class. Any other view is recreated from its definition in the database. If a view names a column
 * that is gone, everything fails and nothing is changed.
 *
 * @param table an entity, or `name` or `schema.name`
 * @throws UnmanagedDependentsError if something that the library doesn't manage is in the way
 * @throws ForeignStateSchemaError if another role owns something in the schema `stateSchema`
 * @throws SchemaSyncError if a view can't be recreated on the changed table
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
  const session = new QueryRunnerSession(queryRunner);
  return inTransaction(queryRunner, async () => {
    const definitions = await declaredViews(queryRunner, session);
    await session.query(takeOwnSettings());
    await refuseForeignState(session, stateSchema);
    // Rolled back to release the locks of reading: see `readSteadily`.
    const state = await session.undone(() => readDatabaseState(session, stateSchema, []));
    const readers = await readersOf(session, tableName(queryRunner, table));
    const views = closure(readers, state);
    refuseUnmanaged(views, state, unmanagedDependents);
    refuseLosses(views.map((deployed) => ({ deployed })));
    for (const statement of lockRefreshes(views.map(({ name }) => name))) {
      await session.query(statement);
    }
    const declared = await findDeclared(session, definitions, views, state);
    for (const view of [...views].reverse()) {
      await session.query(dropView(view.kind, view.name));
    }
    await session.query(giveBackSettings());
    const result = await work();
    await session.query(takeOwnSettings());
    // The migration doesn't know classes of other data sources, so what the database remembers
    // counts too.
    const known = withRememberedDependencies(withDeclaredDependencies(state, definitions));
    const ordered = inOldOrder(
      views.map((deployed) => ({ deployed })),
      known,
    );
    await restore(
      session,
      ordered.map(({ deployed }) => deployed),
      declared,
      known,
    );
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
    // Only the data source tells which of the strings are entities.
    table: matching('an entity, `name` or `schema.name`', (value) => (value ?? null) !== null),
    work: aFunction,
    options: objectOf<AlterTableOptions>({
      unmanagedDependents: MODULE_RULES.unmanagedDependents,
      stateSchema: MODULE_RULES.stateSchema,
    }),
  },
  ['queryRunner', 'table', 'work'],
);

/** The classes among the data source's entities: a migration has no others. */
async function declaredViews(
  queryRunner: QueryRunner,
  session: QueryRunnerSession,
): Promise<ViewDefinition[]> {
  const [server] = await session.query<ServerRow>(selectServer());
  return exploreViews({
    dataSource: queryRunner.connection,
    currentSchema: server?.current_schema ?? null,
    registered: [],
  });
}

async function readersOf(
  session: QueryRunnerSession,
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

/** As PostgreSQL resolves it: without a schema, the application's search_path decides. */
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
