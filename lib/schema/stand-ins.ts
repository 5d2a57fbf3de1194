import { displayName } from '../postgres/identifier.js';
import { createStandIn, selectStandIns, type StandInRow } from '../postgres/rehearsal.sql.js';
import type { SqlStatement } from '../postgres/sql-statement.js';
import type { Session } from '../postgres/session.js';
import { errorCode, isRefusal, SqlState } from '../postgres/sqlstate.js';
import { type ClosureMember, queryOf } from './rebuild-closure.js';
import { makingOf, SchemaStepError } from './schema-error.js';

const NOT_THERE: ReadonlySet<string | undefined> = new Set([
  SqlState.undefinedTable,
  SqlState.invalidSchemaName,
  SqlState.undefinedColumn,
]);

const CHANGED_BELOW =
  "The view that is there still works. If something that its query reads was renamed, dropped or changed, correct the query; until then `onDrift: 'continue'` leaves the view as it is, with a warning.";

const UNFIT_ABOVE =
  'No class declares that view, and its query does not work on what is declared below it. Change or drop it yourself, or keep what it reads.';

/** A failed stand-in and its member. */
export class StandInError extends SchemaStepError {
  constructor(
    readonly member: ClosureMember,
    cause: unknown,
  ) {
    super(
      cause,
      member.definition
        ? { ...makingOf(member.definition), ...(member.deployed && { hint: CHANGED_BELOW }) }
        : {
            task: `make view "${displayName(member.name)}" on the new definitions below it`,
            hint: UNFIT_ABOVE,
          },
    );
  }

  /** Whether it lacks something that may exist at another time. */
  get isForWantOfSomething(): boolean {
    return NOT_THERE.has(errorCode(this.cause));
  }
}

/** In any order that works: one that lacks another is tried again after the others. */
export async function createStandIns(
  session: Session,
  members: ClosureMember[],
): Promise<StandInError[]> {
  for (let remaining = members; ;) {
    const failed: StandInError[] = [];
    for (const member of remaining) {
      try {
        await session.attempt(() => session.query(standInOf(member)));
      } catch (cause) {
        failed.push(standInError(member, cause));
      }
    }
    if (failed.length === 0 || failed.length === remaining.length) {
      return failed;
    }
    remaining = failed.map((error) => error.member);
  }
}

function standInOf(member: ClosureMember): SqlStatement {
  return createStandIn(member.name, queryOf(member), { replaces: member.isReplaced });
}

function standInError(member: ClosureMember, cause: unknown): StandInError {
  const error = new StandInError(member, cause);
  if (!isRefusal(cause)) {
    throw error;
  }
  return error;
}

/** The definitions of stand-ins once everything has its final name. */
export async function definitionsOf(
  session: Session,
  members: ClosureMember[],
): Promise<Map<ClosureMember, string>> {
  const rows = await session.query<StandInRow>(selectStandIns(members.map(({ name }) => name)));
  return new Map(members.map((member, position) => [member, rows[position]?.definition ?? '']));
}
