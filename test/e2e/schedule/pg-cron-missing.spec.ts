import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { PgCronUnavailableError } from '../../../lib/index.js';
import { Releases } from '../../support/releases.js';
import { TestDatabase } from '../../support/test-database.js';
import type { TestView } from '../../support/view-class.js';

const HOURLY: TestView = {
  name: 'hourly',
  expression: 'SELECT 1 AS id',
  refresh: { cron: '0 * * * *', scheduler: 'pg_cron' },
};

describe('a database without pg_cron (features.md, row 9)', () => {
  let database: TestDatabase;
  let releases: Releases;

  beforeAll(async () => {
    database = await TestDatabase.create();
    releases = new Releases(database);
  });

  afterAll(async () => {
    await releases.end();
    await database.drop();
  });

  it.each([true, 'create', 'verify'] as const)(
    'fails the boot of a view that is scheduled there, with synchronize: %p',
    async (synchronize) => {
      const boot = releases.start([HOURLY], { synchronize });
      await expect(boot).rejects.toThrow(PgCronUnavailableError);
      await expect(boot).rejects.toMatchObject({
        view: 'public.hourly',
        message: expect.stringContaining(
          `database "${database.name}" does not have the extension pg_cron. Nothing has been changed.`,
        ) as unknown,
        hint: expect.stringContaining('CREATE EXTENSION pg_cron') as unknown,
      });
      expect(await database.query(`SELECT FROM pg_matviews`)).toEqual([]);
    },
  );

  it('fails to plan and to write a migration, and says nothing if no view is scheduled there', async () => {
    const schema = await releases.start([HOURLY], { synchronize: false });
    await expect(schema.plan()).rejects.toThrow(PgCronUnavailableError);
    await expect(schema.generateMigration({ name: 'Add' })).rejects.toThrow(PgCronUnavailableError);
    await (await releases.start([{ ...HOURLY, refresh: {} }])).verify();
  });
});
