import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  it,
  jest,
} from '@jest/globals';
import { Logger } from '@nestjs/common';
import type { TestingModule } from '@nestjs/testing';
import type { Notification } from 'pg';
import { Column, Entity, PrimaryGeneratedColumn } from 'typeorm';
import { MaterializedViewsModule, SchemaDriftError, SchemaService } from '../../../lib/index.js';
import { Network } from '../../support/network.js';
import { boot, typeOrm } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';
import { type TestView, viewClass } from '../../support/view-class.js';

const HOSTILE = `we"ird 'view`;
const STATE = `own "state' $wake$`;
const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;
const CHANNEL = quoted(`${STATE}_wake_up`);
const HISTORY = `${quoted(STATE)}.refresh_history`;

/** The polls' jitter is a share of a random number. This one makes their intervals minutes or hours long. */
const FAR_AWAY = 5_000;

@Entity('orders')
class Order {
  @PrimaryGeneratedColumn() id!: number;
  @Column() day!: string;
}

const daily: TestView = {
  name: 'daily',
  schema: HOSTILE,
  expression: 'SELECT day AS id, count(*)::int AS n FROM public.orders GROUP BY day',
  columns: ['id', 'n'],
  key: ['id'],
  refresh: { on: [Order], debounce: 0 },
};

/** Tracks the refreshes of `daily`. */
const weekly: TestView = {
  name: 'weekly',
  expression: `SELECT 1 AS id, sum(n)::int AS n FROM ${quoted(HOSTILE)}.daily`,
  columns: ['id', 'n'],
  key: ['id'],
  refresh: { on: 'sources', debounce: 0 },
};

type Options = NonNullable<Parameters<typeof MaterializedViewsModule.forRoot>[0]>;

describe("with wakeUp: 'notify'", () => {
  let database: TestDatabase;
  let apps: TestingModule[] = [];
  let random: jest.SpiedFunction<typeof Math.random>;
  let warn: jest.SpiedFunction<Logger['warn']>;

  beforeAll(async () => {
    database = await TestDatabase.create();
  });

  beforeEach(async () => {
    await database.query(
      `DROP SCHEMA IF EXISTS ${quoted(STATE)}, ${quoted(HOSTILE)} CASCADE;
       DROP TABLE IF EXISTS orders CASCADE;
       CREATE TABLE orders (id serial, day text)`,
    );
    const { random: ordinary } = Math;
    // Nest identifies modules by random numbers.
    const isForNest = (): boolean => new Error().stack?.includes('/node_modules/uid/') ?? false;
    random = jest
      .spyOn(Math, 'random')
      .mockImplementation(() => (isForNest() ? ordinary() : FAR_AWAY));
    warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
  });

  afterEach(async () => {
    await Promise.all(apps.splice(0).map((app) => app.close()));
    jest.restoreAllMocks();
  });

  afterAll(async () => {
    await database.drop();
  });

  /** Connects past the pooler, which in transaction mode does not support LISTEN. */
  async function start(
    options: Options = {},
    { url = database.directUrl, views = [daily] } = {},
  ): Promise<TestingModule> {
    const entities = [...views.map(viewClass), Order] as (new () => object)[];
    const app = await boot(
      typeOrm(database, { url, autoLoadEntities: false, entities }),
      MaterializedViewsModule.forRoot({ wakeUp: 'notify', stateSchema: STATE, ...options }),
    );
    apps.push(app);
    return app;
  }

  it('goes on listening where idle sessions are ended', async () => {
    const [server] = await database.query(
      `SELECT FROM pg_settings WHERE name = 'idle_session_timeout'`,
    );
    if (server === undefined) {
      return;
    }
    await database.query(`ALTER DATABASE ${database.name} SET idle_session_timeout = '300ms'`);
    try {
      await start();
      const pid = await untilListening();
      await database.until(
        `${LISTENERS} AND pid = $2 AND clock_timestamp() - state_change > interval '700 ms'`,
        [`LISTEN ${CHANNEL}`, pid],
      );
      expect(warn).not.toHaveBeenCalledWith(expect.stringMatching(/not received|lost/));
    } finally {
      await database.query(`ALTER DATABASE ${database.name} RESET idle_session_timeout`);
    }
  });

  const LISTENERS = `SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND query = $1`;

  /** Resolves to the PID of a session that listens, other than the given one. */
  const untilListening = async (than = 0): Promise<number> => {
    const [row] = await database.until<{ pid: number }>(`${LISTENERS} AND pid <> $2`, [
      `LISTEN ${CHANNEL}`,
      than,
    ]);
    return row?.pid ?? 0;
  };

  const untilNobodyListens = (): Promise<unknown> =>
    database.until(`SELECT WHERE NOT EXISTS (${LISTENERS})`, [`LISTEN ${CHANNEL}`]);

  /** Resolves after the views' first refresh: until then, nothing is known about their changes. */
  const untilWatched = async (count = 1): Promise<void> => {
    await database.until(
      `SELECT FROM ${quoted(STATE)}.view_state
       WHERE source_signature IS NOT NULL AND last_success_at IS NOT NULL HAVING count(*) = $1`,
      [count],
    );
    await database.query(`DELETE FROM ${HISTORY}`);
  };

  const untilShown = (count: number): Promise<unknown> =>
    database.until(`SELECT FROM ${quoted(HOSTILE)}.daily HAVING coalesce(sum(n), 0) = $1`, [count]);

  const write = (): Promise<unknown> => database.query(`INSERT INTO orders (day) VALUES ('mon')`);

  it('a write is followed by a refresh that polling alone would not have started', async () => {
    await start();
    await untilWatched();
    for (const count of [1, 2, 3]) {
      await write();
      await untilShown(count);
    }
    expect(warn).not.toHaveBeenCalled();
  });

  it('a refresh is followed by that of the view above it', async () => {
    await start({}, { views: [daily, weekly] });
    await untilWatched(2);
    await write();
    await database.until(`SELECT FROM weekly WHERE n = 1`);
  });

  it('only commits that changed a row notify, once each', async () => {
    await start({ scheduling: false });
    const listener = await database.session();
    const heard: Notification[] = [];
    listener.on('notification', (notification) => heard.push(notification));
    await listener.query(`LISTEN ${CHANNEL}`);
    await database.query(`BEGIN; INSERT INTO orders (day) VALUES ('mon'); ROLLBACK`);
    await database.query(`UPDATE orders SET day = 'tue'`);
    await database.query('DELETE FROM orders WHERE false');
    await database.query(`BEGIN; INSERT INTO orders (day) VALUES ('mon'); TRUNCATE orders; COMMIT`);
    await database.query(`SET session_replication_role = replica`);
    await write();
    await database.query(`RESET session_replication_role`);
    // Notifications arrive in commit order, and before the session's next answer.
    await listener.query('SELECT');
    expect(heard.map(({ payload }) => payload)).toEqual(['', '']);
    await listener.end();
  });

  it('a process without `scheduling` does not listen, but its writes wake the others', async () => {
    await start({ scheduling: false });
    await untilNobodyListens();
    await start();
    await untilListening();
    await untilWatched();
    await write();
    await untilShown(1);
  });

  it('a lost connection is reported, and another is opened', async () => {
    await start();
    await untilWatched();
    const first = await untilListening();
    // The next attempt to connect comes soon.
    random.mockReturnValue(0);
    await database.query('SELECT pg_terminate_backend($1)', [first]);
    await write();
    const second = await untilListening(first);
    await untilShown(1);
    expect(second).not.toBe(first);
    expect(warn).toHaveBeenCalledTimes(1);
    expect(warn).toHaveBeenCalledWith(
      expect.stringMatching(
        /^Notifications of writes in data source "default" are not.*terminating/,
      ),
    );
  });

  it('a process that stops leaves no connection behind, whatever it is doing', async () => {
    const listening = await start();
    await untilListening();
    await listening.close();
    await untilNobodyListens();

    const waiting = await start();
    await database.query('SELECT pg_terminate_backend($1)', [await untilListening()]);
    await untilNobodyListens();
    await waiting.close();

    const connecting = await start();
    await connecting.close();
    apps = [];
    await untilNobodyListens();
  });

  it('a process stops even if the server no longer answers', async () => {
    const network = await Network.to(database.directUrl);
    const app = await start({}, { url: network.url });
    await untilListening();
    // The first connection is the application's own.
    network.goSilent({ except: 1, newOnesToo: true });
    await app.close();
    apps = [];
    await network.stop();
    await untilNobodyListens();
  });

  describe('the database', () => {
    /** The installed functions and triggers. The version of each changes if it is created anew. */
    const installed = (): Promise<{ name: string; version: string }[]> =>
      database.query(
        `SELECT p.proname AS name, p.xmin::text AS version
         FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
         WHERE n.nspname = $1
         UNION ALL
         SELECT 'trigger ' || t.tgenabled::text, t.xmin::text
         FROM pg_trigger t WHERE t.tgrelid = to_regclass($2)
         ORDER BY name`,
        [STATE, `${quoted(STATE)}.change_log`],
      );

    const schemaOf = async (options: Options): Promise<SchemaService> => {
      const app = await start({ scheduling: false, ...options });
      return app.get(SchemaService);
    };

    it('is switched by a plan, switched back by the next one, and not changed in between', async () => {
      await schemaOf({ wakeUp: 'poll' });
      const before = await installed();
      expect(before.map(({ name }) => name)).not.toContain('trigger A');

      const schema = await schemaOf({ synchronize: false });
      expect(await schema.diff()).toEqual([
        {
          view: `${STATE}.change_log`,
          kind: 'wake-up',
          description: "Writers should wake processes by NOTIFY (`wakeUp: 'notify'`)",
        },
      ]);
      await expect(schema.verify()).rejects.toThrow(SchemaDriftError);
      const migration = await schema.generateMigration({ name: 'wake' });
      expect(migration?.source).toMatch(/up\(.*CREATE TRIGGER "wake_up".*down\(.*DROP TRIGGER/s);
      const plan = await schema.plan();
      expect(plan.steps.map(({ action }) => action)).toEqual(['capture']);
      await schema.apply(plan);
      expect(await schema.diff()).toEqual([]);
      expect(await schema.generateMigration({ name: 'none' })).toBeUndefined();
      const woken = await installed();
      // Signatures of views include the capture functions, so these must not change.
      expect(woken).toEqual(expect.arrayContaining(before));
      expect(woken.map(({ name }) => name)).toContain('trigger A');

      await schemaOf({});
      expect(await installed()).toEqual(woken);

      await schemaOf({ wakeUp: 'poll', synchronize: 'create' });
      expect(await installed()).toEqual(before);
    });

    it('is repaired if someone has disabled the trigger, for all or for replicated writes', async () => {
      await schemaOf({});
      for (const how of ['DISABLE', 'ENABLE']) {
        await database.query(`ALTER TABLE ${quoted(STATE)}.change_log ${how} TRIGGER wake_up`);
        await schemaOf({ synchronize: 'verify' });
        expect((await installed()).map(({ name }) => name)).toContain('trigger A');
      }
    });

    it('is switched while writers write', async () => {
      await schemaOf({ wakeUp: 'poll' });
      const writers = await Promise.all([1, 2, 3].map(() => database.session()));
      let isOver = false;
      const written = writers.map(async (writer) => {
        let count = 0;
        for (; !isOver; count++) {
          await writer.query(`INSERT INTO orders (day) VALUES ('mon')`);
        }
        return count;
      });
      await schemaOf({});
      await schemaOf({ wakeUp: 'poll' });
      isOver = true;
      const counts = await Promise.all(written);
      await Promise.all(writers.map((writer) => writer.end()));
      const [logged] = await database.query(
        `SELECT count(*)::int AS count FROM ${quoted(STATE)}.change_log WHERE kind = 'INSERT'`,
      );
      expect(logged).toEqual({ count: counts.reduce((sum, count) => sum + count) });
    });
  });

  const pooled = process.env.TEST_POOLER_URL === undefined ? describe.skip : describe;

  pooled('behind a pooler that keeps no sessions', () => {
    it('reports that once, and polls', async () => {
      random.mockRestore();
      const warned = new Promise<void>((resolve) => warn.mockImplementation(() => resolve()));
      await start({}, { url: database.url });
      await untilWatched();
      await write();
      await untilShown(1);
      await warned;
      expect(warn.mock.calls).toEqual([
        [expect.stringContaining('Notifications do not arrive from data source "default"')],
      ]);
      await write();
      await untilShown(2);
      await untilNobodyListens();
    });
  });
});
