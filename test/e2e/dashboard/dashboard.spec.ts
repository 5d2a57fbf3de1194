import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import {
  type CanActivate,
  Controller,
  type ExecutionContext,
  Get,
  Inject,
  Injectable,
  Logger,
  Module,
  Scope,
} from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import {
  MaterializedViewsDashboardModule,
  type MaterializedViewsDashboardOptions,
} from '../../../lib/dashboard/index.js';
import { InvalidOptionsError, RefreshService } from '../../../lib/index.js';
import { type HttpApp, listen, type Platform } from '../../support/http-app.js';
import { bootWith } from '../../support/test-app.js';
import { statementsOf } from '../../support/statement-count.js';
import { TestDatabase } from '../../support/test-database.js';
import { viewClass, YEARLY } from '../../support/view-class.js';

const HOSTILE = `<img src=x onerror="alert(1)">'&`;
const SAME_ORIGIN = { 'Sec-Fetch-Site': 'same-origin' };

const Total = viewClass({
  name: 'total',
  expression: `SELECT sum(amount) AS id FROM public.orders`,
  key: ['id'],
  refresh: { cron: YEARLY, skipUnchanged: true },
});
const Above = viewClass({
  name: 'above',
  expression: `SELECT id FROM public.total`,
  refresh: { maxStaleness: '1h' },
});
const Hostile = viewClass({
  schema: 'Odd "schema"',
  name: HOSTILE,
  expression: `SELECT 1 / amount AS id FROM public.orders`,
  withData: false,
});
const views = [Total, Above, Hostile];

const queryOf = (view: string): string =>
  new URLSearchParams({ source: 'default', view }).toString();

@Injectable()
class Keys {
  readonly key = 'let me in';
}

@Module({ providers: [Keys], exports: [Keys] })
class KeysModule {}

@Injectable()
class KeyGuard implements CanActivate {
  constructor(@Inject(Keys) private readonly keys: Keys) {}

  canActivate(context: ExecutionContext): boolean {
    const request = context
      .switchToHttp()
      .getRequest<{ headers: Record<string, string>; user: object }>();
    request.user = { username: 'ann\n' };
    return request.headers['x-key'] === this.keys.key;
  }
}

@Injectable()
class ClosedGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    return (
      context.switchToHttp().getRequest<{ headers: Record<string, string> }>().headers[
        'x-closed'
      ] === undefined
    );
  }
}

@Injectable({ scope: Scope.REQUEST })
class RequestGuard extends ClosedGuard {}

@Controller()
class OwnController {
  @Get('own')
  own(): string {
    return 'its own';
  }
}

describe.each<Platform>(['express', 'fastify'])('the dashboard on %s', (platform) => {
  let database: TestDatabase;
  let http: HttpApp;

  const start = (
    options: MaterializedViewsDashboardOptions,
    { ignoreTrailingSlash = false } = {},
  ): Promise<HttpApp> =>
    listen({
      platform,
      ignoreTrailingSlash,
      database,
      options: { views },
      metadata: {
        imports: [MaterializedViewsDashboardModule.forRoot(options)],
        controllers: [OwnController],
        providers: [{ provide: APP_GUARD, useClass: ClosedGuard }],
      },
      prepare: (app) => app.setGlobalPrefix('api'),
    });

  const ask = (path: string, init: RequestInit & { headers?: Record<string, string> } = {}) =>
    fetch(`${http.url}${path}`, {
      redirect: 'manual',
      ...init,
      headers: { 'X-Key': 'let me in', ...init.headers },
    });
  const page = async (path: string): Promise<string> => (await ask(path)).text();
  const post = (path: string, headers: Record<string, string> = SAME_ORIGIN) =>
    ask(`/ops/views/${path}`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/x-www-form-urlencoded', ...headers },
    });

  beforeAll(async () => {
    database = await TestDatabase.create();
    await database.query(`CREATE TABLE orders (amount int)`);
    await database.query(`INSERT INTO orders VALUES (0)`);
    http = await start({
      path: '/ops/views',
      guards: [KeyGuard],
      imports: [KeysModule],
      environment: 'production',
    });
    const refreshes = http.app.get(RefreshService);
    await refreshes.refresh(Hostile).catch(() => undefined);
  });

  afterAll(async () => {
    await http.app.close();
    await database.drop();
  });

  it('lists the views, problems first, outside the global prefix', async () => {
    const response = await ask('/ops/views/');
    const text = await response.text();
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(text).toContain('<title>(1) Materialized views</title>');
    expect(text).toContain('production');
    expect(text.indexOf('22012')).toBeLessThan(text.indexOf('public.total'));
    expect((await ask('/api/own')).status).toBe(200);
    expect((await ask('/api/ops/views/')).status).toBe(404);
  });

  it('escapes names, and sends nothing that could run', async () => {
    for (const path of [
      '',
      `view?${queryOf(`Odd "schema".${HOSTILE}`)}`,
      `confirm?action=refresh&${queryOf(`Odd "schema".${HOSTILE}`)}`,
      `?name=${encodeURIComponent(HOSTILE)}`,
    ]) {
      const response = await ask(`/ops/views/${path}`);
      const text = await response.text();
      expect(response.status).toBe(200);
      expect(text).not.toContain('<img');
      expect(text).toContain('&lt;img src=x onerror=&quot;alert(1)&quot;&gt;&#39;&amp;');
      expect(text).not.toMatch(/<script>|<style|style=/);
      expect(response.headers.get('content-security-policy')).toMatch(
        /^default-src 'none'; script-src 'self';/,
      );
      expect(response.headers.get('cache-control')).toBe('no-store');
    }
  });

  it('shows one view: its status, its runs, and its catalog data', async () => {
    const text = await page(`/ops/views/view?${queryOf('public.total')}`);
    for (const part of [
      'total_key',
      'public.orders',
      'public.above',
      'on day 1 of the month, only in January',
      'The database matches the code.',
      'SELECT sum(',
    ]) {
      expect(text).toContain(part);
    }
    expect((await ask(`/ops/views/view?${queryOf('public.none')}`)).status).toBe(404);
    expect((await ask('/ops/views/view')).status).toBe(400);
  });

  it('has the same as JSON', async () => {
    const { views: listed } = (await (await ask('/ops/views/api/views')).json()) as {
      views: { states: string[]; status: { view: string } }[];
    };
    expect(listed[0]).toMatchObject({
      states: ['not populated', 'failing'],
      status: { view: `Odd "schema".${HOSTILE}` },
    });
    expect(
      await (await ask(`/ops/views/api/view?${queryOf('public.total')}`)).json(),
    ).toMatchObject({ status: { view: 'public.total' }, differences: [] });
    expect(await (await ask(`/ops/views/api/view?${queryOf('public.none')}`)).json()).toMatchObject(
      { statusCode: 404 },
    );
  });

  it('has files that browsers may cache', async () => {
    const text = await page('/ops/views/');
    const files = [...text.matchAll(/"(assets\/[^"]+)"/g)].map(([, file]) => file);
    expect(files).toHaveLength(3);
    for (const file of files) {
      const response = await ask(`/ops/views/${file}`);
      expect(response.status).toBe(200);
      expect(response.headers.get('cache-control')).toContain('immutable');
    }
  });

  it('redirects to the paths that its relative links need', async () => {
    const root = await ask('/ops/views?state=fresh');
    expect([root.status, root.headers.get('location')]).toEqual([302, 'views/?state=fresh']);
    const links = [...(await page('/ops/views/')).matchAll(/(?:href|src|action)="([^"]*)"/g)];
    expect(links.filter(([, link = '']) => /^(?:\/|[a-z]+:)/.test(link))).toEqual([]);
  });

  it('refreshes, pauses, resumes and cancels, and logs the user', async () => {
    const log = jest.spyOn(Logger.prototype, 'log');
    const location = async (path: string) => {
      const response = await post(path);
      return [response.status, response.headers.get('location')?.split('notice=')[1]];
    };
    const query = queryOf('public.total');
    expect(await location(`refresh?${query}&dependents=true`)).toEqual([303, 'refreshed']);
    expect(log).toHaveBeenCalledWith(
      expect.stringMatching(
        /^refresh of "public.total" and its dependents \(default\), by "ann\\n" \(.*127\.0\.0\.1\)$/,
      ),
    );
    const [above] = await http.app.get(RefreshService).history(Above);
    expect(above).toMatchObject({ trigger: 'demand', outcome: 'refreshed' });
    expect(await location(`pause?${query}`)).toEqual([303, 'paused']);
    expect(await page(`/ops/views/view?${query}&notice=paused`)).toContain(
      '<span class="badge paused">',
    );
    expect(await location(`resume?${query}`)).toEqual([303, 'resumed']);
    expect(await location(`cancel?${query}`)).toEqual([303, 'nothing']);
    expect(await page(`/ops/views/view?${query}`)).not.toContain('<span class="badge paused">');
  });

  it('says why a refresh failed', async () => {
    const response = await post(`refresh?${queryOf(`Odd "schema".${HOSTILE}`)}`);
    expect(response.status).toBe(503);
    expect(await response.text()).toContain('22012');
  });

  it('refuses actions from other sites', async () => {
    const query = queryOf('public.total');
    const refused: Record<string, string>[] = [
      {},
      { 'Sec-Fetch-Site': 'cross-site', 'X-Materialized-Views': 'action' },
      { 'Sec-Fetch-Site': 'same-site' },
      { 'Sec-Fetch-Site': 'none' },
      { 'X-Materialized-Views': 'action', Origin: 'http://elsewhere.example' },
      { 'X-Materialized-Views': 'action', Origin: 'null' },
    ];
    for (const headers of refused) {
      expect((await post(`pause?${query}`, headers)).status).toBe(403);
    }
    expect(
      (await post(`pause?${query}`, { 'X-Materialized-Views': 'action', Origin: http.url })).status,
    ).toBe(303);
    expect((await post(`resume?${query}`, { 'X-Materialized-Views': 'action' })).status).toBe(303);
    expect((await ask(`/ops/views/pause?${query}`)).status).toBe(404);
    const fromElsewhere = [
      { 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'cors' },
      // Over plain HTTP, a browser sends only this.
      { Origin: 'http://elsewhere.example' },
    ] as Record<string, string>[];
    for (const headers of fromElsewhere) {
      expect((await ask('/ops/views/api/views', { headers })).status).toBe(403);
    }
  });

  it('is open only to those who pass its guards and the global ones', async () => {
    const files = [...(await page('/ops/views/')).matchAll(/"(assets\/[^"]+)"/g)].map(
      ([, file]) => file,
    );
    const query = queryOf('public.total');
    for (const path of [
      '',
      'api/views',
      `view?${query}`,
      `confirm?action=pause&${query}`,
      ...files,
    ]) {
      expect((await ask(`/ops/views/${path}`, { headers: { 'X-Key': 'wrong' } })).status).toBe(403);
      expect((await ask(`/ops/views/${path}`, { headers: { 'X-Closed': 'yes' } })).status).toBe(
        403,
      );
    }
    expect((await post(`pause?${query}`, { ...SAME_ORIGIN, 'X-Key': 'wrong' })).status).toBe(403);
    expect((await http.app.get(RefreshService).status(Total)).isPaused).toBe(false);
  });

  it('asks for a user and a password, and may be read-only', async () => {
    const closed = await start(
      { basicAuth: { username: 'ops', password: 'pässwörd:1' }, readOnly: true },
      { ignoreTrailingSlash: true },
    );
    try {
      const asked = async (credentials?: string): Promise<Response> =>
        fetch(`${closed.url}/materialized-views/`, {
          headers:
            credentials === undefined
              ? {}
              : { Authorization: `Basic ${Buffer.from(credentials).toString('base64')}` },
        });
      const refused = await asked();
      expect([refused.status, refused.headers.get('www-authenticate')]).toEqual([
        401,
        expect.stringMatching(/^Basic realm/),
      ]);
      for (const wrong of ['ops:wrong', 'OPS:pässwörd:1', 'ops', ':', '']) {
        expect((await asked(wrong)).status).toBe(401);
      }
      const allowed = await asked('ops:pässwörd:1');
      expect(allowed.status).toBe(200);
      expect(await allowed.text()).not.toMatch(/confirm\?|<form[^>]*post/);
      const action = await fetch(
        `${closed.url}/materialized-views/pause?${queryOf('public.total')}`,
        {
          method: 'POST',
          headers: {
            ...SAME_ORIGIN,
            Authorization: `Basic ${Buffer.from('ops:pässwörd:1').toString('base64')}`,
          },
        },
      );
      expect(action.status).toBe(404);
    } finally {
      await closed.app.close();
    }
  });

  it('sends a few statements, for any number of views and open pages', async () => {
    await post(`resume?${queryOf('public.total')}`);
    const tabs = Array.from({ length: 10 }, () => '/ops/views/');
    expect(await statementsOf(() => Promise.all(tabs.map(page)))).toHaveLength(5);
  });

  it('does nothing in a process without HTTP', async () => {
    const dashboard = MaterializedViewsDashboardModule.forRoot({ allowUnauthenticated: true });
    const worker = await bootWith(database, { views }, dashboard);
    expect(await worker.get(RefreshService).statusAll()).toHaveLength(views.length);
    await worker.close();
  });

  it('refuses guards that Nest would not run', async () => {
    await expect(start({ guards: [RequestGuard] })).rejects.toThrow(
      /"RequestGuard", which is created for each request/,
    );
  });
});

describe('the options of the dashboard', () => {
  const refusal = (options: object): unknown => {
    try {
      MaterializedViewsDashboardModule.forRoot(options);
      return undefined;
    } catch (error) {
      return error;
    }
  };

  it.each<[object, string]>([
    [{}, 'expected `guards` or `basicAuth`, got neither'],
    [{ guards: [] }, 'got neither'],
    [{ allowUnauthenticated: false }, 'got neither'],
    [{ guards: ['admin'] }, '`guards[0]`'],
    [{ basicAuth: { username: 'ops', password: undefined } }, '`basicAuth.password`'],
    [{ basicAuth: { username: 'a:b', password: 'x' } }, '`basicAuth.username`'],
    [{ path: '/views/', allowUnauthenticated: true }, '`path`'],
    [{ path: '/:all', allowUnauthenticated: true }, '`path`'],
    [{ path: '/admin/../views', allowUnauthenticated: true }, '`path`'],
    [{ readonly: true, allowUnauthenticated: true }, 'Did you mean `readOnly`?'],
  ])('are refused: %j', (options, message) => {
    expect(refusal(options)).toBeInstanceOf(InvalidOptionsError);
    expect(String(refusal(options))).toContain(message);
  });

  it('never show a refused password', () => {
    expect(String(refusal({ basicAuth: { username: 'ops', password: 12345 } }))).not.toContain(
      '12345',
    );
  });
});
