import { expect } from '@jest/globals';
import { type ViewDefinition, viewName } from '../../lib/definition/view-definition.js';
import { rowName } from '../../lib/postgres/identifier.js';
import type { Session } from '../../lib/postgres/session.js';
import { type PendingChanges, readPending } from '../../lib/tracking/pending-changes.js';
import type { PendingMemory } from '../../lib/tracking/pending-memory.js';

/** The answer without its timestamp and snapshot. */
function lasting(pending: readonly PendingChanges[]): unknown[] {
  return pending
    .map(({ definition, ...rest }) => ({
      ...rest,
      name: viewName(definition),
      now: 0,
      snapshot: '',
    }))
    .sort((a, b) => a.name.localeCompare(b.name));
}

/**
 * Polls twice, and expects each poll to find the same as a full query of the pending changes. Skips the comparison if the
 * full query's answer changed during the poll, because another session was active. Also skips it in a transaction that has
 * written: polls run in read-only transactions.
 */
export async function checkLook(
  session: Pick<Session, 'query'>,
  memory: PendingMemory,
  stateSchema: string,
  definitions: readonly ViewDefinition[],
): Promise<void> {
  const [writer] = await session.query<{ xid: string | null }>({
    text: 'SELECT pg_current_xact_id_if_assigned()::text AS xid',
  });
  if (writer?.xid !== null) {
    return;
  }
  const askAll = async (): Promise<unknown[]> => {
    const open = await session.query<{ schema_name: string; view_name: string }>({
      text: `SELECT schema_name, view_name FROM ${stateSchema}.view_state
             WHERE paused_at IS NULL AND (not_before IS NULL OR not_before <= now() OR last_failure_at > now())`,
    });
    const names = new Set(open.map(rowName));
    return lasting(
      await readPending(
        session,
        stateSchema,
        definitions.filter((view) => names.has(viewName(view))),
      ),
    );
  };
  for (let look = 0; look < 2; look++) {
    const before = await askAll();
    const { views } = await memory.look(session);
    const after = await askAll();
    if (JSON.stringify(before) === JSON.stringify(after)) {
      expect(lasting(views)).toEqual(before);
    }
  }
}
