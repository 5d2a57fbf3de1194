import { escapeLiteral } from 'pg';
import { followIndex } from './change-log.sql.js';
import { failureText, MAX_MESSAGE_LENGTH, successText } from './history.sql.js';
import { pruneHistory, selectPrunable } from './history-pruning.sql.js';
import { quoteIdentifier } from './identifier.js';
import { takeOwnSettings, withItsSettings } from './own-settings.sql.js';
import { selectPending } from './pending.sql.js';
import { REFRESH_CONDITIONS } from './refresh.sql.js';
import { UNSURE } from './signature.sql.js';
import { CANCEL_MESSAGES, FIXED_TEXT_CODES } from './sqlstate.js';
import { storedFunction, storedProcedure } from './stored-function.sql.js';

/*
 * What a pg_cron job runs: the refresh for a scheduled time, in the database only. It is done and recorded as by a
 * process of the application, with the same statements under the same lock. Whoever comes second finds the tick done.
 */

/** The prefix of its name, in all releases. */
const PROCEDURE = 'refresh_by_pg_cron';

/** The `host` of a run, for people who read the history, before the process ID of the server. */
export const PG_CRON_HOST = 'pg_cron';

/** How many days it looks back: February 29 may be eight years away. */
const LOOK_BACK_DAYS = 3_000;

/** The seconds between a job's attempts at the lock while another refresh of the view runs. */
const ASK_AGAIN_S = 1;

/** The maximum number of history rows that a run deletes. */
const PRUNED_AT_A_TIME = 1_000;

/**
 * The last scheduled time of a `PgCronSchedule` at or before an instant, in UTC; null if there is none. `CronGrid`
 * computes the same one.
 */
export const LAST_CRON_TICK = storedFunction('last_cron_tick', {
  head: `(schedule jsonb, instant timestamptz)
RETURNS timestamptz
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp`,
  body: () => `
DECLARE
  until timestamp := pg_catalog.timezone('UTC', instant);
  day timestamp := pg_catalog.date_trunc('day', until);
  tick timestamp;
BEGIN
FOR days_back IN 0..${LOOK_BACK_DAYS} LOOP
  IF ${matches('days', 'day', 'day')} AND ${matches('months', 'month', 'day')} AND ${matches('weekdays', 'dow', 'day')} THEN
    SELECT pg_catalog.max(m.minute) INTO tick
    FROM pg_catalog.generate_series(day, day + interval '23 hours 59 minutes', interval '1 minute') AS m(minute)
    WHERE m.minute <= until AND ${matches('hours', 'hour', 'm.minute')} AND ${matches('minutes', 'minute', 'm.minute')};
    EXIT WHEN tick IS NOT NULL;
  END IF;
  day := day - interval '1 day';
END LOOP;
RETURN pg_catalog.timezone('UTC', tick);
END
`,
});

/** Whether a field of the schedule matches a part of an instant. An absent field matches all. */
function matches(field: string, part: string, instant: string): string {
  return `coalesce(schedule -> '${field}' @> pg_catalog.to_jsonb(pg_catalog.date_part('${part}', ${instant})::int), true)`;
}

/** Runs `text` from within PL/pgSQL. Its `$1`-style placeholders stay as they are. */
function execute(text: string): string {
  return `EXECUTE ${escapeLiteral(text)}`;
}

const [giveBack, , takeAgain] = withItsSettings({ text: '', hasApplicationText: true }).map(
  ({ text }) => execute(text),
);

/**
 * Each transaction begins like this. The isolation level is explicit for the same reason as in
 * `begin`.
 */
const BEGIN_TRANSACTION = `SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;
  ${execute(takeOwnSettings().text)};
  PERFORM pg_catalog.set_config('lock_timeout', job ->> 'lockTimeoutMs', true),
    pg_catalog.set_config('exit_on_error', 'off', true),
    CASE WHEN pg_catalog.current_setting('transaction_timeout', true) IS NOT NULL THEN pg_catalog.set_config('transaction_timeout', '0', true) END;`;

/** If the definitions differ from those of the last refresh, a process of the application must look for obstacles. */
const SIGNATURE = `CASE WHEN pending.are_definitions_stored
         THEN CASE WHEN pending.is_unsure THEN '${UNSURE}' || pending.signature ELSE pending.signature END
       END`;

/** See `writtenSince`. */
const WRITTEN_SINCE = `CASE WHEN pending.is_signature_stored
         THEN coalesce(pending.pending_since, condition.started_at)
         ELSE least(coalesce(pending.pending_since, condition.started_at), coalesce(condition.last_started_at, 0))
       END`;

/** As in a process: the server's message decides, or, if it is in another language, the time that the call took. */
const IS_TIMEOUT = `CASE error_message
        ${[...CANCEL_MESSAGES].map(([message, isTimeout]) => `WHEN ${escapeLiteral(message)} THEN ${isTimeout}`).join('\n        ')}
        ELSE (SELECT s.setting::float8 > 0
          AND pg_catalog.clock_timestamp() >= pg_catalog.statement_timestamp() + s.setting::float8 * interval '1 millisecond'
        FROM pg_catalog.pg_settings s
        WHERE s.name = 'statement_timeout')
      END`;

/**
 * Whether the text of an error cannot hold row data: PostgreSQL's own for such a code, without a function in its
 * context, whose lines are the statement and this procedure.
 */
const IS_KNOWN_SAFE = `error_code IN (${[...FIXED_TEXT_CODES].map(escapeLiteral).join(', ')})
        AND pg_catalog.array_length(pg_catalog.string_to_array(error_context, E'\\n'), 1) = 2`;

/** For statements whose text alone is used. */
const NO_LIMITS = { maxAgeMs: 0, maxCount: 0 };
const NO_ROW = { schema_name: '', view_name: '', outcome: '', cutoff: 0, kept_runs: [] };

/**
 * Refreshes a view for the last scheduled time, if that is not done yet. It is a procedure and not a function, so
 * that a failure can be committed to the history and then raised for pg_cron to see.
 *
 * While another refresh of the view runs, it retries, and holds no snapshot meanwhile. A statement of the body pins the
 * search path, and all names before it are qualified. A SET clause of the procedure would forbid COMMIT and would also apply
 * to the view's query.
 */
export const REFRESH_BY_PG_CRON = storedProcedure(PROCEDURE, {
  head: `(wanted_schema text, wanted_view text, job jsonb)
LANGUAGE plpgsql`,
  body: (stateSchema) => `
DECLARE
  this_run pg_catalog.uuid := pg_catalog.gen_random_uuid();
  this_host pg_catalog.text := pg_catalog.concat('${PG_CRON_HOST}:', pg_catalog.pg_backend_pid());
  give_up_at pg_catalog.timestamptz;
  this_tick pg_catalog.timestamptz;
  condition record;
  pending record;
  mode pg_catalog.text := 'blocking';
  reason pg_catalog.text;
  view_statement pg_catalog.text;
  outcome pg_catalog.text := 'failed';
  error_code pg_catalog.text;
  error_message pg_catalog.text;
  error_hint pg_catalog.text := '';
  error_context pg_catalog.text;
  prunable record;
BEGIN
LOOP
  COMMIT;
  ${BEGIN_TRANSACTION}
  give_up_at := coalesce(give_up_at, pg_catalog.clock_timestamp() + (job ->> 'patienceMs')::float8 * interval '1 millisecond');
  EXIT WHEN pg_catalog.pg_try_advisory_xact_lock((job ->> 'lockKey')::bigint);
  IF pg_catalog.clock_timestamp() > give_up_at THEN
    RAISE EXCEPTION USING
      ERRCODE = 'lock_not_available',
      MESSAGE = pg_catalog.format('Materialized view "%s.%s" was not refreshed: somebody else has refreshed or changed it all the time. The next run does what is due then.', wanted_schema, wanted_view);
  END IF;
  PERFORM pg_catalog.pg_sleep(${ASK_AGAIN_S});
END LOOP;

this_tick := ${quoteIdentifier(stateSchema)}.${LAST_CRON_TICK.name}(job -> 'schedule', pg_catalog.clock_timestamp());
SELECT * INTO condition
FROM ${quoteIdentifier(stateSchema)}.${REFRESH_CONDITIONS.name}(wanted_schema, wanted_view, this_tick, 0);
IF this_tick IS NULL OR condition.is_tick_done OR condition.is_paused THEN
  RETURN;
END IF;
${execute(selectPending(stateSchema, []).text)} INTO pending USING ARRAY[wanted_schema], ARRAY[wanted_view];

IF condition.relation_kind IS DISTINCT FROM 'm' THEN
  error_code := 'MV_VIEW_MISSING';
  error_message := pg_catalog.format('Materialized view "%s.%s" does not exist in the database.', wanted_schema, wanted_view);
ELSIF job ->> 'mode' = 'blocking' THEN
  reason := 'requested';
ELSIF NOT condition.is_populated THEN
  reason := 'unpopulated';
ELSIF condition.has_usable_unique_index THEN
  mode := 'concurrently';
  reason := 'unique_index';
ELSIF (job ->> 'isStrict')::boolean THEN
  error_code := 'MV_BLOCKING_REFUSED';
  error_message := pg_catalog.format('Materialized view "%s.%s" was not refreshed: it has no unique index that PostgreSQL can use to refresh it concurrently, and "strict" does not allow a refresh that blocks its readers.', wanted_schema, wanted_view);
ELSE
  reason := 'no_unique_index';
END IF;

IF error_code IS NULL THEN
  BEGIN
    PERFORM pg_catalog.set_config(s.key, s.value, true) FROM pg_catalog.jsonb_each_text(job -> 'settings') AS s;
    view_statement := pg_catalog.format(CASE mode
      WHEN 'concurrently' THEN 'REFRESH MATERIALIZED VIEW CONCURRENTLY %I.%I'
      ELSE 'REFRESH MATERIALIZED VIEW %I.%I'
    END, wanted_schema, wanted_view);
    ${giveBack};
    EXECUTE view_statement;
    ${takeAgain};
    ${execute(successText(stateSchema))}
    USING this_run, wanted_schema, wanted_view, this_tick, condition.started_at, coalesce(pending.snapshot, condition.snapshot),
      'schedule'::text, mode, reason, this_host, 1, false, ${SIGNATURE},
      condition.inserted_before, condition.deleted_before, ${WRITTEN_SINCE}, 0;
  EXCEPTION
    WHEN query_canceled OR assert_failure OR OTHERS THEN
      GET STACKED DIAGNOSTICS
        error_code = RETURNED_SQLSTATE, error_message = MESSAGE_TEXT, error_hint = PG_EXCEPTION_HINT, error_context = PG_EXCEPTION_CONTEXT;
      IF error_code = '57014' THEN
        outcome := CASE WHEN ${IS_TIMEOUT} THEN 'timeout' ELSE 'cancelled' END;
      END IF;
      IF NOT (${IS_KNOWN_SAFE}) THEN
        RAISE LOG USING
          ERRCODE = error_code, HINT = error_hint, DETAIL = error_context,
          MESSAGE = pg_catalog.format('Materialized view "%s.%s" was not refreshed: %s', wanted_schema, wanted_view, error_message);
        error_message := pg_catalog.format('SQLSTATE %s (PostgreSQL''s text may hold row data, and is only in the log of the server)', error_code);
        error_hint := '';
      END IF;
  END;
END IF;
IF error_code IS NOT NULL THEN
  ${execute(failureText(stateSchema))}
  USING this_run, wanted_schema, wanted_view, this_tick, condition.started_at, outcome, error_code, 0::float8,
    'schedule'::text, pg_catalog.left(error_message, ${MAX_MESSAGE_LENGTH}), this_host, true, outcome <> 'failed', 1;
END IF;
COMMIT;
${BEGIN_TRANSACTION}
${execute(followIndex().text)};
FOR prunable IN ${execute(selectPrunable(stateSchema, [], NO_LIMITS).text)}
  USING ARRAY[wanted_schema], ARRAY[wanted_view],
    (job #>> '{history,maxAgeMs}')::float8, (job #>> '{history,maxCount}')::bigint
LOOP
  ${execute(pruneHistory(stateSchema, NO_ROW, { from: 0, batchSize: 0 }).text)}
  USING wanted_schema, wanted_view, prunable.outcome, 0::float8, prunable.cutoff, prunable.kept_runs, ${PRUNED_AT_A_TIME};
END LOOP;
COMMIT;
IF error_code IS NOT NULL THEN
  RAISE EXCEPTION USING
    ERRCODE = CASE WHEN pg_catalog.starts_with(error_code, 'MV_') THEN 'P0001' ELSE error_code END,
    MESSAGE = error_message, HINT = error_hint;
END IF;
END
`,
});

/** The prefix of the commands of the library's jobs, of any release. */
export function pgCronCommandStart(stateSchema: string): string {
  return `CALL ${quoteIdentifier(stateSchema)}.${PROCEDURE}_`;
}

/** What a job runs. */
export function pgCronCommand(stateSchema: string, parameters: readonly string[]): string {
  return `CALL ${quoteIdentifier(stateSchema)}.${REFRESH_BY_PG_CRON.name}(${parameters.map(escapeLiteral).join(', ')})`;
}
