import { createSchema } from '../postgres/ddl.sql.js';
import { displayNames } from '../postgres/identifier.js';
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

/** How the database compares with what is declared, with what was needed to find out. */
export interface Compared {
  renames: Rename[];
  /** Those that are not done: the views are compared with nothing, and keep their old names. */
  pending: Rename[];
  createdSchemas: string[];
  /** As it is once views have been renamed, and so is the diff. */
  state: DatabaseState;
  diff: SchemaDiff;
  names: NamePlan;
  /** In the way of what is renamed. */
  hidden: HiddenIndex[];
}

/** What reads a view is compared under its new name: so all that is renamed has its new name meanwhile. */
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
    });
    return { renames, pending, createdSchemas, state, diff, names, hidden };
  };
  if (renames.length === 0) {
    return withState(before);
  }
  return patiently(session, context.limits.lockTimeoutMs, (waitMs) =>
    session.undone(async () => {
      await renameForNow(session, { renames, createdSchemas, before, hidden, waitMs });
      return withState(withShown(await read(session, context), hidden, before));
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

function read(session: Session, context: PreparationContext): Promise<DatabaseState> {
  return readSteadily(session, context.stateSchema, declaredNames(context.views));
}
