import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { TestingModule } from '@nestjs/testing';
import { isDeepStrictEqual } from 'node:util';
import type { Client } from 'pg';
import { MaterializedViewsModule, SchemaService } from '../../../lib/index.js';
import { catalog } from '../../support/catalog.js';
import { bootRelease } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';
import { type TestView } from '../../support/view-class.js';

type Options = NonNullable<Parameters<typeof MaterializedViewsModule.forRoot>[0]>;

const LOCK_TIMEOUT_MS = 1_000;
/** The documented bound is `lockTimeout` plus the renames; the rest is slack for a busy machine. */
const STALL_BOUND_MS = 2_500;

const BASE = 'public."Base view"';
const MIDDLE = '"Far away".middle';
const TOP = 'public.top';

/** The row count of the base view in a release. It differs between releases, so that a mix of two would show. */
const itemCount = (release: number): number => 1 + (release % 7);

/** The views of a release. Every row contains the number of the release that built it. */
const viewsOf = (release: number): TestView[] => [
  {
    name: 'Base view',
    expression: `SELECT ${release} AS release, id FROM items WHERE id <= ${itemCount(release)}`,
    columns: ['release', 'id'],
    key: ['id'],
  },
  {
    name: 'middle',
    schema: 'Far away',
    expression: `SELECT release, count(*)::int AS items FROM ${BASE} GROUP BY release`,
    columns: ['release', 'items'],
    key: ['release'],
  },
  {
    name: 'top',
    expression: `SELECT release, items FROM ${MIDDLE}`,
    columns: ['release', 'items'],
  },
];

/** Selects in a loop and records each new result and the longest wait. */
class LoopingReader {
  static async start(database: TestDatabase, read: Read): Promise<LoopingReader> {
    return new LoopingReader(await database.session(), read);
  }

  readonly seen: unknown[][] = [];
  longestWaitMs = 0;
  private stopped = false;
  private readonly loop: Promise<void>;

  private constructor(
    private readonly client: Client,
    readonly read: Read,
  ) {
    this.loop = this.readOn();
    // `stop` reports the error.
    this.loop.catch(() => undefined);
  }

  /** @throws what a SELECT threw */
  async stop(): Promise<void> {
    this.stopped = true;
    try {
      await this.loop;
    } finally {
      await this.client.end();
    }
  }

  private async readOn(): Promise<void> {
    while (!this.stopped) {
      const startedAtMs = performance.now();
      const { rows } = await this.client.query<Record<string, unknown>>(this.read.text);
      this.longestWaitMs = Math.max(this.longestWaitMs, performance.now() - startedAtMs);
      if (!isDeepStrictEqual(rows, this.seen.at(-1))) {
        this.seen.push(rows);
      }
    }
  }
}

interface Read {
  text: string;
  /** The expected rows if everything it reads is of one release. */
  wholly: (release: number) => unknown[];
}

const READ_BASE: Read = {
  text: `SELECT release, count(*)::int AS items, max(id) AS last FROM ${BASE} GROUP BY release`,
  wholly: (release) => [{ release, items: itemCount(release), last: itemCount(release) }],
};

const READ_TOP: Read = {
  text: `SELECT release, items FROM ${TOP}`,
  wholly: (release) => [{ release, items: itemCount(release) }],
};

/** Each reads one view. */
const SINGLE_READS: Read[] = [
  READ_BASE,
  { ...READ_TOP, text: `SELECT release, items FROM ${MIDDLE}` },
  READ_TOP,
  { ...READ_BASE, text: `${READ_BASE.text} ORDER BY release` },
];

/** Each joins views that read each other, in either order, so that they are also locked in either order. */
const JOINING_READS: Read[] = [
  READ_BASE,
  {
    text: `SELECT b.release, items, count(*)::int AS rows, t.release AS above
      FROM ${BASE} b, ${TOP} t GROUP BY 1, 2, 4`,
    wholly: (release) => [
      { release, items: itemCount(release), rows: itemCount(release), above: release },
    ],
  },
  {
    text: `SELECT m.release, t.items, b.release AS below, count(*)::int AS rows
      FROM ${TOP} t, ${MIDDLE} m, ${BASE} b GROUP BY 1, 2, 3`,
    wholly: (release) => [
      { release, items: itemCount(release), below: release, rows: itemCount(release) },
    ],
  },
  READ_TOP,
];

describe('readers of views that change', () => {
  let database: TestDatabase;
  let app: TestingModule | undefined;
  let readers: LoopingReader[] = [];
  let sessions: Client[] = [];

  beforeAll(async () => {
    database = await TestDatabase.create();
    await database.createGate();
  });

  beforeEach(async () => {
    await database.query('DROP SCHEMA IF EXISTS materialized_views, "Far away" CASCADE');
    await database.query('DROP TABLE IF EXISTS items CASCADE');
    await database.query('CREATE TABLE items AS SELECT generate_series(1, 7) AS id');
  });

  afterEach(async () => {
    await Promise.all(sessions.map((client) => client.end()));
    sessions = [];
    await Promise.allSettled(readers.map((reader) => reader.stop()));
    readers = [];
    await app?.close();
    app = undefined;
  });

  afterAll(async () => {
    await database.drop();
  });

  async function release(views: TestView[], options: Options = {}): Promise<SchemaService> {
    await app?.close();
    app = undefined;
    app = await bootRelease(database, views, { lockTimeout: LOCK_TIMEOUT_MS, ...options });
    return app.get(SchemaService);
  }

  async function startReaders(reads: Read[]): Promise<void> {
    for (const read of reads) {
      readers.push(await LoopingReader.start(database, read));
    }
  }

  /** Stops the readers and checks that every result was of one release, never went back, and came in time. */
  async function checkReaders(): Promise<void> {
    await Promise.all(readers.map((reader) => reader.stop()));
    for (const { seen, read, longestWaitMs } of readers) {
      const releases = seen.map((rows) => (rows[0] as { release: number } | undefined)?.release);
      expect(seen).toEqual(releases.map((each) => read.wholly(each ?? -1)));
      expect(releases).toEqual([...releases].sort((a, b) => (a ?? -1) - (b ?? -1)));
      expect(longestWaitMs).toBeLessThan(STALL_BOUND_MS);
    }
  }

  async function session(): Promise<Client> {
    const client = await database.session();
    sessions.push(client);
    return client;
  }

  it.each([
    ['of one view each', SINGLE_READS],
    ['of several views in one statement', JOINING_READS],
  ])('go on through 20 changes, and never see a mixture: readers %s', async (_, reads) => {
    await release(viewsOf(0));
    await startReaders(reads);
    for (let next = 1; next <= 20; next++) {
      if (next % 2 === 0) {
        await release(viewsOf(next));
      } else {
        const schema = await release(viewsOf(next), { synchronize: 'verify' });
        await schema.apply(await schema.plan());
      }
    }
    await checkReaders();
    // They really read during the changes.
    readers.forEach(({ seen }) => {
      expect(seen.length).toBeGreaterThan(5);
    });
    expect(await database.query(READ_BASE.text)).toEqual(READ_BASE.wholly(20));
  });

  it('read the old rows while the new ones are being computed', async () => {
    await release(viewsOf(1));
    const [base, ...others] = viewsOf(2);
    const gate = await database.closeGate();
    const change = release([
      { ...(base as TestView), expression: `${String(base?.expression)} AND public.gate()` },
      ...others,
    ]);
    await gate.untilReached();
    for (const { text, wholly } of JOINING_READS) {
      expect(await database.query(text)).toEqual(wholly(1));
    }
    await gate.open();
    await change;
    expect(await database.query(READ_BASE.text)).toEqual(READ_BASE.wholly(2));
  });

  it('are not blocked by a change that waits for a long reader', async () => {
    await release(viewsOf(1));
    const long = await session();
    await long.query('BEGIN');
    await long.query(READ_BASE.text);
    await startReaders(SINGLE_READS);
    const before = await catalog(database);
    // The reader never releases its lock, so the change cannot happen.
    await expect(release(viewsOf(2))).rejects.toThrow(/Nothing has been changed/);
    expect(await catalog(database)).toEqual(before);
    expect((await long.query(READ_BASE.text)).rows).toEqual(READ_BASE.wholly(1));
    await long.query('COMMIT');
    await release(viewsOf(2));
    await checkReaders();
    expect(await database.query(READ_BASE.text)).toEqual(READ_BASE.wholly(2));
  });

  it('are named by a change that gave up waiting for them, without other processes', async () => {
    await release(viewsOf(1));
    const long = await session();
    await long.query('BEGIN');
    await long.query(READ_BASE.text);
    await expect(release(viewsOf(2))).rejects.toThrow(/"public\.Base view".*55P03/);
  });

  it('let a change through as soon as they end', async () => {
    await release(viewsOf(1));
    const long = await session();
    await long.query('BEGIN');
    await long.query(READ_BASE.text);
    const change = release(viewsOf(2), { lockTimeout: '30s' });
    await untilWaitingForRelation();
    await long.query('COMMIT');
    await change;
    expect(await database.query(READ_BASE.text)).toEqual(READ_BASE.wholly(2));
  });

  it('let a change through although PostgreSQL ends one attempt because of a deadlock', async () => {
    await release(viewsOf(1));
    await database.query(
      `CREATE SEQUENCE attempts;
       CREATE FUNCTION deadlock() RETURNS event_trigger LANGUAGE plpgsql AS $$
       BEGIN
         IF nextval('public.attempts') = 1 THEN RAISE deadlock_detected; END IF;
       END $$;
       CREATE EVENT TRIGGER deadlock ON ddl_command_start
         WHEN TAG IN ('DROP MATERIALIZED VIEW') EXECUTE FUNCTION deadlock()`,
    );
    try {
      await release(viewsOf(2));
    } finally {
      await database.query(
        'DROP EVENT TRIGGER deadlock; DROP FUNCTION deadlock; DROP SEQUENCE attempts',
      );
    }
    expect(await database.query(READ_BASE.text)).toEqual(READ_BASE.wholly(2));
  });

  it.each([
    ['from below', READ_BASE, READ_TOP],
    ['from above', READ_TOP, READ_BASE],
  ])(
    'may read one view after the other in a transaction, %s, and neither side is cancelled',
    async (_, first, second) => {
      await release(viewsOf(1));
      const long = await session();
      await long.query('BEGIN');
      await long.query(first.text);
      // The default, which is longer than deadlock_timeout.
      const change = release(viewsOf(2), { lockTimeout: '5s' });
      change.catch(() => undefined);
      await untilWaitingForRelation();
      const { rows } = await long.query(second.text);
      expect(rows).toEqual(second.wholly(1));
      await long.query('COMMIT');
      await change;
      expect(await database.query(READ_BASE.text)).toEqual(READ_BASE.wholly(2));
    },
  );

  it('with an older snapshot see the rows of one release, not an empty view', async () => {
    await release(viewsOf(1));
    const old = await session();
    await old.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
    await old.query('SELECT count(*) FROM items');
    await release(viewsOf(2));
    expect([READ_BASE.wholly(1), READ_BASE.wholly(2)]).toContainEqual(
      (await old.query(READ_BASE.text)).rows,
    );
    await old.query('COMMIT');
  });

  /** Waits until some session is waiting for a lock on a view. */
  async function untilWaitingForRelation(): Promise<void> {
    await database.until(
      `SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database
       WHERE datname = current_database() AND locktype = 'relation' AND NOT granted`,
    );
  }
});
