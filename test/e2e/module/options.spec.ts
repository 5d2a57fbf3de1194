import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Test, type TestingModule } from '@nestjs/testing';
import { ScheduleModule } from '@nestjs/schedule';
import { PrimaryColumn } from 'typeorm';
import {
  alterTable,
  InvalidOptionsError,
  MaterializedViewEntity,
  MaterializedViewsModule,
  NotInitializedError,
  RefreshService,
  SchemaService,
  UnknownViewError,
} from '../../../lib/index.js';
import { bootWith, typeOrm } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';

@MaterializedViewEntity({ name: 'Daily "Total"', schema: 'Far away', expression: 'SELECT 1 AS id' })
class DailyTotal {
  @PrimaryColumn() id!: number;
}

type Call = (options: unknown) => unknown;

let database: TestDatabase;
let app: TestingModule;
let refreshes: RefreshService;
let schema: SchemaService;

const work = (): Promise<number> => Promise.resolve(1);
const options = (value: unknown): never => value as never;

/** The methods that take options. */
const CALLS: Record<string, Call> = {
  'RefreshService.refresh': (given) => refreshes.refresh(DailyTotal, options(given)),
  'RefreshService.refreshMany': (given) => refreshes.refreshMany([DailyTotal], options(given)),
  'RefreshService.refreshAll': (given) => refreshes.refreshAll(options(given)),
  'RefreshService.after': (given) => refreshes.after(work, [DailyTotal], options(given)),
  'RefreshService.cancel': (given) => refreshes.cancel(DailyTotal, options(given)),
  'RefreshService.pause': (given) => refreshes.pause(DailyTotal, options(given)),
  'RefreshService.resume': (given) => refreshes.resume(DailyTotal, options(given)),
  'RefreshService.history': (given) => refreshes.history(DailyTotal, options(given)),
  'RefreshService.historyAll': (given) => refreshes.historyAll(options(given)),
  'RefreshService.recentRuns': (given) => refreshes.recentRuns(options(given)),
  'RefreshService.status': (given) => refreshes.status(DailyTotal, options(given)),
  'RefreshService.statusAll': (given) => refreshes.statusAll(options(given)),
  'RefreshService.drift': (given) => refreshes.drift(DailyTotal, options(given)),
  'SchemaService.diff': (given) => schema.diff(options(given)),
  'SchemaService.plan': (given) => schema.plan(options(given)),
  'SchemaService.verify': (given) => schema.verify(options(given)),
  'SchemaService.generateMigration': (given) =>
    schema.generateMigration(options(isObject(given) ? { name: 'Change', ...given } : given)),
  'SchemaService.alterTable': (given) => schema.alterTable('orders', work, options(given)),
  'SchemaService.drop': (given) => schema.drop(DailyTotal, options(given)),
  'SchemaService.dropAll': (given) => schema.dropAll(options(given)),
  'SchemaService.registered': (given) => schema.registered(options(given)),
  'SchemaService.declared': (given) => schema.declared(options(given)),
  'SchemaService.definition': (given) => schema.definition(DailyTotal, options(given)),
  'SchemaService.dependencies': (given) => schema.dependencies(DailyTotal, options(given)),
  'SchemaService.dependents': (given) => schema.dependents(DailyTotal, options(given)),
  'SchemaService.inspect': (given) => schema.inspect(options(given)),
  'SchemaService.order': (given) => schema.order(options(given)),
  'SchemaService.sync': (given) => schema.sync(undefined, options(given)),
};

/** The methods that take no options. */
const WITHOUT_OPTIONS: Record<string, Call> = {
  'RefreshService.dataSources': () => refreshes.dataSources(),
  'RefreshService.running': () => refreshes.running(),
  'SchemaService.apply': (given) => schema.apply(options(given)),
};

const names = Object.keys(CALLS);

function isObject(value: unknown): value is object {
  return Object.prototype.toString.call(value) === '[object Object]';
}

async function failureOf(call: () => unknown): Promise<unknown> {
  try {
    await call();
  } catch (error) {
    return error;
  }
  throw new Error('It was expected to fail');
}

async function expectRefused(
  name: string,
  given: unknown,
  message: RegExp | string,
): Promise<void> {
  const error = await failureOf(() => CALLS[name]?.(given));
  expect(error).toBeInstanceOf(InvalidOptionsError);
  expect((error as Error).message).toMatch(message);
  expect((error as Error).message.startsWith(`${name}: expected \``)).toBe(true);
}

beforeAll(async () => {
  database = await TestDatabase.create();
  await database.query('CREATE TABLE orders (id int)');
  app = await bootWith(database, { views: [DailyTotal] });
  refreshes = app.get(RefreshService);
  schema = app.get(SchemaService);
});

afterAll(async () => {
  await app?.close();
  await database?.drop();
});

it('covers each public method of the services', () => {
  const methods = [RefreshService, SchemaService].flatMap((service) =>
    Object.getOwnPropertyNames(service.prototype).map((method) => `${service.name}.${method}`),
  );
  const internal = ['constructor', 'schemaOf', 'targets'];
  expect(methods.filter((method) => !internal.includes(method.split('.')[1] ?? '')).sort()).toEqual(
    [...names, ...Object.keys(WITHOUT_OPTIONS)].sort(),
  );
});

describe.each(names)('%s', (name) => {
  it('accepts nothing but an object', async () => {
    for (const given of [null, [], 'default', 5, true, new Map(), Promise.resolve({})]) {
      await expectRefused(name, given, /expected `options` to be an object, got /);
    }
  });

  it('refuses an unknown option, and suggests the one that was meant', async () => {
    await expectRefused(name, { datasource: 'default' }, /Did you mean `dataSource`\?$/);
    await expectRefused(name, { zebra: 1 }, /`zebra` to be absent: the options are .*dataSource/);
  });

  it('refuses a data source that is not a name', async () => {
    for (const dataSource of [null, 5, '', {}, ['default']]) {
      await expectRefused(name, { dataSource }, /`dataSource` to be the name of a data source/);
    }
  });

  it('names the known data sources if it gets an unknown one', async () => {
    const error = await failureOf(() => CALLS[name]?.({ dataSource: 'defualt' }));
    expect(error).toBeInstanceOf(UnknownViewError);
    expect((error as Error).message).toBe(
      'No materialized view is registered in data source "defualt". Data sources with views: "default". Did you mean "default"?',
    );
  });
});

describe('the options that only some methods have', () => {
  const wrong: [string, Record<string, unknown[]>][] = [
    ...['refresh', 'refreshAll', 'after'].map((method): [string, Record<string, unknown[]>] => [
      `RefreshService.${method}`,
      {
        onBusy: ['JOIN', true, null],
        onPaused: ['fail', 1, null],
        concurrently: ['yes', 1, null],
        swap: ['yes', 1, null],
        strict: ['yes', 0, null],
        withData: ['no', 0, null],
        timeout: [0, '5', -1, NaN, 1n, null],
        signal: [{}, 'abort', null],
        manager: [{}, null, 'manager'],
      },
    ]),
    ...['refreshAll', 'after'].map((method): [string, Record<string, unknown[]>] => [
      `RefreshService.${method}`,
      { concurrency: [0, 1.5, '2', null], throwOnFailure: ['no', 1, null] },
    ]),
    ['RefreshService.after', { cascade: ['up', true, null] }],
    ['RefreshService.history', { limit: [0, 1.5, 1_001, '5', null] }],
    ['RefreshService.drift', { limit: [0, 1.5, 1_001, '5', null] }],
    ...['diff', 'plan', 'generateMigration'].map((method): [string, Record<string, unknown[]>] => [
      `SchemaService.${method}`,
      {
        prune: ['yes', 1, null],
        unmanagedDependents: ['drop', true, null],
        rebuildStrategy: ['sidebyside', 'swap', null],
        onMissingTable: ['ignore', false, null],
      },
    ]),
    [
      'SchemaService.generateMigration',
      {
        name: ['', 'a-', '1st', 'a b; c', 'x/../y', 'a\0', 5, null],
        timestamp: [0, 1.5, '5', NaN, null],
        language: ['tsx', null],
        module: ['umd', null],
      },
    ],
    ['SchemaService.alterTable', { unmanagedDependents: ['drop', true, null] }],
  ];

  it.each(wrong)('%s refuses %j', async (name, values) => {
    for (const [option, given] of Object.entries(values)) {
      for (const value of given) {
        await expectRefused(name, { [option]: value }, `expected \`${option}\` to be `);
      }
    }
  });

  it('a plan must be one', async () => {
    for (const plan of [undefined, null, {}, 'plan', []]) {
      await expect(schema.apply(plan as never)).rejects.toThrow(
        /^SchemaService\.apply: expected `options` to be a plan/,
      );
    }
  });

  it('the arguments of alterTable are checked before anything is sent', async () => {
    const runner = { query: () => Promise.reject(new Error('it was sent')) };
    const refused: [unknown[], string][] = [
      [[undefined, 'orders', work], 'queryRunner'],
      [[{}, 'orders', work], 'queryRunner'],
      [[runner, undefined, work], 'table'],
      [[runner, null, work], 'table'],
      [[runner, 'orders', 'work'], 'work'],
      [[runner, 'orders', undefined], 'work'],
      [[runner, 'orders', work, null], 'options'],
      [[runner, 'orders', work, { stateSchema: 'public' }], 'options.stateSchema'],
      [[runner, 'orders', work, { unmanagedDependent: 'refuse' }], 'options.unmanagedDependent'],
    ];
    for (const [args, path] of refused) {
      const error = await failureOf(() => alterTable(...(args as Parameters<typeof alterTable>)));
      expect(error).toBeInstanceOf(InvalidOptionsError);
      expect((error as Error).message).toContain(`alterTable: expected \`${path}\` to be `);
    }
  });

  it.each(['a.b.c', '', 'a\0', '\ud83d', 'x'.repeat(64)])(
    'alterTable refuses the table %j',
    async (table) => {
      await expect(schema.alterTable(table, work)).rejects.toThrow(
        /^alterTable: expected `table` to be /,
      );
    },
  );

  it('changes nothing', async () => {
    expect(await schema.diff()).toEqual([]);
    expect(await refreshes.history(DailyTotal)).toHaveLength(1);
  });
});

describe('before the application is initialized', () => {
  it('every call says so', async () => {
    const early = await Test.createTestingModule({
      imports: [
        typeOrm(database, { autoLoadEntities: false, entities: [DailyTotal] }),
        ScheduleModule.forRoot(),
        MaterializedViewsModule.forRoot({ views: [DailyTotal], scheduling: false }),
      ],
    }).compile();
    const booted = [refreshes, schema] as const;
    refreshes = early.get(RefreshService);
    schema = early.get(SchemaService);
    try {
      const running = WITHOUT_OPTIONS['RefreshService.running'] as Call;
      for (const call of [...Object.values(CALLS), running]) {
        expect(await failureOf(() => call({}))).toBeInstanceOf(NotInitializedError);
      }
    } finally {
      [refreshes, schema] = booted;
      await early.close();
    }
  });
});

describe('a view that is not registered', () => {
  it('is refused with the nearest names', async () => {
    const error = await failureOf(() => refreshes.refresh('Far away.daily total'));
    expect(error).toBeInstanceOf(UnknownViewError);
    expect((error as Error).message).toContain(
      '"Far away.daily total" is not a registered materialized view. Registered views: "Far away.Daily "Total"".',
    );
  });
});
