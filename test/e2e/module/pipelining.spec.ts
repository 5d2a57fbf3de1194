import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { RefreshService } from '../../../lib/index.js';
import { selectSignOf } from '../../../lib/postgres/pipeline.sql.js';
import { BrokenPooler, PIPELINE_FAULTS } from '../../support/broken-pooler.js';
import { statementsOf } from '../../support/statement-count.js';
import { Releases } from '../../support/releases.js';
import { TestDatabase } from '../../support/test-database.js';

const WARNING =
  /^Statements that data source "default" sends in a pipeline get no or wrong answers/;

const view = {
  schema: 'Odd schema',
  name: 'a "view"',
  expression: 'SELECT 10 / id AS id FROM public.items',
  key: ['id'],
  refresh: { on: 'sources' as const },
};
const VIEW = 'Odd schema.a "view"';

describe('statements in a pipeline', () => {
  let database: TestDatabase;
  let releases: Releases;
  let pooler: BrokenPooler | undefined;

  beforeEach(async () => {
    database = await TestDatabase.create();
    await database.query('CREATE TABLE items AS SELECT 1 AS id');
    releases = new Releases(database);
  });

  afterEach(async () => {
    await releases.end();
    await pooler?.stop();
    pooler = undefined;
    await database.drop();
  });

  const ofPipeline = (): string[] => releases.warnings.filter((message) => WARNING.test(message));

  /** How often the library tests whether pipelining works, while `work` runs. */
  const triesOf = async (work: () => Promise<unknown>): Promise<number> =>
    (await statementsOf(work)).filter((text) => text === selectSignOf(1).text).length / 6;

  it.each(PIPELINE_FAULTS)(
    'are sent one by one where they are %s',
    async (fault) => {
      pooler = await BrokenPooler.before(database.url, fault);
      const { url } = pooler;
      expect(await triesOf(() => releases.start([view], { scheduling: true }, { url }))).toBe(3);
      expect(ofPipeline()).toHaveLength(1);
      const { faultCount } = pooler;
      expect(faultCount).toBeGreaterThan(0);

      const refreshes = releases.get(RefreshService);
      await database.query('INSERT INTO items VALUES (2)');
      expect(await refreshes.refresh(VIEW)).toMatchObject({ outcome: 'refreshed' });
      expect(await refreshes.refresh(VIEW, { mode: 'swap' })).toMatchObject({ mode: 'swap' });
      await database.query('INSERT INTO items VALUES (0)');
      await expect(refreshes.refresh(VIEW)).rejects.toThrow(/division by zero/);
      expect(await refreshes.status(VIEW)).toMatchObject({ lastFailure: { errorCode: '22012' } });
      await database.query('DELETE FROM items WHERE id = 0');
      expect(await refreshes.drift(VIEW)).toMatchObject({ missingCount: 0 });
      expect(pooler.faultCount).toBe(faultCount);
    },
    120_000,
  );

  it('are sent together elsewhere, which is tried once', async () => {
    expect(await triesOf(() => releases.start([view]))).toBe(1);
    expect(ofPipeline()).toHaveLength(0);
  });

  it('are sent together where a connection is lost while that is tried', async () => {
    pooler = await BrokenPooler.before(database.url, 'cut', 1);
    const { url } = pooler;
    expect(await triesOf(() => releases.start([view], {}, { url }))).toBe(2);
    expect(pooler.faultCount).toBe(1);
    expect(ofPipeline()).toHaveLength(0);
    expect(await releases.get(RefreshService).refresh(VIEW)).toMatchObject({
      outcome: 'refreshed',
    });
  });
});
