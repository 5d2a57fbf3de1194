import {
  HttpException,
  Inject,
  Injectable,
  Logger,
  type OnModuleInit,
  type Type,
} from '@nestjs/common';
import {
  type AbstractHttpAdapter,
  ApplicationConfig,
  ExternalContextCreator,
  HttpAdapterHost,
  ModuleRef,
  ModulesContainer,
} from '@nestjs/core';
import { MaterializedViewError } from '../errors/materialized-view.error.js';
import { InvalidOptionsError, UnknownViewError } from '../errors/usage.errors.js';
import { CHALLENGE, isAuthenticated } from './basic-auth.js';
import { type DashboardAnswer, redirect, unauthorized } from './dashboard.answer.js';
import { DashboardEntry } from './dashboard.entry.js';
import { DASHBOARD_OPTIONS, type ResolvedDashboardOptions } from './dashboard.options.js';
import { type DashboardRequest, readRequest } from './dashboard.request.js';
import { type DashboardRoute, DashboardRoutes } from './dashboard.routes.js';
import { isFromHere } from './request-origin.js';

export const DASHBOARD_ENTRY = Symbol('nestjs-materialized-views:dashboard-entry');

type Enter = (
  request: unknown,
  response: unknown,
  next: undefined,
  work: () => Promise<DashboardAnswer>,
) => Promise<DashboardAnswer>;

const FORBIDDEN =
  'Requests from other sites are refused. Where the dashboard is served over plain HTTP, its buttons need JavaScript.';

/**
 * Registers the dashboard's routes on the HTTP adapter itself, where no global prefix, pipe, interceptor or filter of the
 * application changes a page. Guards run all the same, including global ones.
 */
@Injectable()
export class DashboardMount implements OnModuleInit {
  private readonly logger = new Logger('MaterializedViewsDashboard');

  constructor(
    @Inject(HttpAdapterHost) private readonly host: HttpAdapterHost,
    @Inject(ExternalContextCreator) private readonly contexts: ExternalContextCreator,
    @Inject(ApplicationConfig) private readonly config: ApplicationConfig,
    @Inject(ModulesContainer) private readonly modules: ModulesContainer,
    @Inject(DASHBOARD_OPTIONS) private readonly options: ResolvedDashboardOptions,
    @Inject(ModuleRef) private readonly moduleRef: ModuleRef,
    // Not injected itself: with a request-scoped guard, this would be request-scoped too and never be mounted.
    @Inject(DASHBOARD_ENTRY) private readonly entry: Type<DashboardEntry>,
    @Inject(DashboardRoutes) private readonly routes: DashboardRoutes,
  ) {}

  /** After the application's routes, and before the handler for unknown routes. */
  onModuleInit(): void {
    const adapter = this.host.httpAdapter as AbstractHttpAdapter | undefined;
    // A worker or a script has no HTTP server.
    if (adapter === undefined) {
      return;
    }
    this.refuseRequestScopedGuards();
    const entry = this.moduleRef.get(this.entry);
    const enter = this.contexts.create(
      entry,
      entry.enter as (this: void, ...args: unknown[]) => unknown,
      'enter',
      undefined,
      undefined,
      undefined,
      undefined,
      { guards: true, interceptors: false, filters: false },
      'http',
    ) as unknown as Enter;
    this.routes.all().forEach((route) => this.mount(adapter, route, enter));
  }

  private mount(adapter: AbstractHttpAdapter, route: DashboardRoute, enter: Enter): void {
    const handler = async (request: unknown, response: unknown): Promise<void> => {
      const answer = await this.answer(
        () => readRequest(adapter, request),
        route,
        (work) => enter(request, response, undefined, work),
      );
      // A guard may have answered itself, for example with a redirect to a login.
      if (!adapter.isHeadersSent(response)) {
        const headers = Object.entries(answer.headers);
        headers.forEach(([name, value]) => void adapter.setHeader(response, name, value));
        await adapter.reply(response, answer.body, answer.status);
      }
    };
    const path = `${this.options.path}/${route.path}`;
    if (route.method === 'POST') {
      adapter.post(path, handler);
      return;
    }
    adapter.get(path, handler);
    // To Express it is the same with and without the slash.
    if (route.path === '' && adapter.getType() === 'fastify' && !ignoresSlash(adapter)) {
      adapter.get(this.options.path, handler);
    }
  }

  private async answer(
    read: () => DashboardRequest,
    route: DashboardRoute,
    enter: (work: () => Promise<DashboardAnswer>) => Promise<DashboardAnswer>,
  ): Promise<DashboardAnswer> {
    const request = read();
    try {
      const { basicAuth } = this.options;
      if (basicAuth !== undefined && !isAuthenticated(request.headers.authorization, basicAuth)) {
        return unauthorized(CHALLENGE);
      }
      if (!isFromHere(request)) {
        return this.routes.failure(route, 403, FORBIDDEN);
      }
      // Read again, because guards set the user.
      return await enter(async () => canonical(route, request) ?? (await route.answer(read())));
    } catch (error) {
      return this.failure(route, error);
    }
  }

  private failure(route: DashboardRoute, error: unknown): DashboardAnswer {
    if (error instanceof HttpException) {
      return this.routes.failure(route, error.getStatus(), error.message);
    }
    if (error instanceof MaterializedViewError) {
      return this.routes.failure(route, statusOf(error), error.message);
    }
    const { message, stack } = error instanceof Error ? error : new Error(String(error));
    this.logger.error(`A page could not be rendered: ${message}`, stack);
    return this.routes.failure(route, 500, 'The page could not be rendered. The log says why.');
  }

  /**
   * Nest doesn't run request-scoped guards here, and would let everyone in.
   *
   * @throws InvalidOptionsError if there is one
   */
  private refuseRequestScopedGuards(): void {
    const own = [...this.modules.values()].find(
      ({ providers }) => providers.get(DASHBOARD_OPTIONS)?.instance === this.options,
    );
    const guards = [...this.config.getGlobalRequestGuards(), ...(own?.injectables.values() ?? [])];
    const scoped = guards.find((guard) => !guard.isDependencyTreeStatic());
    if (scoped !== undefined) {
      throw new InvalidOptionsError(
        `MaterializedViewsDashboardModule: expected guards that are not request-scoped, got "${String(scoped.name)}", which is created for each request: the dashboard could not run it.`,
        { hint: 'Remove `Scope.REQUEST` from it and from what it injects.' },
      );
    }
  }
}

interface SlashOptions {
  ignoreTrailingSlash?: boolean;
}

/** Whether Fastify is configured to treat both alike. */
function ignoresSlash(adapter: AbstractHttpAdapter): boolean {
  const { initialConfig = {} } = adapter.getInstance<{
    initialConfig?: SlashOptions & { routerOptions?: SlashOptions };
  }>();
  const { routerOptions = {} } = initialConfig;
  return [initialConfig, routerOptions].some((each) => each.ignoreTrailingSlash === true);
}

/** Links are relative, so a path has to end as they expect: the list of views with a slash, all others without. */
function canonical(
  { path: name }: DashboardRoute,
  { path, query }: DashboardRequest,
): DashboardAnswer | undefined {
  if (path.endsWith('/') === (name === '')) {
    return undefined;
  }
  const last = path.split('/').filter(Boolean).at(-1) ?? '';
  const suffix = query.size > 0 ? `?${query.toString()}` : '';
  return redirect(name === '' ? `${last}/${suffix}` : `../${last}${suffix}`, 302);
}

function statusOf(error: MaterializedViewError): number {
  if (error instanceof UnknownViewError) {
    return 404;
  }
  return error instanceof InvalidOptionsError ? 400 : 503;
}
