import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type CanActivate, Injectable, Module } from '@nestjs/common';
import {
  type MaterializedViewsDashboardFactoryOptions,
  MaterializedViewsDashboardModule,
  type MaterializedViewsDashboardOptionsFactory,
} from '../../../lib/dashboard/index.js';
import {
  InvalidOptionsError,
  MaterializedViewsModule,
  RefreshService,
} from '../../../lib/index.js';
import { type HttpApp, listen } from '../../support/http-app.js';
import { boot, typeOrm } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';
import { viewClass, YEARLY } from '../../support/view-class.js';

const view = { name: 'total', expression: `SELECT 1 AS id`, key: ['id'] };
const First = viewClass({ ...view, refresh: { cron: YEARLY } });
const Second = viewClass(view);

@Injectable()
class Settings implements MaterializedViewsDashboardOptionsFactory {
  readonly path = '/second';
  readonly password = 'from the settings';

  createMaterializedViewsDashboardOptions(): MaterializedViewsDashboardFactoryOptions {
    return { path: '/existing', basicAuth: { username: 'ops', password: this.password } };
  }
}

@Injectable()
class ClosedSettings implements MaterializedViewsDashboardOptionsFactory {
  createMaterializedViewsDashboardOptions(): Promise<MaterializedViewsDashboardFactoryOptions> {
    return Promise.resolve({ path: '/closed' });
  }
}

@Module({ providers: [Settings], exports: [Settings] })
class SettingsModule {}

@Injectable()
class BrokenGuard implements CanActivate {
  canActivate(): boolean {
    throw new TypeError('<b>the guard broke</b>');
  }
}

@Injectable()
class NobodyGuard implements CanActivate {
  canActivate(): boolean {
    return false;
  }
}

const SAME_ORIGIN = { 'Sec-Fetch-Site': 'same-origin' };
const ADMIN = {
  Authorization: `Basic ${Buffer.from('ops:from the settings').toString('base64')}`,
};

describe('dashboards of one application with two data sources', () => {
  let databases: TestDatabase[];
  let http: HttpApp;

  const ask = (path: string, init: RequestInit = {}): Promise<Response> =>
    fetch(`${http.url}${path}`, { redirect: 'manual', ...init });
  const query = (source: string): string => `source=${source}&view=public.total`;

  beforeAll(async () => {
    databases = [await TestDatabase.create(), await TestDatabase.create()];
    const [first, second] = databases as [TestDatabase, TestDatabase];
    http = await listen({
      platform: 'fastify',
      database: first,
      options: { views: [First] },
      metadata: {
        imports: [
          typeOrm(second, { name: 'second', autoLoadEntities: false, entities: [Second] }),
          MaterializedViewsModule.forFeature([Second], 'second'),
          MaterializedViewsDashboardModule.forRoot({ path: '/first', allowUnauthenticated: true }),
          MaterializedViewsDashboardModule.forRootAsync({
            imports: [SettingsModule],
            inject: [Settings],
            useFactory: ({ path, password }: Settings) =>
              Promise.resolve({
                path,
                readOnly: true,
                basicAuth: { username: 'ops', password },
              }),
          }),
          MaterializedViewsDashboardModule.forRootAsync({
            guards: [NobodyGuard],
            useClass: ClosedSettings,
          }),
          MaterializedViewsDashboardModule.forRootAsync({
            imports: [SettingsModule],
            useExisting: Settings,
          }),
          MaterializedViewsDashboardModule.forRoot({ path: '/broken', guards: [BrokenGuard] }),
        ],
      },
    });
  });

  afterAll(async () => {
    await http.app.close();
    await Promise.all(databases.map((each) => each.drop()));
  });

  it('accepts options from a factory, from a class, and from an existing provider', async () => {
    expect((await ask('/second/')).status).toBe(401);
    expect((await ask('/second/', { headers: ADMIN })).status).toBe(200);
    const headers = { ...ADMIN, ...SAME_ORIGIN };
    const paused = await ask(`/second/pause?${query('default')}`, { method: 'POST', headers });
    expect(paused.status).toBe(404);
    expect((await ask('/closed/')).status).toBe(403);
    expect((await ask('/existing/')).status).toBe(401);
    expect((await ask('/existing/', { headers: ADMIN })).status).toBe(200);
  });

  it.each<[object, string]>([
    [{}, 'MaterializedViewsDashboardModule: expected `useFactory` to be a function'],
    [{ useFactory: () => ({}) }, 'expected `guards` or `basicAuth`, got neither'],
    [{ useFactory: () => ({ guards: [NobodyGuard] }) }, 'expected `guards` to be absent'],
    [{ useFactory: () => ({}), guards: ['admin'] }, '`guards[0]`'],
  ])('refuses at boot what forRoot refuses: %j', async (options, message) => {
    const booting = async (): Promise<unknown> =>
      boot(
        typeOrm(databases[0] as TestDatabase, { autoLoadEntities: false }),
        MaterializedViewsModule.forRoot({ scheduling: false }),
        MaterializedViewsDashboardModule.forRootAsync(options),
      );
    const error: unknown = await booting().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(InvalidOptionsError);
    expect(String(error)).toContain(message);
  });

  it('distinguishes views with the same name, and lists the runs of both', async () => {
    const refreshes = http.app.get(RefreshService);
    await refreshes.refresh('public.total', { dataSource: 'second' });
    const list = await (await ask('/first/')).text();
    for (const source of ['default', 'second']) {
      expect(list).toContain(`view?source=${source}&amp;view=public.total`);
      expect(await (await ask(`/first/view?${query(source)}`)).text()).toContain(
        `<dt>Data source</dt> <dd>${source}</dd>`,
      );
    }
    const { runs } = (await (await ask('/first/api/runs?view=public.total')).json()) as {
      runs: { dataSource: string; trigger: string }[];
    };
    expect(runs.map(({ dataSource, trigger }) => [dataSource, trigger])).toEqual([
      ['second', 'demand'],
      ...['second', 'default'].map((source) => [source, 'sync']),
    ]);
    const { nodes } = (await (await ask('/first/api/graph')).json()) as { nodes: unknown[] };
    expect(nodes).toHaveLength(2);
  });

  it('keeps one action to its data source', async () => {
    const paused = await ask(`/first/pause?${query('second')}`, {
      method: 'POST',
      headers: SAME_ORIGIN,
    });
    expect(paused.status).toBe(303);
    const states = await http.app.get(RefreshService).statusAll();
    expect(states.map(({ dataSource, isPaused }) => [dataSource, isPaused])).toEqual([
      ['default', false],
      ['second', true],
    ]);
  });

  it('shows nothing about a failing guard, and refuses access', async () => {
    for (const path of ['', 'api/views', 'view']) {
      const answer = await ask(`/broken/${path}`);
      expect(answer.status).toBe(500);
      const text = await answer.text();
      expect(text).not.toContain('guard broke');
      expect(text).not.toContain('public.total');
    }
  });

  it.each([
    ['runs?since=-271821-04-20T00:00:00Z', 400],
    ['runs?after=1e99 x', 400],
    ['runs?outcome=__proto__', 400],
    ['runs?view=__proto__', 404],
    ['runs?since=9999-12-31T23:59', 200],
    ['view?source=__proto__&view=toString', 404],
    ['view?source=default&view=%00', 404],
    ['confirm?action=constructor&source=default&view=public.total', 400],
    ['view?source=default&view=public.total&notice=__proto__', 200],
    ['?__proto__[x]=1&state=toString', 200],
    ['assets/%2e%2e%2fview', 404],
  ])('answers %s with %i', async (path, status) => {
    expect((await ask(`/first/${path}`)).status).toBe(status);
  });

  it('goes on if one of them is down, and says so', async () => {
    const [, second] = databases as [TestDatabase, TestDatabase];
    await second.query(`DROP SCHEMA materialized_views CASCADE`);
    // An action discards what was cached for earlier pages.
    await ask(`/first/resume?${query('default')}`, { method: 'POST', headers: SAME_ORIGIN });
    const list = await ask('/first/');
    const text = await list.text();
    expect(list.status).toBe(200);
    expect(text).toContain('data source &quot;second&quot;');
    expect(text).toContain('view?source=default&amp;view=public.total');
    expect((await ask('/first/api/views')).status).toBe(503);
    expect((await ask(`/first/view?${query('second')}`)).status).toBe(503);
  });
});
