import { describe, expect, it } from '@jest/globals';
import type { ViewDefinition } from '../../../lib/definition/view-definition.js';
import type { PgCronRow } from '../../../lib/postgres/pg-cron.sql.js';
import { pgCronJobName } from '../../../lib/postgres/pg-cron-job.js';
import { requirePgCron } from '../../../lib/schema/pg-cron-jobs.js';

const VIEW = { name: { schema: 'public', name: 'daily' } } as ViewDefinition;

const SERVER: PgCronRow = {
  database: 'shop',
  role: 'app "one"',
  version: '1.6',
  may_schedule: true,
  can_log_in: true,
  cron_database: null,
  time_zone: null,
  own_roles: [],
};

const OWN = { isOwn: true };

describe('requirePgCron', () => {
  it.each(['GMT', 'UTC', 'Etc/UTC', null])('accepts a server whose time zone is %s', (zone) => {
    expect(() => requirePgCron(VIEW, { ...SERVER, time_zone: zone }, OWN)).not.toThrow();
  });

  it.each<[Partial<PgCronRow>, string]>([
    [{ time_zone: 'Europe/Berlin' }, 'the time zone "Europe/Berlin" (cron.timezone)'],
    [{ can_log_in: false }, '"app "one"" may not log in'],
    [{ may_schedule: false }, 'GRANT USAGE ON SCHEMA cron TO "app ""one"""'],
    [{ version: null }, 'database "shop" does not have the extension pg_cron'],
    [{ version: null, cron_database: 'shop' }, 'does not have the extension pg_cron'],
    [{ version: null, cron_database: 'postgres' }, 'lives in database "postgres" of this server'],
  ])('refuses %j', (found, message) => {
    expect(() => requirePgCron(VIEW, { ...SERVER, ...found }, OWN)).toThrow(message);
  });

  it('needs no privileges if another role owns the view', () => {
    const server = { ...SERVER, may_schedule: false, can_log_in: false };
    expect(() => requirePgCron(VIEW, server, { isOwn: false })).not.toThrow();
  });
});

describe('pgCronJobName', () => {
  it('fits into pg_cron, and differs for each view', () => {
    const name = (last: string): string =>
      pgCronJobName({ schema: 's'.repeat(60), name: `${'ä'.repeat(30)}${last}` });
    expect(Buffer.byteLength(name('1'))).toBeLessThanOrEqual(63);
    expect(name('1')).not.toBe(name('2'));
    expect(pgCronJobName(VIEW.name)).toBe('materialized-view:public.daily');
  });
});
