import { createSchema } from '../postgres/ddl.sql.js';
import { displayNames, type QualifiedName } from '../postgres/identifier.js';
import type { Session } from '../postgres/session.js';
import { script } from '../postgres/sql-statement.js';
import { lockAgainstReaders } from '../postgres/view-lock.sql.js';
import type { DatabaseState } from './database-state.js';
import { compareDefinitions } from './definition-comparison.js';
import { patiently } from '../postgres/lock-attempts.js';
import { hide, type HiddenIndex, indexesInTheWay, withShown } from './hidden-indexes.js';
import { declaredNames, type NamePlan, planNames } from './name-plan.js';
import type { PreparationContext } from './preparation-context.js';
import { moveKnownViews, moveViews, partRenames, type Rename } from './rename.js';
import { movesOf } from './rename-steps.js';
import { diffSchema, type SchemaDiff } from './schema-diff.js';
import { SchemaStepError } from './schema-error.js';
import { readSteadily } from './steady-read.js';

/** How the database compares with what is declared, with the data that the comparison used. */
export interface Compared {
  renames: Rename[];
  /** Renames that are not done: these views are not compared and keep their old names. */
  pending: Rename[];
  createdSchemas: string[];
  /** The state after the renames, like the diff. */
  state: DatabaseState;
  diff: SchemaDiff;
  names: NamePlan;
  /** In the way of what is renamed. */
  hidden: HiddenIndex[];
}

/**
 * What reads a view is compared under the view's new name, so all renamed views have their new names
 * meanwhile.
 */
export async function compare(session: Session, context: PreparationContext): Promise<Compared> {
  const { views, declaredElsewhere, application } = context;
  const before = await read(session, context);
  const { renames, pending } = partRenames(views, before, context);
  const schemas = [...new Set(renames.map(({ view }) => view.name.schema))];
  const createdSchemas = schemas.filter((schema) => !before.schemas.has(schema));
  const names = planNames(views, before, renames);
  const hidden = indexesInTheWay(movesOf(renames), before);
  const withState = async (state: DatabaseState): Promise<Compared> => {
    const comparisons = await compareDefinitions(session, views, state);
    const diff = diffSchema(views, state, {
      comparisons,
      renames,
      pending,
      declaredElsewhere,
      application,
      schema: context.policy.schema,
      namesWithoutSchema: context.namesWithoutSchema,
    });
    return { renames, pending, createdSchemas, state, diff, names, hidden };
  };
  if (renames.length === 0) {
    return withState(before);
  }
  // A view takes its indexes along into another schema.
  const brought = hidden.map(({ name, view }) => ({ schema: view.schema, name: name.name }));
  return patiently(session, context.limits.lockTimeoutMs, (waitMs) =>
    session.undone(async () => {
      await renameForNow(session, { renames, createdSchemas, before, hidden, waitMs });
      return withState(withShown(await read(session, context, brought), hidden));
    }),
  );
}

async function renameForNow(
  session: Session,
  {
    renames,
    createdSchemas,
    before,
    hidden,
    waitMs,
  }: Pick<Compared, 'renames' | 'createdSchemas' | 'hidden'> & {
    before: DatabaseState;
    waitMs: number;
  },
): Promise<void> {
  const moves = movesOf(renames);
  const { leave, arrive } = moveViews(moves);
  for (const schema of createdSchemas) {
    await session.query(createSchema(schema));
  }
  try {
    const locked = lockAgainstReaders(
      renames.map(({ from }) => from),
      waitMs,
    );
    await session.query(script([locked, ...hide(hidden), ...leave, ...arrive]));
  } catch (cause) {
    const task = `rename ${displayNames(renames.map(({ from }) => from))}`;
    throw new SchemaStepError(cause, { task, view: renames[0]?.view });
  }
  for (const statement of before.installedVersion > 0
    ? moveKnownViews(before.stateSchema, moves)
    : []) {
    await session.query(statement);
  }
}

/** @param others names, besides the declared ones, of which it must be known whether something has them */
function read(
  session: Session,
  context: PreparationContext,
  others: QualifiedName[] = [],
): Promise<DatabaseState> {
  return readSteadily(session, context.stateSchema, [...declaredNames(context.views), ...others]);
}
