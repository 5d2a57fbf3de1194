import type { QualifiedName } from '../postgres/identifier.js';
import type { Session } from '../postgres/session.js';
import type { SqlStatement } from '../postgres/sql-statement.js';
import { createIndexFromBody, createStatistics } from '../postgres/view-ddl.sql.js';
import type { ClosureMember } from './rebuild-closure.js';
import { makeShape } from './shape.js';
import { stands } from './stands.js';
import { temporaryName } from './temporary-name.js';

/** What was made by hand and is not recreated. */
export interface Losses {
  /** Left by a failed CREATE INDEX CONCURRENTLY: it is of no use, and may fail again. */
  invalidIndexes: string[];
  /** Those that don't fit the columns of the new view. */
  lostIndexes: string[];
  lostStatistics: string[];
}

/** Tries what was made by hand on the old view against the columns of the new one. */
export async function findLosses(
  session: Session,
  member: ClosureMember,
  buildName: QualifiedName,
): Promise<Losses> {
  const { deployed, definition } = member;
  const declared = new Set(definition?.indexes.map((index) => index.name));
  const own = new Set(member.ownIndexes);
  const handMade = (deployed?.indexes ?? []).filter(
    ({ name }) => !declared.has(name) && !own.has(name),
  );
  const indexes = handMade.filter(({ is_valid }) => is_valid);
  const invalidIndexes = handMade.filter(({ is_valid }) => !is_valid).map(({ name }) => name);
  const statistics = deployed?.statistics ?? [];
  if (indexes.length + statistics.length === 0) {
    return { invalidIndexes, lostIndexes: [], lostStatistics: [] };
  }
  return session.undone(async () => {
    const { table } = await makeShape(session, buildName, deployed?.row.owner);
    const fits = (statement: SqlStatement): Promise<boolean> =>
      session.undone(() => stands(session, statement));
    const lostIndexes: string[] = [];
    for (const index of indexes) {
      const isUnique = index.is_unique;
      if (
        !(await fits(createIndexFromBody(table, { name: index.name, isUnique, body: index.body })))
      ) {
        lostIndexes.push(index.name);
      }
    }
    const lostStatistics: string[] = [];
    for (const row of statistics) {
      const [create] = createStatistics(table, row, temporaryName('statistics', row.name));
      if (create !== undefined && !(await fits(create))) {
        lostStatistics.push(row.name);
      }
    }
    return { invalidIndexes, lostIndexes, lostStatistics };
  });
}
