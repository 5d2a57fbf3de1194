import { createHash } from 'node:crypto';
import { displayName, type QualifiedName } from './identifier.js';
import type { PgCronRow } from './pg-cron.sql.js';

/** pg_cron stores no longer names. */
const NAME_BYTES = 63;

/** `materialized-view:schema.name`, or a hash of the name if that is too long. */
export function pgCronJobName(view: QualifiedName): string {
  const name = `materialized-view:${displayName(view)}`;
  return Buffer.byteLength(name) <= NAME_BYTES
    ? name
    : `materialized-view:${createHash('sha256').update(name).digest('hex').slice(0, 32)}`;
}

/** Whether pg_cron is installed here and this role may read its own jobs. */
export function hasJobs(server: PgCronRow | undefined): server is PgCronRow {
  return server !== undefined && server.version !== null && server.may_schedule === true;
}
