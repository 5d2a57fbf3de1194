import { escapeLiteral } from 'pg';
import { SHORT_WRITE } from './function-plans.js';
import { quoteIdentifier } from './identifier.js';
import type { SqlStatement } from './sql-statement.js';
import { storedFunction } from './stored-function.sql.js';

/** The answer to a request for the lease. */
export interface LeaseRow {
  is_holder: boolean;
  /** For how long nothing will be due, as the holder said; 0 if something may be. */
  rest_ms: number;
  /** The time until this process may ask again; 0 for the holder. */
  turn_ms: number;
}

/** How a lease is timed, in milliseconds. */
export interface LeaseTimes {
  /** How long a lease holds without being renewed. */
  heldMs: number;
  /** The time between the turns of the other processes. */
  slotMs: number;
  /** The longest time to a turn. */
  longestTurnMs: number;
}

/** Each release of an application may have its own lease. */
const FORGOTTEN_AFTER = '30 days';

/**
 * Takes or renews a lease, or says when to ask again. Processes that don't hold it queue for turns, so a hundred
 * processes send no more statements than two.
 *
 * The statement is a transaction of its own, so its limits are set here. Losing the last renewals in a crash does no
 * harm. Times ahead of the clock count as absent: after the clock goes back, a dead process must not keep the lease. A
 * rest holds for processes that were there when it began; a process that starts checks for itself first.
 */
export const ASK_LEASE = storedFunction('ask_lease', {
  head: `(
  wanted text, asker text, asker_age_ms float8, own_rest_ms float8, held_ms float8, slot_ms float8, longest_turn_ms float8
)
RETURNS TABLE (is_holder boolean, rest_ms float8, turn_ms float8)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp`,
  body: (stateSchema) => {
    const lease = `${quoteIdentifier(stateSchema)}.lease`;
    return `
#variable_conflict use_column
DECLARE
  own_name text := concat(wanted, ' ', current_user);
  known record;
  moment timestamptz;
  turn_at timestamptz;
BEGIN
  ${SHORT_WRITE}
  IF NOT EXISTS (SELECT FROM ${lease} l WHERE l.name = own_name) THEN
    INSERT INTO ${lease} (name) VALUES (own_name) ON CONFLICT DO NOTHING;
  END IF;
  SELECT * INTO known FROM ${lease} l WHERE l.name = own_name FOR UPDATE;
  moment := clock_timestamp();
  rest_ms := CASE
    WHEN known.rested_at <= moment AND known.rested_at > moment - asker_age_ms * interval '1 ms'
    THEN greatest(0, known.rest_ms - 1000 * extract(epoch FROM moment - known.rested_at)::float8)
    ELSE 0
  END;
  is_holder := coalesce(known.holder = asker, false) OR rest_ms = 0 AND NOT coalesce(
    known.renewed_at <= moment AND known.renewed_at > moment - held_ms * interval '1 ms', false
  );
  IF is_holder AND known.holder IS DISTINCT FROM asker AND has_table_privilege(${escapeLiteral(lease)}, 'DELETE') THEN
    DELETE FROM ${lease} l WHERE l.name <> own_name AND l.rested_at < moment - interval '${FORGOTTEN_AFTER}';
  END IF;
  IF is_holder THEN
    UPDATE ${lease} l
    SET holder = asker, renewed_at = moment, rested_at = moment, rest_ms = own_rest_ms
    WHERE l.name = own_name;
    rest_ms := own_rest_ms;
    turn_ms := 0;
  ELSE
    turn_at := CASE
      WHEN known.next_turn_at BETWEEN moment AND moment + longest_turn_ms * interval '1 ms' THEN known.next_turn_at
      ELSE moment
    END;
    turn_at := least(turn_at + slot_ms * interval '1 ms', moment + longest_turn_ms * interval '1 ms');
    UPDATE ${lease} l SET next_turn_at = turn_at WHERE l.name = own_name;
    turn_ms := 1000 * extract(epoch FROM turn_at - moment)::float8;
  END IF;
  RETURN NEXT;
END
`;
  },
});

export interface LeaseQuestion extends LeaseTimes {
  name: string;
  asker: string;
  /** How long the asking process has been running. */
  askerAgeMs: number;
  /** For how long nothing will be due, as far as the process knows, if it holds the lease. */
  restMs: number;
}

export function askLease(stateSchema: string, question: LeaseQuestion): SqlStatement {
  const { name, asker, askerAgeMs, restMs, heldMs, slotMs, longestTurnMs } = question;
  return {
    text: `SELECT * FROM ${quoteIdentifier(stateSchema)}.${ASK_LEASE.name}($1, $2, $3, $4, $5, $6, $7)`,
    values: [name, asker, askerAgeMs, restMs, heldMs, slotMs, longestTurnMs],
  };
}

/** Releases the lease: the next process that asks takes it. */
export function releaseLeases(stateSchema: string, holder: string): SqlStatement {
  return {
    text: `UPDATE ${quoteIdentifier(stateSchema)}.lease
SET renewed_at = NULL
WHERE holder OPERATOR(pg_catalog.=) $1`,
    values: [holder],
  };
}
