/**
 * An instant as SQL in whole milliseconds since the epoch. As text it would depend on the session's
 * DateStyle, which is left alone because it also affects what a view's query computes.
 */
export function epochMs(instant: string): string {
  return `pg_catalog.round(pg_catalog.date_part('epoch', pg_catalog.date_trunc('milliseconds', ${instant})) OPERATOR(pg_catalog.*) '1000'::pg_catalog.float8)`;
}

/** The reverse. */
export function fromEpochMs(milliseconds: string): string {
  return `pg_catalog.to_timestamp(${milliseconds}::float8 / 1000)`;
}

/*
 * A database's clock may go back: someone sets it, or a server whose clock is behind takes over. Then times stored
 * before are ahead of it. They say nothing about how long ago anything happened, so they count as absent.
 */

const NOW = 'pg_catalog.clock_timestamp()';

/** Whether the last success `s` of a view is not in the future. A success without times is not. */
export const IS_SUCCESS_PAST = `coalesce(greatest(s.last_started_at, s.last_success_at) <= ${NOW}, true)`;

/** A tick may be done 250 ms early. No schedule is finer than a second. */
const TICK_TOLERANCE = `interval '1 second'`;

/** The last tick that was done for a view `s`. */
export const PAST_TICK = `CASE WHEN s.last_tick <= ${NOW} + ${TICK_TOLERANCE} THEN s.last_tick END`;

/** Whether scheduled refreshes of a view `s` back off: for some time after its last failure. */
export const IS_BACKING_OFF = `s.not_before > ${NOW} AND s.last_failure_at <= ${NOW}`;

/** A stored time, or null if it is in the future. */
export function past(instant: string): string {
  return `CASE WHEN ${instant} <= ${NOW} THEN ${instant} END`;
}

/**
 * When a pending change was written. If that time is in the future, the change may be as old as the view's rows.
 */
export function writtenAt(instant: string, view = 's'): string {
  return `CASE
         WHEN ${instant} > ${NOW}
         THEN coalesce(${past(`${view}.last_started_at`)}, ${past(`${view}.known_since`)}, pg_catalog.to_timestamp(0::float8))
         ELSE ${instant}
       END`;
}

/**
 * Until when a stored time of a view `s` that matters is in the future, by more than clocks usually differ; null for none.
 */
export const AHEAD_UNTIL = `(
         SELECT pg_catalog.max(a.at)
         FROM (VALUES
           (s.last_tick), (s.last_started_at), (s.last_success_at), (s.last_unchanged_at),
           (CASE WHEN s.not_before > ${NOW} THEN s.last_failure_at END)
         ) AS a(at)
         WHERE a.at > ${NOW} + ${TICK_TOLERANCE}
       )`;
