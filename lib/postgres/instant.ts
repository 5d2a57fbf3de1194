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
