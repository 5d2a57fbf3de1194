import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { SwapRefusedError, UnmanagedDependentsError } from '../../../lib/index.js';
import {
  MakingAnew,
  QUOTED_PLAIN,
  QUOTED_SUBJECT,
  SUBJECT,
  WAYS,
  WAYS_WITH_PLAIN_VIEW,
} from '../../support/making-anew.js';
import { snapshot } from './model/snapshot.js';
import { sampleOf } from '../../support/matrix.js';
import { TestDatabase } from '../../support/test-database.js';

const ALTER = `ALTER MATERIALIZED VIEW ${QUOTED_SUBJECT}`;

/** Attributes that a rebuilt view takes over. */
const KEPT: Record<string, string> = {
  'storage parameters of its TOAST table': `${ALTER} SET (fillfactor = 77, toast.autovacuum_enabled = false, toast.vacuum_truncate = off)`,
  'an extension on which it depends': `${ALTER} DEPENDS ON EXTENSION plpgsql`,
  'an extension on which its indexes depend': `ALTER INDEX "Far away".by_hand DEPENDS ON EXTENSION plpgsql;
    ALTER INDEX "Far away"."The ""Subject""_key" DEPENDS ON EXTENSION plpgsql`,
  'a comment on its type': `COMMENT ON TYPE ${QUOTED_SUBJECT} IS 'it''s a row'`,
  'replica identity FULL': `${ALTER} REPLICA IDENTITY FULL`,
  'replica identity NOTHING': `${ALTER} REPLICA IDENTITY NOTHING`,
};

/** Attributes of the plain view above that are kept. */
const KEPT_ABOVE: Record<string, string> = {
  'defaults of its columns': `ALTER VIEW ${QUOTED_PLAIN} ALTER id SET DEFAULT 7, ALTER note SET DEFAULT 'it''s ' || public.next()`,
  'a comment on its type': `COMMENT ON TYPE ${QUOTED_PLAIN} IS 'a row'`,
  'its own parameters': `ALTER VIEW ${QUOTED_PLAIN} SET (security_barrier = true)`,
};

/** Attributes that cannot be recreated, so the change is refused, and how the error names them. */
const REFUSED: Record<string, [statement: string, named: RegExp]> = {
  'a security label': [
    `INSERT INTO pg_seclabel VALUES ('${QUOTED_SUBJECT}'::regclass, 'pg_class'::regclass, 0, 'guard', 'secret')`,
    /security label of provider guard/,
  ],
  'a security label of a column': [
    `INSERT INTO pg_seclabel VALUES ('${QUOTED_SUBJECT}'::regclass, 'pg_class'::regclass, 2, 'guard', 'secret')`,
    /security label of provider guard/,
  ],
  'a security label of the type of its rows': [
    `INSERT INTO pg_seclabel VALUES ('${QUOTED_SUBJECT}'::regtype, 'pg_type'::regclass, 0, 'guard', 'secret')`,
    /security label of provider guard/,
  ],
  'a comment on its rule': [
    `COMMENT ON RULE "_RETURN" ON ${QUOTED_SUBJECT} IS 'the query'`,
    /comment on its rule/,
  ],
  'privileges of its type': [
    `REVOKE USAGE ON TYPE ${QUOTED_SUBJECT} FROM PUBLIC`,
    /privileges of the type of its rows/,
  ],
};

/** The same for a plain view that a materialized view is to replace. */
const REFUSED_OF_PLAIN: Record<string, [statement: string, named: RegExp]> = {
  'an INSTEAD OF trigger': [
    `CREATE TRIGGER "Instead" INSTEAD OF INSERT ON ${QUOTED_SUBJECT} FOR EACH ROW EXECUTE FUNCTION public.nothing()`,
    /trigger Instead on view/,
  ],
  'a rule': [
    `CREATE RULE "Aside" AS ON INSERT TO ${QUOTED_SUBJECT} DO INSTEAD NOTHING`,
    /rule Aside on view/,
  ],
  'a default of a column': [
    `ALTER VIEW ${QUOTED_SUBJECT} ALTER note SET DEFAULT 'none'`,
    /default of column "note"/,
  ],
  'a parameter of plain views': [
    `ALTER VIEW ${QUOTED_SUBJECT} SET (security_barrier = true)`,
    /storage parameter "security_barrier"/,
  ],
};

describe('what a view was given by hand', () => {
  let database: TestDatabase;
  let anew: MakingAnew;

  beforeAll(async () => {
    database = await TestDatabase.create();
  });

  beforeEach(async () => {
    await MakingAnew.prepare(database);
    await database.query(`
      CREATE FUNCTION public.next() RETURNS text LANGUAGE sql AS $$ SELECT 'next' $$;
      CREATE FUNCTION public.nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$`);
    anew = new MakingAnew(database);
  });

  afterEach(async () => {
    await anew.end();
    await database.query(`DELETE FROM pg_seclabel WHERE provider = 'guard'`);
  });

  afterAll(async () => {
    await database.drop();
  });

  async function boot(): Promise<void> {
    await anew.boot();
    await database.query(`CREATE INDEX by_hand ON ${QUOTED_SUBJECT} (amount)`);
  }

  it.each(
    sampleOf(
      WAYS.flatMap((way) => Object.entries(KEPT).map(([what, work]) => [what, way, work] as const)),
    ),
  )('is kept: %s, by %s', async (_, way, statement) => {
    await boot();
    await database.query(statement);
    const [found, oids] = [await anew.found(), await anew.oids()];
    await anew.by(way);
    expect(await anew.found()).toEqual(found);
    expect(await anew.oids()).not.toEqual(oids);
  });

  it.each(
    sampleOf(
      WAYS_WITH_PLAIN_VIEW.flatMap((way) =>
        Object.entries(KEPT_ABOVE).map(([what, work]) => [what, way, work] as const),
      ),
    ),
  )('is kept of a plain view above: %s, by %s', async (_, way, statement) => {
    await boot();
    await anew.putPlainViewAbove();
    await database.query(statement);
    const [found, oids] = [await anew.found(), await anew.oids()];
    await anew.by(way);
    expect(await anew.found()).toEqual(found);
    expect(await anew.oids()).not.toEqual(oids);
  });

  it.each(
    sampleOf(
      WAYS.flatMap((way) =>
        Object.entries(REFUSED).map(([what, work]) => [what, way, ...work] as const),
      ),
    ),
  )('stops what would lose it, by name: %s, %s', async (_, way, statement, named) => {
    await boot();
    await database.query(statement);
    const [found, oids] = [await anew.found(), await anew.oids()];
    const failure: unknown = await anew.by(way).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(way === 'a swap' ? SwapRefusedError : UnmanagedDependentsError);
    expect((failure as Error).message).toMatch(named);
    expect([await anew.found(), await anew.oids()]).toEqual([found, oids]);
  });

  describe('that a class replaces', () => {
    beforeEach(async () => {
      await database.query(`CREATE VIEW ${QUOTED_SUBJECT} AS SELECT id, amount, note FROM items`);
    });

    it.each(
      Object.entries(REFUSED_OF_PLAIN)
        .concat(Object.entries(REFUSED))
        .map(([what, work]) => [what, ...work] as const),
    )('stops the boot, by name: %s', async (_, statement, named) => {
      await database.query(statement);
      const before = await snapshot(database);
      const failure: unknown = await anew.boot().catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(UnmanagedDependentsError);
      expect((failure as Error).message).toMatch(named);
      expect(await snapshot(database)).toEqual(before);
    });

    it('is kept if a materialized view can have it', async () => {
      await database.query(`
        COMMENT ON TYPE ${QUOTED_SUBJECT} IS 'a row';
        COMMENT ON VIEW ${QUOTED_SUBJECT} IS 'plain';
        COMMENT ON COLUMN ${QUOTED_SUBJECT}.note IS 'a note';
        REVOKE ALL ON ${QUOTED_SUBJECT} FROM CURRENT_USER;
        GRANT SELECT (id) ON ${QUOTED_SUBJECT} TO PUBLIC`);
      const before = (await snapshot(database)).get(SUBJECT);
      await anew.boot();
      const { typeComment, comment, acl, columns } = before ?? {};
      expect((await snapshot(database)).get(SUBJECT)).toMatchObject({
        kind: 'm',
        typeComment,
        comment,
        acl,
        columns,
      });
    });
  });
});
