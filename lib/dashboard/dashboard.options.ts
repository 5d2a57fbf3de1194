import type { CanActivate, ModuleMetadata, Type } from '@nestjs/common';
import {
  aBoolean,
  aFilledText,
  checkOptions,
  listOf,
  matching,
  objectOf,
  type Rule,
  type Rules,
} from '../definition/option-rules.js';
import { InvalidOptionsError } from '../errors/usage.errors.js';
import { ASYNC_RULES, requireFactory } from '../nest/require-factory.js';
import type {
  ASYNC_OPTIONS_TYPE,
  MaterializedViewsDashboardFactoryOptions,
} from './dashboard.module-definition.js';

/** The options of `MaterializedViewsDashboardModule.forRoot`. One of `guards`, `basicAuth` and `allowUnauthenticated` is needed. */
export interface MaterializedViewsDashboardOptions {
  /** The whole path of the dashboard: a global prefix is not prepended. @default '/materialized-views' */
  path?: string;
  /** Guards of the application, as for `@UseGuards`. A request must pass all of them and all global guards. */
  guards?: readonly (Type<CanActivate> | CanActivate)[];
  /** Modules that export what the guards inject. @default [] */
  imports?: ModuleMetadata['imports'];
  /** One user, by HTTP basic authentication. Use it over HTTPS only. */
  basicAuth?: BasicAuthOptions;
  /** Whether the dashboard has no buttons to refresh, cancel, pause and resume views. @default false */
  readOnly?: boolean;
  /** Shown on each page, as in `'production'`. @default none */
  environment?: string;
  /** Whether the dashboard is open to everyone who passes the global guards. @default false */
  allowUnauthenticated?: boolean;
}

export interface BasicAuthOptions {
  username: string;
  password: string;
}

export const DASHBOARD_OPTIONS = Symbol('nestjs-materialized-views:dashboard-options');

/** The same with defaults. */
export interface ResolvedDashboardOptions {
  /** Without a trailing slash. */
  path: string;
  isReadOnly: boolean;
  environment?: string;
  basicAuth?: BasicAuthOptions;
}

const SUBJECT = 'MaterializedViewsDashboardModule';
const DEFAULT_PATH = '/materialized-views';

const aPath = matching(
  "a path such as '/admin/materialized-views', without parameters and without a slash at its end",
  // Clients remove dot segments before they send a request.
  (value) => typeof value === 'string' && /^(?:\/(?!\.{1,2}(?:\/|$))[\w.~-]+)+$/.test(value),
);

const aGuard = matching(
  'a guard: a class, or an object with `canActivate`',
  (value) =>
    typeof value === 'function' ||
    typeof (value as Partial<CanActivate> | null)?.canActivate === 'function',
);

/** `process.env.PASSWORD` is undefined if it isn't set. The message never shows the given value. */
const aPassword: Rule = (value, at) => {
  if (typeof value !== 'string' || value.trim() === '') {
    throw at.refuse('text that is not empty', value === undefined ? undefined : '');
  }
};

const guards = listOf(aGuard);

const factoryRules: Rules<MaterializedViewsDashboardFactoryOptions> = {
  path: aPath,
  basicAuth: objectOf<BasicAuthOptions>(
    {
      username: matching(
        'text that is not empty and has no colon',
        (value) => typeof value === 'string' && /^[^:]+$/.test(value),
      ),
      password: aPassword,
    },
    ['username', 'password'],
  ),
  readOnly: aBoolean,
  environment: aFilledText,
  allowUnauthenticated: aBoolean,
};

const rootOptions = objectOf<MaterializedViewsDashboardOptions>({
  ...factoryRules,
  guards,
  imports: listOf(() => undefined),
});

const asyncOptions = objectOf<typeof ASYNC_OPTIONS_TYPE>({ ...ASYNC_RULES, guards });

/** @throws InvalidOptionsError if an option is unknown, a guard isn't one, or there is no factory */
export function checkAsyncDashboardOptions(options: typeof ASYNC_OPTIONS_TYPE): void {
  checkOptions(SUBJECT, asyncOptions, options);
  requireFactory(SUBJECT, options);
}

/** @throws InvalidOptionsError if an option is wrong, or nothing protects the dashboard */
export function resolveDashboardOptions(
  options: MaterializedViewsDashboardOptions,
): ResolvedDashboardOptions {
  checkOptions(SUBJECT, rootOptions, options);
  return closed(options, options.guards);
}

/**
 * The same for the result of a factory.
 *
 * @throws InvalidOptionsError likewise
 */
export function resolveFactoryOptions(
  options: MaterializedViewsDashboardFactoryOptions,
  given: MaterializedViewsDashboardOptions['guards'],
): ResolvedDashboardOptions {
  checkOptions(SUBJECT, objectOf(factoryRules), options);
  return closed(options, given);
}

function closed(
  options: MaterializedViewsDashboardFactoryOptions,
  given: MaterializedViewsDashboardOptions['guards'] = [],
): ResolvedDashboardOptions {
  const { path = DEFAULT_PATH, basicAuth, readOnly = false, environment } = options;
  if (given.length === 0 && basicAuth === undefined && options.allowUnauthenticated !== true) {
    throw new InvalidOptionsError(
      `${SUBJECT}: expected \`guards\` or \`basicAuth\`, got neither: anyone could open the dashboard and refresh views.`,
      {
        hint: 'If a global guard or a proxy protects the dashboard, set `allowUnauthenticated: true`.',
      },
    );
  }
  return { path, isReadOnly: readOnly, environment, basicAuth };
}
