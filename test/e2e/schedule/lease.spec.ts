import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { TestingModule } from '@nestjs/testing';
import { Network } from '../../support/network.js';
import { Replica } from '../../support/replica-process.js';
import { bootWith } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';
import { viewClass, YEARLY } from '../../support/view-class.js';
import { ORDERS } from '../../support/order-writer.js';
import { PACE } from '../../support/totals-view.js';

const LEASE = 'materialized_views.lease';

/** Excludes the lease for deleting old history. */
const IS_OF_VIEWS = `name NOT LIKE 'history %'`;

/** The current lease holder, if it does not match the pattern. */
const HELD = `SELECT holder FROM ${LEASE}
  WHERE ${IS_OF_VIEWS} AND renewed_at > clock_timestamp() - interval '6 s' AND holder NOT LIKE $1`;

/** Has a row if no process but the lease holder is connected. */
const ALONE = `SELECT FROM pg_stat_activity a CROSS JOIN ${LEASE} l
  WHERE l.${IS_OF_VIEWS} AND a.datname = current_database() AND a.application_name LIKE 'replica %'
  HAVING every(l.holder LIKE '%:' || split_part(a.application_name, ' ', 2) || ':%')`;

const Written = viewClass({
  name: 'written',
  schema: 'Odd "schema"',
  expression: 'SELECT id FROM public.orders',
  refresh: { on: 'sources', debounce: 0 },
});

const Other = viewClass({
  name: 'other',
  expression: 'SELECT k AS id FROM public.orders',
  refresh: { on: 'sources', debounce: 0, cron: YEARLY },
});

describe('the lease', () => {
  let database: TestDatabase;
  let apps: TestingModule[] = [];
  let replicas: Replica[] = [];
  let network: Network | undefined;

  beforeEach(async () => {
    database = await TestDatabase.create();
    await database.query(`${ORDERS};${PACE}`);
  });

  afterEach(async () => {
    await Promise.all(apps.map((app) => app.close()));
    await Promise.all(replicas.map((replica) => replica.kill()));
    apps = [];
    replicas = [];
    await network?.stop();
    network = undefined;
    await database.drop();
  });

  const start = async (views: ReturnType<typeof viewClass>[], options = {}): Promise<void> => {
    apps.push(await bootWith(database, { views, scheduling: true, ...options }));
  };

  const startReplica = async (url = database.url): Promise<Replica> => {
    const replica = Replica.start(url, {}, 'test/support/refresher.ts');
    replicas.push(replica);
    await replica.until('booted');
    return replica;
  };

  const holder = async (other = ''): Promise<string> => {
    const [row] = await database.until<{ holder: string }>(HELD, [other]);
    return row?.holder ?? '';
  };

  /** Writes a row and waits for the view's next refresh. Resolves to its host. */
  const untilRefreshed = async (view: string): Promise<string> => {
    const [written] = await database.query<{ at: Date }>(
      `WITH written AS (INSERT INTO orders VALUES (1, 1)) SELECT clock_timestamp() AS at`,
    );
    const [run] = await database.until<{ host: string }>(
      `SELECT host FROM materialized_views.refresh_history
       WHERE view_name = $1 AND outcome = 'refreshed' AND started_at > $2`,
      [view, written?.at],
    );
    return run?.host ?? '';
  };

  it.each<[string, (replica: Replica) => unknown, ((replica: Replica) => unknown) | undefined]>([
    ['is killed', (replica) => replica.kill(), undefined],
    ['is stopped', (replica) => replica.signal('SIGSTOP'), (replica) => replica.signal('SIGCONT')],
    [
      'is cut off',
      () => network?.goSilent({ except: 0, newOnesToo: true }),
      () => network?.recover(),
    ],
  ])(
    'is taken over when its holder %s',
    async (_, fail, recover) => {
      network = await Network.to(database.url);
      const failing = await startReplica(network.url);
      await startReplica();
      expect(await holder()).toContain(`:${failing.pid}:`);
      await fail(failing);
      expect(await untilRefreshed('totals "by" key')).not.toContain(`:${failing.pid}`);
      const next = await holder(`%:${failing.pid}:%`);
      // PgBouncer keeps server connections after a process has closed its own.
      if (recover !== undefined && database.url === database.directUrl) {
        await recover(failing);
        // The old holder finds that another process has the lease, and closes its connections.
        await database.until(ALONE);
        expect(await holder()).toBe(next);
      }
    },
    120_000,
  );

  it('belongs to one of several processes, and to another as soon as that one stops', async () => {
    await start([Written]);
    const first = await holder();
    await start([Written]);
    await start([Written]);
    await database.until(
      `SELECT FROM ${LEASE} WHERE ${IS_OF_VIEWS} AND next_turn_at > clock_timestamp() + interval '3 s'`,
    );
    expect(await holder()).toBe(first);
    expect(await database.query(`SELECT FROM ${LEASE} WHERE ${IS_OF_VIEWS}`)).toHaveLength(1);
    await apps.shift()?.close();
    await holder(first);
    await untilRefreshed('written');
  });

  it('is one for each set of views, and for each set of options', async () => {
    await start([Written]);
    await start([Written, Other]);
    await start([Written], { wakeUp: 'notify', synchronize: false });
    await database.until(
      `SELECT FROM ${LEASE} WHERE ${IS_OF_VIEWS} AND renewed_at IS NOT NULL HAVING count(*) = 3`,
    );
    await untilRefreshed('other');
  });

  it('is not kept by a holder whose times are in the future, nor are its turns', async () => {
    await start([Written]);
    const first = await holder();
    await database.query(
      `UPDATE ${LEASE} SET holder = 'dead', renewed_at = clock_timestamp() + interval '1 hour',
         rested_at = clock_timestamp() + interval '1 hour', rest_ms = 1e9,
         next_turn_at = clock_timestamp() + interval '1 hour'`,
    );
    expect(await holder('dead')).toBe(first);
    // The same for a holder that was alive until now.
    await database.query(`UPDATE ${LEASE} SET holder = 'dead', renewed_at = clock_timestamp()`);
    expect(await holder('dead')).toBe(first);
    await untilRefreshed('written');
  });

  it('is not needed if a migration has not created it yet', async () => {
    await (await bootWith(database, { views: [Written] })).close();
    await database.query(`DROP TABLE ${LEASE}`);
    await start([Written], { synchronize: false });
    await start([Written], { synchronize: false });
    await untilRefreshed('written');
  });
});
