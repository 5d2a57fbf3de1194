import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { TestingModule } from '@nestjs/testing';
import {
  NotPrimaryError,
  RefreshService,
  SchemaService,
  StatusError,
  type ViewClass,
} from '../../../lib/index.js';
import { FaultServer } from '../../support/fault-server.js';
import type { ModuleOptions } from '../../support/releases.js';
import { bootWith } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';
import { viewClass } from '../../support/view-class.js';

const TOTAL = { name: 'order "Total"', schema: 'Analytics eu', columns: ['id'], key: ['id'] };

const Total = viewClass({
  ...TOTAL,
  expression: 'SELECT count(*) AS id FROM public.orders',
  refresh: { on: 'sources', maxStaleness: '1h' },
});

const Other = viewClass({ ...TOTAL, expression: 'SELECT max(id) AS id FROM public.orders' });

const IN_ORDER = [expect.objectContaining({ trigger: 'demand', outcome: 'refreshed' })];

describe('on a hot standby', () => {
  let server: FaultServer;
  let database: TestDatabase;

  const using = async <T>(
    options: Omit<ModuleOptions, 'views'>,
    work: (app: TestingModule) => Promise<T>,
    view: ViewClass = Total,
  ): Promise<T> => {
    const app = await bootWith(database, { views: [view], ...options });
    try {
      return await work(app);
    } finally {
      await app.close();
    }
  };

  beforeAll(async () => {
    server = await FaultServer.start();
    database = await TestDatabase.create(server.url);
    await database.query('CREATE TABLE orders (id int)');
    await using({}, (app) => app.get(RefreshService).refresh(Total));
    await database.query('INSERT INTO orders VALUES (1)');
    await server.becomeStandby();
    await database.reconnect();
  });

  afterAll(() => server.stop());

  it.each(['verify', false, true] as const)(
    'boots with synchronize: %p, and reads everything that is stored',
    async (synchronize) => {
      await using({ synchronize }, async (app) => {
        const refreshes = app.get(RefreshService);
        const [status] = await refreshes.statusAll();
        expect(await refreshes.status(Total)).toMatchObject({ exists: true });
        expect(status).toMatchObject({
          isPopulated: true,
          changes: { isUnchanged: false, pendingSince: expect.any(Date) },
        });
        expect(status?.isRefreshing).toBeUndefined();
        expect(status?.lsn).toBeUndefined();
        expect(await refreshes.history(Total)).toEqual(expect.arrayContaining(IN_ORDER));
        expect(await refreshes.drift(Total)).toMatchObject({ missingCount: 1, extraCount: 1 });
        expect(await app.get(SchemaService).diff()).toEqual([]);
        expect(await app.get(SchemaService).inspect()).toHaveLength(1);
      });
    },
  );

  it('says what only the primary can do, and names the standby', async () => {
    await using({ synchronize: false }, async (app) => {
      const refreshes = app.get(RefreshService);
      await expect(refreshes.refresh(Total)).rejects.toThrow(NotPrimaryError);
      const running = refreshes.running();
      await expect(running).rejects.toThrow(StatusError);
      await expect(running).rejects.toThrow(/the server is a standby/);
    });
    const changed = using({ synchronize: 'verify' }, () => Promise.resolve(), Other);
    await expect(changed).rejects.toMatchObject({
      code: 'MV_SCHEMA_SYNC_FAILED',
      hint: expect.stringContaining('standby'),
    });
  });
});
