import { describe, expect, it } from '@jest/globals';
import { Test } from '@nestjs/testing';
import * as dashboard from '../../../lib/dashboard/index.js';
import * as health from '../../../lib/health/index.js';
import * as library from '../../../lib/index.js';
import * as opentelemetry from '../../../lib/opentelemetry/index.js';
import * as prometheus from '../../../lib/prometheus/index.js';
import * as testing from '../../../lib/testing/index.js';

const ENTRIES = [library, dashboard, health, opentelemetry, prometheus, testing];

const { MaterializedViewsDashboardModule: Dashboard } = dashboard;
const { MaterializedViewsTestingModule: Testing, RecordingRefreshService, untilIdle } = testing;
const { InvalidDefinitionError, InvalidOptionsError, MaterializedViewsModule: Module } = library;

const refreshes = new RecordingRefreshService();
const indicator = new health.MaterializedViewsHealthIndicator({} as never, refreshes);

const QUERY = { name: 'totals', expression: 'SELECT 1 AS id' };

/** For each export with options: how to call it, one of its options, and those that are required. */
const CALLS: Record<string, [call: (options: never) => unknown, option: string, needs?: object]> = {
  defineMaterializedView: [
    library.defineMaterializedView,
    'withData',
    { ...QUERY, columns: ['id'] },
  ],
  MaterializedViewEntity: [
    (given) => library.MaterializedViewEntity(given)(class {}),
    'storage',
    QUERY,
  ],
  PlainViewEntity: [(given) => library.PlainViewEntity(given)(class {}), 'checkOption', QUERY],
  'MaterializedViewsModule.forRoot': [(given) => Module.forRoot(given), 'stateSchema'],
  'MaterializedViewsModule.forRootAsync': [
    (given) => Module.forRootAsync(given),
    'inject',
    { useFactory: () => ({}) },
  ],
  'MaterializedViewsDashboardModule.forRoot': [(given) => Dashboard.forRoot(given), 'readOnly'],
  'MaterializedViewsDashboardModule.forRootAsync': [
    (given) => Dashboard.forRootAsync(given),
    'guards',
    { useFactory: () => ({ allowUnauthenticated: true }) },
  ],
  'MaterializedViewsHealthIndicator.isFresh': [
    (given) => indicator.isFresh('views', given),
    'warnAfter',
  ],
  instrument: [(given) => opentelemetry.instrument(refreshes, given), 'tracer'],
  registerMetrics: [(given) => prometheus.registerMetrics(refreshes, given), 'prefix'],
  untilIdle: [(given) => untilIdle({} as never, given), 'timeout'],
  'MaterializedViewsTestingModule.forRoot': [(given) => Testing.forRoot(given), 'rows'],
  'MaterializedViewsTestingModule.withoutDatabase': [
    (given) => Testing.withoutDatabase(Test.createTestingModule({}), given),
    'dataSources',
  ],
};

/** These have no options, or are covered by test/e2e/module/options.spec.ts. */
const OTHERS = [
  'MaterializedViewsModule.forFeature',
  'advance',
  'alterTable',
  'expectFresh',
  'getViewOptions',
  'inSchema',
  'tick',
  'useLiveViews',
];

const isClass = (value: unknown): value is { prototype: object } =>
  typeof value === 'function' && /^class\b/.test(Function.prototype.toString.call(value));

/**
 * Everything that an application can call: functions, and static methods of classes except errors.
 */
function callable(exports: Record<string, unknown>): string[] {
  return Object.entries(exports).flatMap(([name, value]) => {
    if (!isClass(value) || value.prototype instanceof Error) {
      return typeof value === 'function' && !isClass(value) ? [name] : [];
    }
    const statics = Object.getOwnPropertyNames(value).filter(
      (member) => typeof (value as unknown as Record<string, unknown>)[member] === 'function',
    );
    return statics.map((member) => `${name}.${member}`);
  });
}

async function refusal(name: string, given: unknown): Promise<unknown> {
  try {
    await CALLS[name]?.[0](given as never);
    return undefined;
  } catch (error) {
    return error;
  }
}

it('covers everything that an application can call', () => {
  // `isFresh` is a method of instances, which `callable` does not list.
  const named = [...Object.keys(CALLS), ...OTHERS].filter((name) => !name.includes('isFresh'));
  expect(ENTRIES.flatMap(callable).sort()).toEqual(named.sort());
});

describe.each(Object.keys(CALLS))('%s', (name) => {
  it('accepts nothing but an object', async () => {
    for (const given of [null, [], 'text', 5, true, new Map(), Promise.resolve({})]) {
      const error = await refusal(name, given);
      const isOwn = error instanceof InvalidOptionsError || error instanceof InvalidDefinitionError;
      expect({ given, error, isOwn }).toMatchObject({ isOwn: true });
    }
  });

  it('refuses an unknown option, and suggests the one that was meant', async () => {
    const [, option, needs] = CALLS[name] as (typeof CALLS)[string];
    const misspelt = `${option}${option.at(-1)}`;
    const error = await refusal(name, { ...needs, [misspelt]: 1 });
    expect(String(error)).toContain(`Did you mean \`${option}\`?`);
    expect(String(await refusal(name, { ...needs, zebra: 1 }))).toContain('`zebra` to be absent');
  });
});
