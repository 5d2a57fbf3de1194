import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { TestingModule } from '@nestjs/testing';
import {
  MaterializedViewsHealthIndicator,
  MaterializedViewsHealthModule,
} from '../../../lib/health/index.js';
import { InvalidOptionsError, RefreshService, UnknownViewError } from '../../../lib/index.js';
import { managed } from '../../support/managed.js';
import { Network } from '../../support/network.js';
import { bootWith } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';
import { viewClass } from '../../support/view-class.js';

const Total = viewClass({
  name: 'total',
  expression: `SELECT sum(amount) AS id FROM public.orders`,
});
const Ratio = viewClass({
  name: 'ratio',
  expression: `SELECT 1 / amount AS id FROM public.orders`,
  withData: false,
});

describe('the health of views', () => {
  let database: TestDatabase;
  let network: Network;
  let app: TestingModule;
  let health: MaterializedViewsHealthIndicator;

  beforeAll(async () => {
    database = await TestDatabase.create();
    network = await Network.to(database.url);
    await database.query(`CREATE TABLE orders (amount int)`);
    await database.query(`INSERT INTO orders VALUES (0)`);
    const far = Object.create(database, { url: { value: network.url } }) as TestDatabase;
    app = await bootWith(far, { views: [Total, Ratio] }, MaterializedViewsHealthModule);
    health = app.get(MaterializedViewsHealthIndicator);
    const refreshes = app.get(RefreshService);
    await refreshes.refresh(Total);
    await refreshes.refresh(Ratio).catch(() => undefined);
  });

  afterEach(() => {
    network.recover();
  });

  afterAll(async () => {
    await app.close();
    await network.stop();
    await database.drop();
  });

  it('is up while views are fresh, with the age of each', async () => {
    expect(await health.isFresh('views', { views: [Total], errorAfter: '1h' })).toEqual({
      views: {
        status: 'up',
        views: {
          'public.total': expect.objectContaining({ maxAgeMs: 3_600_000, problems: [] }),
        },
      },
    });
  });

  it('is up with warnings before it is down', async () => {
    const limits = { views: ['public.total'], warnAfter: 0, errorAfter: '1h' } as const;
    expect(await health.isFresh('views', limits)).toMatchObject({
      views: { status: 'up', warnings: ['"public.total" is older than warnAfter'] },
    });
    expect(await health.isFresh('views', { views: [Total], errorAfter: 0 })).toMatchObject({
      views: { status: 'down', message: '"public.total" is older than errorAfter' },
    });
  });

  it('reports the last failure, for all views if none is named', async () => {
    expect(await health.isFresh('views')).toMatchObject({
      views: {
        status: 'down',
        views: {
          'public.ratio': {
            lastErrorCode: '22012',
            problems: ['has no rows yet, and cannot be read', 'has failed 1 times in a row'],
          },
        },
      },
    });
  });

  it('refuses unknown arguments', async () => {
    await expect(health.isFresh('views', { views: ['public.none'] })).rejects.toThrow(
      UnknownViewError,
    );
    await expect(health.isFresh('views', { warnAfter: 'soon' as '1s' })).rejects.toThrow(
      InvalidOptionsError,
    );
  });

  it('answers within its timeout if the network drops everything', async () => {
    network.goSilent({ except: 0, newOnesToo: true });
    managed(app).sharedStatus['reading']['last'] = undefined;
    expect(await health.isFresh('views', { timeout: 200 })).toMatchObject({
      views: { status: 'down', message: expect.stringContaining('within 200 ms') },
    });
  });
});
