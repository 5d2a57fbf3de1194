import { createHash } from 'node:crypto';
import { type QualifiedName, quoteIdentifier, quoteQualifiedName } from './identifier.js';
import type { SqlStatement } from './sql-statement.js';
import { triggerFunction } from './stored-function.sql.js';

/*
 * Statement-level triggers write the change log. A table has one set of them, however many views read it. They
 * are enabled ALWAYS, so they fire whatever session_replication_role is.
 */

/**
 * The functions add one row to the log, and do nothing else that could fail or wait. They are SECURITY DEFINER,
 * because a writer has no rights on the log. The pinned search_path and qualified names keep them from using
 * objects that the writer may have created.
 *
 * A transaction has no ID before it writes something. So a statement that touches no row leaves no row in the log
 * unless its transaction has written before: a job that finds nothing to delete is no reason to refresh. After
 * another write in the same transaction, the log row may be unnecessary. Any better test has risks: transition
 * tables copy each row to a file, which `temp_file_limit` limits, and forbid writes that reach foreign
 * partitions; the transaction's own counters may miss rows (`track_counts`).
 */
const CAPTURE_HEAD = `LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp`;

const LOG_ROWS = triggerFunction('log_changed_rows', {
  head: CAPTURE_HEAD,
  body: (stateSchema) => `
BEGIN
  IF pg_catalog.pg_current_xact_id_if_assigned() IS NOT NULL THEN
    ${insertIntoLog(stateSchema)}
  END IF;
  RETURN NULL;
END
`,
});

const LOG_TRUNCATE = triggerFunction('log_truncate', {
  head: CAPTURE_HEAD,
  body: (stateSchema) => `
BEGIN
  ${insertIntoLog(stateSchema)}
  RETURN NULL;
END
`,
});

/** The functions that the triggers execute. */
export const CAPTURE_FUNCTIONS = [LOG_ROWS, LOG_TRUNCATE];

function insertIntoLog(stateSchema: string): string {
  return `INSERT INTO ${quoteIdentifier(stateSchema)}.change_log (source, kind) VALUES (TG_RELID, TG_OP);`;
}

const EVENTS = ['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE'] as const;

/** How many triggers a captured table has. */
export const CAPTURE_TRIGGER_COUNT = EVENTS.length;

/** PostgreSQL keeps 63 bytes of a name, and our longest suffix, `_capture_truncate`, takes 17 of them. */
const MAX_PREFIX_BYTES = 46;

/** The first part of names that must contain the state schema, because a database may have several. */
export function ownPrefix(stateSchema: string): string {
  const digest = createHash('sha256').update(stateSchema).digest('hex').slice(0, 12);
  return Buffer.byteLength(stateSchema) > MAX_PREFIX_BYTES ? `mv_${digest}` : stateSchema;
}

/** Contains the state schema, because two state schemas may capture the same table. */
function triggerName(stateSchema: string, event: string): string {
  return `${ownPrefix(stateSchema)}_capture_${event.toLowerCase()}`;
}

/**
 * Locks tables against writers, all in one statement and in one script with the statements that need the locks:
 * writers must not wait for a round trip. It waits for transactions that have written, so no write is missed.
 */
export function lockAgainstWriters(tables: QualifiedName[]): SqlStatement {
  const names = tables.map((table) => `ONLY ${quoteQualifiedName(table)}`);
  return { text: `LOCK TABLE ${names.join(', ')} IN SHARE ROW EXCLUSIVE MODE` };
}

/** Takes the lock that dropping a trigger needs. */
export function lockAgainstAll(tables: QualifiedName[]): SqlStatement {
  const names = tables.map((table) => `ONLY ${quoteQualifiedName(table)}`);
  return { text: `LOCK TABLE ${names.join(', ')} IN ACCESS EXCLUSIVE MODE` };
}

/** Creates the triggers that log a table's changes. */
export function createCapture(stateSchema: string, table: QualifiedName): SqlStatement[] {
  const on = quoteQualifiedName(table);
  const schema = quoteIdentifier(stateSchema);
  return EVENTS.flatMap((event) => {
    const name = quoteIdentifier(triggerName(stateSchema, event));
    const log = event === 'TRUNCATE' ? LOG_TRUNCATE : LOG_ROWS;
    return [
      {
        text: `CREATE TRIGGER ${name}
AFTER ${event} ON ${on}
FOR EACH STATEMENT EXECUTE FUNCTION ${schema}.${log.name}()`,
      },
      { text: `ALTER TABLE ONLY ${on} ENABLE ALWAYS TRIGGER ${name}` },
    ];
  });
}

/** Drops a table's triggers, those that exist. */
export function dropCapture(stateSchema: string, table: QualifiedName): SqlStatement[] {
  return EVENTS.map((event) => ({
    text: `DROP TRIGGER IF EXISTS ${quoteIdentifier(triggerName(stateSchema, event))} ON ${quoteQualifiedName(table)}`,
  }));
}

export interface CapturedTableRow {
  schema_name: string;
  table_name: string;
  /** Whether all triggers exist and are enabled ALWAYS. */
  is_complete: boolean;
}

/** The tables that have capture triggers of this state schema. */
export function selectCapturedTables(stateSchema: string): SqlStatement {
  return {
    text: `SELECT n.nspname AS schema_name,
       c.relname AS table_name,
       count(*) FILTER (WHERE t.tgenabled = 'A') = ${CAPTURE_TRIGGER_COUNT} AS is_complete
FROM pg_catalog.pg_trigger t
JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE t.tgfoid IN (
    SELECT p.oid
    FROM pg_catalog.pg_proc p
    JOIN pg_catalog.pg_namespace s ON s.oid = p.pronamespace
    WHERE s.nspname = $1 AND p.proname = ANY ($2::text[])
  )
  AND t.tgname = ANY ($3::text[])
GROUP BY c.oid, n.nspname, c.relname
ORDER BY n.nspname, c.relname`,
    values: [
      stateSchema,
      CAPTURE_FUNCTIONS.map(({ name }) => name),
      EVENTS.map((event) => triggerName(stateSchema, event)),
    ],
  };
}
