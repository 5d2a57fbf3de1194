/**
 * An instant as SQL that gives whole milliseconds since the epoch: as text it would depend on the
 * session's DateStyle, which also decides what a view's query computes and is left alone for that.
 */
export function epochMs(instant: string): string {
  return `pg_catalog.round(pg_catalog.date_part('epoch', pg_catalog.date_trunc('milliseconds', ${instant})) OPERATOR(pg_catalog.*) '1000'::pg_catalog.float8)`;
}

/** The other way round. */
export function fromEpochMs(milliseconds: string): string {
  return `pg_catalog.to_timestamp(${milliseconds}::float8 / 1000)`;
}

/*
 * The clock of a database may go back: it is set, or another server takes over whose clock is behind. Then what was
 * stored before is ahead of it, and says nothing of how long ago anything was: it counts as absent.
 */

const NOW = 'pg_catalog.clock_timestamp()';

/** Whether the last success `s` of a view is none of the future. One without instants is none either. */
export const IS_SUCCESS_PAST = `coalesce(greatest(s.last_started_at, s.last_success_at) <= ${NOW}, true)`;

/** A tick may be done 250 ms before its instant. No grid is finer than a second. */
const TICK_TOLERANCE = `interval '1 second'`;

/** The last tick that was done for a view `s`. */
export const PAST_TICK = `CASE WHEN s.last_tick <= ${NOW} + ${TICK_TOLERANCE} THEN s.last_tick END`;

/** Whether schedules stay away from a view `s`: for some time after its last failure, which has to be over. */
export const IS_BACKING_OFF = `s.not_before > ${NOW} AND s.last_failure_at <= ${NOW}`;

/** A stored instant, and null where it is one of the future. */
export function past(instant: string): string {
  return `CASE WHEN ${instant} <= ${NOW} THEN ${instant} END`;
}

/** When a change was written that a view has not seen: if that is ahead, it may be as old as the view's rows. */
export function writtenAt(instant: string, view = 's'): string {
  return `CASE
         WHEN ${instant} > ${NOW}
         THEN coalesce(${past(`${view}.last_started_at`)}, ${past(`${view}.known_since`)}, pg_catalog.to_timestamp(0::float8))
         ELSE ${instant}
       END`;
}

/** Until when something that matters of a view `s` is ahead, and by more than a clock is set as a rule; null for never. */
export const AHEAD_UNTIL = `(
         SELECT pg_catalog.max(a.at)
         FROM (VALUES
           (s.last_tick), (s.last_started_at), (s.last_success_at), (s.last_unchanged_at),
           (CASE WHEN s.not_before > ${NOW} THEN s.last_failure_at END)
         ) AS a(at)
         WHERE a.at > ${NOW} + ${TICK_TOLERANCE}
       )`;
