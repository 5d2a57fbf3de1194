import { BadRequestException, Inject, Injectable } from '@nestjs/common';
import { isIP } from 'node:net';
import { ASSETS } from './assets.js';
import { asset, type DashboardAnswer, json, page, redirect } from './dashboard.answer.js';
import { type Action, ACTIONS, DashboardActions } from './dashboard.actions.js';
import { DASHBOARD_OPTIONS, type ResolvedDashboardOptions } from './dashboard.options.js';
import { DashboardReader, PAGE_SIZE } from './dashboard.reader.js';
import type { ViewName } from './readings.js';
import type { DashboardRequest } from './dashboard.request.js';
import { KeptLayouts } from './graph-layout.js';
import { confirmPage } from './pages/confirm.page.js';
import { errorPage } from './pages/error.page.js';
import { type DrawnGraph, graphPage } from './pages/graph.page.js';
import { layout, type PageContent } from './pages/layout.js';
import { runsPage } from './pages/runs.page.js';
import { viewQuery } from './pages/view-parts.js';
import { viewPage } from './pages/view.page.js';
import { viewsPage } from './pages/views.page.js';
import { readRunsFilter } from './runs-filter.js';
import { badgesOf } from './view-badges.js';
import { type ViewsGraph, viewsGraph } from './views-graph.js';

export interface DashboardRoute {
  method: 'GET' | 'POST';
  /** Below the dashboard's path; empty for the list of views. */
  path: string;
  answer(request: DashboardRequest): DashboardAnswer | Promise<DashboardAnswer>;
}

type Answer = DashboardRoute['answer'];

/** What the dashboard answers, by path. */
@Injectable()
export class DashboardRoutes {
  private readonly layouts = new KeptLayouts();

  constructor(
    @Inject(DASHBOARD_OPTIONS) private readonly options: ResolvedDashboardOptions,
    @Inject(DashboardReader) private readonly reader: DashboardReader,
    @Inject(DashboardActions) private readonly actions: DashboardActions,
  ) {}

  all(): DashboardRoute[] {
    const get = (path: string, answer: Answer): DashboardRoute => ({ method: 'GET', path, answer });
    return [
      get('', (request) => this.views(request)),
      get('view', (request) => this.view(request)),
      get('graph', async () => this.page(graphPage(await this.graph()))),
      get('runs', (request) => this.runs(request)),
      get('api/views', () => this.viewsApi()),
      get('api/view', async ({ query }) => json(await this.reader.view(nameOf(query)))),
      get('api/graph', async () => json(await this.viewsGraph())),
      get('api/runs', async ({ query }) =>
        json({ runs: await this.reader.page(readRunsFilter(query)) }),
      ),
      ...Object.values(ASSETS).map(({ fileName, type, content }) =>
        get(`assets/${fileName}`, () => asset(type, content)),
      ),
      ...(this.options.isReadOnly ? [] : this.actionRoutes()),
    ];
  }

  /** The answer if a page can't be shown. */
  failure({ path }: DashboardRoute, status: number, message: string): DashboardAnswer {
    return path.startsWith('api/')
      ? json({ statusCode: status, message }, status)
      : this.page(errorPage(status, message), status);
  }

  private actionRoutes(): DashboardRoute[] {
    return [
      { method: 'GET', path: 'confirm', answer: (request) => this.confirm(request) },
      ...ACTIONS.map((action): DashboardRoute => ({
        method: 'POST',
        path: action,
        answer: (request) => this.act(action, request),
      })),
    ];
  }

  private page(content: PageContent, status?: number): DashboardAnswer {
    return page(layout(this.options, content), status);
  }

  private async views({ query }: DashboardRequest): Promise<DashboardAnswer> {
    const filter = { name: query.get('name') ?? '', state: query.get('state') ?? '' };
    const { isReadOnly } = this.options;
    return this.page(viewsPage(await this.reader.overview(), { filter, isReadOnly }));
  }

  private async view({ query }: DashboardRequest): Promise<DashboardAnswer> {
    const { isReadOnly } = this.options;
    const notice = query.get('notice');
    const details = await this.reader.view(nameOf(query));
    return this.page(viewPage(details, { notice, isReadOnly, pages: this.reader.names() }));
  }

  private async viewsApi(): Promise<DashboardAnswer> {
    const { views, failures } = await this.reader.overview();
    const states = views.map((each) => ({ states: badgesOf(each.status), ...each }));
    return json({ views: states, failures }, failures.length > 0 ? 503 : 200);
  }

  private async graph(): Promise<DrawnGraph> {
    const [graph, { views, failures }] = await Promise.all([
      this.viewsGraph(),
      this.reader.overview(),
    ]);
    return {
      layout: this.layouts.of(graph),
      statuses: views.map(({ status }) => status),
      failures: failures.map(({ message }) => message),
    };
  }

  private async viewsGraph(): Promise<ViewsGraph> {
    return viewsGraph(await this.reader.catalogs(), this.reader.names());
  }

  private async runs({ query }: DashboardRequest): Promise<DashboardAnswer> {
    const filter = readRunsFilter(query);
    const runs = await this.reader.page(filter);
    const views = [...new Set(this.reader.names().map(({ view }) => view))].sort();
    return this.page(runsPage(runs, { filter, views, limit: PAGE_SIZE }));
  }

  private async confirm({ query }: DashboardRequest): Promise<DashboardAnswer> {
    const action = ACTIONS.find((each) => each === query.get('action'));
    if (action === undefined) {
      throw new BadRequestException(`\`action\` must be one of ${ACTIONS.join(', ')}.`);
    }
    const details = await this.reader.view(nameOf(query));
    return this.page(confirmPage(action, details, this.reader.names()));
  }

  private async act(action: Action, request: DashboardRequest): Promise<DashboardAnswer> {
    const name = nameOf(request.query);
    const user = request.userName ?? this.options.basicAuth?.username ?? 'somebody';
    const notice = await this.actions.run(action, {
      ...name,
      withDependents: request.query.get('dependents') === 'true',
      by: `${JSON.stringify(user)} (${addressOf(request)})`,
    });
    this.reader.forget();
    return redirect(`view?${viewQuery(name, { notice })}`, 303);
  }
}

/** Behind a trusted proxy, it may be any text that a client has sent. */
function addressOf({ ip = '' }: DashboardRequest): string {
  return isIP(ip) === 0 ? JSON.stringify(ip) : ip;
}

function nameOf(query: URLSearchParams): ViewName {
  const [dataSource, view] = [query.get('source'), query.get('view')];
  if (!dataSource || !view) {
    throw new BadRequestException('`source` and `view` must name a data source and a view.');
  }
  return { dataSource, view };
}
