import { escapeLiteral } from 'pg';
import { ownPrefix } from './capture.sql.js';
import { quoteIdentifier } from './identifier.js';
import type { SqlStatement } from './sql-statement.js';
import { triggerFunction } from './stored-function.sql.js';

/*
 * What wakes processes up: a trigger on the change log, so that whatever writes a row there notifies. The functions
 * that capture changes stay as they are: the versions of those are a part of the signatures of views.
 */

/** The table with the trigger. */
export const WAKE_UP_TABLE = 'change_log';

const TRIGGER = 'wake_up';
const WAKE_UP = quoteIdentifier(TRIGGER);

/** The channel on which writers notify. Channels belong to a database: no other one hears them. */
export function wakeUpChannel(stateSchema: string): string {
  return `${ownPrefix(stateSchema)}_wake_up`;
}

/**
 * Notifies. PostgreSQL sends equal notifications of a transaction once. While the notification queue is half full or
 * more, nobody is notified: from there on PostgreSQL warns, and with a full queue the writer's COMMIT would fail.
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

/** For each row and not for each statement, because a statement-level trigger would fire even where no row is added. */
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

/** The function stays: it is a part of the installation. */
export function dropWakeUp(stateSchema: string): SqlStatement[] {
  const schema = quoteIdentifier(stateSchema);
  return [{ text: `DROP TRIGGER IF EXISTS ${WAKE_UP} ON ${schema}.${WAKE_UP_TABLE}` }];
}

export interface WakeUpTriggerRow {
  /** Whether it is enabled ALWAYS, so that it fires whatever session_replication_role is. */
  is_complete: boolean;
}

/** No row where there is no trigger. */
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

/** The session may be idle for as long as it likes. There is no such limit before PostgreSQL 14. */
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
