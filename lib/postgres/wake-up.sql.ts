import { escapeLiteral } from 'pg';
import { ownPrefix } from './capture.sql.js';
import { quoteIdentifier } from './identifier.js';
import type { SqlStatement } from './sql-statement.js';
import { triggerFunction } from './stored-function.sql.js';

/*
 * A trigger on the change log wakes processes: whatever writes a log row sends a notification. The functions that
 * capture changes stay as they are, because their versions are part of the signatures of views.
 */

/** The table that has the trigger. */
export const WAKE_UP_TABLE = 'change_log';

const TRIGGER = 'wake_up';
const WAKE_UP = quoteIdentifier(TRIGGER);

/** The channel on which writers notify. Channels belong to one database. */
export function wakeUpChannel(stateSchema: string): string {
  return `${ownPrefix(stateSchema)}_wake_up`;
}

/**
 * Sends a notification. PostgreSQL sends equal notifications of a transaction once. While the notification queue is
 * at least half full, none is sent: from there on PostgreSQL warns, and with a full queue the writer's COMMIT would
 * fail.
 */
export const WAKE_UP_FUNCTION = triggerFunction('wake_up', {
  head: 'LANGUAGE plpgsql',
  body: (stateSchema) => `
BEGIN
  IF pg_catalog.pg_notification_queue_usage() OPERATOR(pg_catalog.<) 0.5 THEN
    PERFORM pg_catalog.pg_notify(${escapeLiteral(wakeUpChannel(stateSchema))}, '');
  END IF;
  RETURN NULL;
END
`,
});

/** For each row and not for each statement, because a statement-level trigger would fire even if no row is added. */
export function createWakeUp(stateSchema: string): SqlStatement[] {
  const schema = quoteIdentifier(stateSchema);
  return [
    {
      text: `CREATE TRIGGER ${WAKE_UP}
AFTER INSERT ON ${schema}.${WAKE_UP_TABLE}
FOR EACH ROW EXECUTE FUNCTION ${schema}.${WAKE_UP_FUNCTION.name}()`,
    },
    { text: `ALTER TABLE ${schema}.${WAKE_UP_TABLE} ENABLE ALWAYS TRIGGER ${WAKE_UP}` },
  ];
}

/** The function stays, because it is part of the installation. */
export function dropWakeUp(stateSchema: string): SqlStatement[] {
  const schema = quoteIdentifier(stateSchema);
  return [{ text: `DROP TRIGGER IF EXISTS ${WAKE_UP} ON ${schema}.${WAKE_UP_TABLE}` }];
}

export interface WakeUpTriggerRow {
  /** Whether it is enabled ALWAYS, so that it fires whatever session_replication_role is. */
  is_complete: boolean;
}

/** No row if there is no trigger. */
export function selectWakeUpTrigger(stateSchema: string): SqlStatement {
  return {
    text: `SELECT t.tgenabled = 'A' AS is_complete
FROM pg_catalog.pg_trigger t
JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = $2 AND t.tgname = $3`,
    values: [stateSchema, WAKE_UP_TABLE, TRIGGER],
  };
}

/** The session may be idle for any time. PostgreSQL before 14 has no such limit. */
export function allowIdleness(): SqlStatement {
  return {
    text: `SELECT pg_catalog.set_config(s.name, '0', false)
FROM pg_catalog.pg_settings s
WHERE s.name OPERATOR(pg_catalog.=) 'idle_session_timeout'::pg_catalog.text`,
  };
}

export function listen(channel: string): SqlStatement {
  return { text: `LISTEN ${quoteIdentifier(channel)}` };
}

export function notify(channel: string): SqlStatement {
  return { text: `SELECT pg_catalog.pg_notify($1, '')`, values: [channel] };
}
