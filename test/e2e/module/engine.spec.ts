import { describe, expect, it } from '@jest/globals';
import { Releases } from '../../support/releases.js';
import { TestDatabase } from '../../support/test-database.js';

describe('a server that is not plain PostgreSQL', () => {
  it('is named at boot, with what does not work there', async () => {
    const database = await TestDatabase.create();
    const releases = new Releases(database);
    const view = { name: 'one', expression: 'SELECT 1 AS id' };
    try {
      await releases.start([view]);
      expect(releases.warnings.filter((each) => each.includes(' is on '))).toEqual([]);
      // The catalog entry of Citus.
      await database.query(
        `INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
         VALUES (4711, 'citus', 10, 11, false, '12.1')`,
      );
      await releases.start([view]);
      expect(releases.warnings.filter((each) => each.includes(' is on '))).toEqual([
        expect.stringMatching(/Data source "default" is on Citus,.*by `cron` and on demand/),
      ]);
    } finally {
      await releases.end();
      await database.drop();
    }
  });
});
