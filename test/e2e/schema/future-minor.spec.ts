import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { SwapRefusedError, UnmanagedDependentsError } from '../../../lib/index.js';
import {
  MakingAnew,
  QUOTED_PLAIN,
  QUOTED_SUBJECT,
  WAYS,
  WAYS_WITH_PLAIN_VIEW,
} from '../../support/making-anew.js';
import { sampleOf } from '../../support/matrix.js';
import { TestDatabase } from '../../support/test-database.js';

const OF_VIEWS = `oid IN ('${QUOTED_SUBJECT}'::regclass, to_regclass('${QUOTED_PLAIN}'))`;

/** Where a server may store a parameter in the catalog; `%s` is the parameter. */
const PLACES: Record<string, string> = {
  'a view': `UPDATE pg_class SET reloptions = ARRAY[%s] WHERE ${OF_VIEWS}`,
  'a TOAST table': `UPDATE pg_class SET reloptions = ARRAY[%s]
    WHERE oid IN (SELECT reltoastrelid FROM pg_class WHERE ${OF_VIEWS})`,
  'an index': `UPDATE pg_class SET reloptions = CASE WHEN relname = 'by_hand' THEN '{fillfactor=77,deduplicate_items=off}' ELSE '{}' END::text[] || ARRAY[%s]
    WHERE oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = '${QUOTED_SUBJECT}'::regclass)`,
  'a column': `UPDATE pg_attribute SET attoptions = attoptions || ARRAY[%s]
    WHERE attnum > 0 AND attrelid IN (SELECT oid FROM pg_class WHERE ${OF_VIEWS})`,
};

const WRITTEN = `SELECT array_to_string(reloptions, ',') AS written FROM pg_class WHERE reloptions IS NOT NULL
  UNION SELECT array_to_string(attoptions, ',') FROM pg_attribute WHERE attoptions IS NOT NULL`;

describe('catalog entries of a newer server', () => {
  let database: TestDatabase;
  let anew: MakingAnew;

  beforeAll(async () => {
    database = await TestDatabase.create();
  });

  beforeEach(async () => {
    await MakingAnew.prepare(database);
    anew = new MakingAnew(database);
    await anew.boot();
    await database.query(`CREATE INDEX by_hand ON ${QUOTED_SUBJECT} (amount) WHERE id > 1`);
  });

  afterEach(async () => {
    await anew.end();
  });

  afterAll(async () => {
    await database.drop();
  });

  async function put(place: string, parameter: string): Promise<void> {
    await database.query((PLACES[place] ?? '').replace('%s', parameter));
  }

  it.each(
    sampleOf(WAYS.flatMap((way) => Object.keys(PLACES).map((place) => [way, place] as const))),
  )('is left out by %s where it is the own of the server: %s', async (way, place) => {
    if (way !== 'a swap') {
      await anew.putPlainViewAbove();
    }
    if (way === 'a swap' && place === 'a column') {
      // A swap sets a column parameter to take a lock; this server refuses that if the column has an unknown one.
      return;
    }
    await put(place, `'pg_future=it''s, "2"'`);
    const before = await anew.found();
    const oids = await anew.oids();
    await anew.by(way);
    expect(await anew.found()).toEqual(before);
    expect(await anew.oids()).not.toEqual(oids);
    expect(JSON.stringify(await database.query(WRITTEN))).not.toContain('pg_future');
  });

  it.each(
    sampleOf(
      WAYS_WITH_PLAIN_VIEW.flatMap((way) =>
        Object.keys(PLACES).map((place) => [way, place] as const),
      ),
    ),
  )('is refused by name by %s where it may be somebody’s: %s', async (way, place) => {
    await put(place, `'zorro=5'`);
    const [before, oids] = [await anew.found(), await anew.oids()];
    await expect(anew.by(way)).rejects.toMatchObject({
      constructor: UnmanagedDependentsError,
      message: expect.stringMatching(/zorro.*Nothing has been changed/),
    });
    expect([await anew.found(), await anew.oids()]).toEqual([before, oids]);
  });

  it.each(Object.keys(PLACES).filter((place) => place !== 'a column'))(
    'is refused by name by a swap where it may be somebody’s: %s',
    async (place) => {
      await put(place, `'zorro=5'`);
      await expect(anew.by('a swap')).rejects.toThrow(SwapRefusedError);
      await expect(anew.by('a swap')).rejects.toThrow(/zorro/);
    },
  );
});
