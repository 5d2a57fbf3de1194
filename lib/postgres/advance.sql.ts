import { quoteIdentifier } from './identifier.js';
import type { SqlStatement } from './sql-statement.js';

/** The times in the library's tables that decide what is due. */
const INSTANTS = {
  view_state: [
    'known_since',
    'last_tick',
    'last_started_at',
    'last_success_at',
    'last_unchanged_at',
    'last_failure_at',
    'not_before',
    'paused_at',
  ],
  refresh_history: ['tick', 'started_at', 'finished_at'],
  change_log: ['changed_at'],
};

/** Makes all recorded times older, as if that much time had passed. */
export function advanceRecords(stateSchema: string, durationMs: number): SqlStatement[] {
  return Object.entries(INSTANTS).map(([table, columns]) => ({
    text: `UPDATE ${quoteIdentifier(stateSchema)}.${table}
SET ${columns.map((column) => `${column} = ${column} - pg_catalog.make_interval(secs => $1::float8 / 1000)`).join(',\n    ')}`,
    values: [durationMs],
  }));
}
