import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { messageOf } from '../errors/error-message.js';
import { InsufficientPrivilegeError, SwapRefusedError } from '../errors/refresh.errors.js';
import { displayName } from '../postgres/identifier.js';
import type { Session } from '../postgres/session.js';
import { script } from '../postgres/sql-statement.js';
import { errorCode, SqlState } from '../postgres/sqlstate.js';
import { lockAgainstChanges, replaceFingerprint } from '../postgres/swap.sql.js';
import {
  type IndexRow,
  selectIndexesOf,
  selectViews,
  type ViewRow,
} from '../postgres/view-catalog.sql.js';
import { dropView, setDefaultTablespace } from '../postgres/view-ddl.sql.js';
import { MATERIALIZED } from '../postgres/view-kind.js';
import type { DeployedView } from './deployed-view.js';
import { fingerprint } from './fingerprint.js';
import { patiently } from '../postgres/lock-attempts.js';
import { readSwapSource, requireUnchanged, type SwapSource } from './swap-source.js';
import { temporaryName } from './temporary-name.js';
import {
  buildStatements,
  finalIndexNames,
  previousBlueprint,
  renameStatements,
  type ViewBlueprint,
} from './view-blueprint.js';

export interface RowSwapOptions {
  /** The schema of the library's own tables. */
  stateSchema: string;
  definition: ViewDefinition;
  /**
   * The transaction's limit. The swap waits for readers up to five times as long, and lets them through
   * in between.
   */
  lockTimeoutMs: number;
}

/**
 * Gives a view new rows: it builds a copy beside it, from the definition in the database and with
 * everything that belongs to the view. The copy then takes the view's name. Readers wait only for the
 * exchange and the commit.
 *
 * Runs in the transaction of a refresh, which holds the view's refresh lock. A schema change of the library
 * takes the same lock, so none is running. A lock on the view itself keeps others away.
 *
 * @throws SwapRefusedError if something depends on the view, or its copy would lose something
 * @throws InsufficientPrivilegeError if the role may not create the copy
 * @throws RefreshLockError if the view was changed meanwhile
 * @throws PostgreSQL's error if a query fails or readers don't end in time
 */
export async function swapRows(session: Session, options: RowSwapOptions): Promise<void> {
  try {
    await swap(session, options);
  } catch (cause) {
    throw explained(cause, options.definition);
  }
}

async function swap(
  session: Session,
  { stateSchema, definition, lockTimeoutMs }: RowSwapOptions,
): Promise<void> {
  const { name } = definition;
  const source = await readLocked(session, definition);
  const blueprint = copyOf(source);
  const build = [
    // The application's own settings are for its own tables.
    setDefaultTablespace(''),
    ...buildStatements(blueprint),
  ];
  for (const statement of build) {
    await session.query(statement);
  }
  // Read now, because after the exchange readers wait.
  const before = fingerprint(definition, source.deployed);
  const after = fingerprint(definition, await readCopy(session, blueprint, source));
  const exchange = script([dropView(MATERIALIZED, name), ...renameStatements(blueprint)]);
  await patiently(session, lockTimeoutMs, async () => {
    requireUnchanged(source, await readSwapSource(session, definition));
    await session.query(exchange);
  });
  if (before !== after) {
    await session.query(replaceFingerprint(stateSchema, name, { before, after }));
  }
}

/** Read again once nobody else can change it. */
async function readLocked(session: Session, definition: ViewDefinition): Promise<SwapSource> {
  const { deployed } = await readSwapSource(session, definition);
  const [column] = deployed.row.columns;
  if (column !== undefined) {
    await session.query(lockAgainstChanges(definition.name, column.name));
  }
  return readSwapSource(session, definition);
}

function copyOf({ deployed }: SwapSource): ViewBlueprint {
  const { schema } = deployed.name;
  const buildName = { schema, name: temporaryName('view', displayName(deployed.name)) };
  return {
    ...previousBlueprint(deployed, deployed.name, buildName, deployed.row.definition),
    withData: true,
  };
}

/** The copy as it will be after the exchange, as far as a fingerprint says. */
async function readCopy(
  session: Session,
  blueprint: ViewBlueprint,
  { deployed }: SwapSource,
): Promise<DeployedView> {
  const [row = deployed.row] = await session.query<ViewRow>(selectViews(blueprint.buildName));
  const indexes = await session.query<IndexRow>(selectIndexesOf(row.oid));
  const finalNames = finalIndexNames(blueprint);
  return {
    ...deployed,
    row,
    indexes: indexes.map((index) => ({ ...index, name: finalNames.get(index.name) ?? index.name })),
  };
}

function explained(cause: unknown, definition: ViewDefinition): unknown {
  const view = viewName(definition);
  switch (errorCode(cause)) {
    case SqlState.dependentObjectsStillExist:
      return new SwapRefusedError(
        `Cannot refresh materialized view "${view}" by swap: something that depends on it was made while its new rows were built. The view was not changed.`,
        { view, cause, hint: 'Refresh it in another mode from now on.' },
      );
    case SqlState.insufficientPrivilege:
      return new InsufficientPrivilegeError(
        `Could not refresh materialized view "${view}" by swap: a privilege is missing (${SqlState.insufficientPrivilege}: ${messageOf(cause)}). The view was not changed.`,
        {
          view,
          cause,
          hint: 'A swap creates the view again: the role must be a member of the owner, the role and the owner need CREATE on the schema, and the owner needs SELECT on every table that the view reads.',
        },
      );
    default:
      return cause;
  }
}
