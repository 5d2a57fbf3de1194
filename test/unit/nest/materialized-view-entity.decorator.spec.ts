import { describe, expect, it } from '@jest/globals';
import { getMetadataArgsStorage, Index, PrimaryColumn, ViewColumn } from 'typeorm';
import {
  getViewOptions,
  InvalidDefinitionError,
  MaterializedViewEntity,
  type MaterializedViewEntityOptions,
} from '../../../lib/index.js';

const expression = 'SELECT 1 AS id';

function decorate(options: unknown): void {
  class Sample {}
  MaterializedViewEntity(options as MaterializedViewEntityOptions)(Sample);
}

/** A row of the table of refused options. */
function byPgCron(refresh: object, message: RegExp): [string, unknown, RegExp][] {
  const options = { expression, refresh: { scheduler: 'pg_cron', ...refresh } };
  return [[`pg_cron and ${JSON.stringify(refresh)}`, options, message]];
}

describe('@MaterializedViewEntity', () => {
  it('makes the class a ViewEntity that TypeORM does not synchronise, and keeps its options', () => {
    const options = { name: 'one', schema: 'two', expression };
    class Sample {}
    MaterializedViewEntity(options)(Sample);
    expect(getMetadataArgsStorage().filterTables(Sample)).toEqual([
      expect.objectContaining({
        type: 'view',
        name: 'one',
        schema: 'two',
        expression,
        materialized: true,
        synchronize: false,
      }),
    ]);
    expect(getViewOptions(Sample)).toBe(options);
    expect(getViewOptions(class Other {})).toBeUndefined();
    expect(getViewOptions(class Below extends Sample {})).toBeUndefined();
  });

  it.each<[string, unknown, RegExp]>([
    ['no options', undefined, /expected `options` to be an object, got undefined/],
    [
      'an unknown option',
      { expression, refersh: {} },
      /`refersh` to be absent: the options are name/,
    ],
    ['no expression', {}, /`expression` to be a SELECT statement or a function.*got undefined/],
    ['an empty expression', { expression: ' \n' }, /`expression` .* got " \\n"/],
    ['a long name', { expression, name: 'ä'.repeat(32) }, /`name` .*64 bytes long.*keeps only 63/],
    ['a dot in a name', { expression, name: 'a.b' }, /`name` to be a name without a dot/],
    ['a dot in a schema', { expression, schema: 'a.b' }, /`schema` to be a name without a dot/],
    ['an empty schema', { expression, schema: '' }, /`schema` .*it is empty/],
    ['a NUL in a name', { expression, name: 'a\0' }, /`name` .*NUL character/],
    ['a name that is no text', { expression, name: 5 }, /`name` to be a name, got 5/],
    [
      'a bad cron',
      { expression, refresh: { cron: '61 * * * *' } },
      /`refresh\.cron` .*got "61 \* \* \* \*"/,
    ],
    ['text as cron', { expression, refresh: { cron: 'hourly' } }, /`refresh\.cron`/],
    ['no refresh', { expression, refresh: null }, /`refresh` to be an object, got null/],
    [
      'a time zone for no cron',
      { expression, refresh: { skipUnchanged: true, timeZone: 'UTC' } },
      /`refresh\.timeZone` to be absent without `cron`/,
    ],
    [
      'no tables',
      { expression, refresh: { on: [] } },
      /`refresh\.on` to be 'sources' or an array of entities and tables, got \[\]/,
    ],
    ['an unknown word', { expression, refresh: { on: 'tables' } }, /`refresh\.on` .*got "tables"/],
    [
      'a class too early',
      { expression, refresh: { on: [undefined] } },
      /`refresh\.on\[0\]` to be an entity or .*got undefined.*import each other/,
    ],
    [
      'a table with two dots',
      { expression, refresh: { on: ['a.b.c'] } },
      /`refresh\.on\[0\]` to be `name` or `schema\.name`/,
    ],
    [
      'a debounce of nothing',
      { expression, refresh: { skipUnchanged: true, debounce: '1s' } },
      /`refresh\.debounce` to be absent without `on`/,
    ],
    [
      'a longest wait of nothing',
      { expression, refresh: { cron: '* * * * *', maxWait: '1s' } },
      /`refresh\.maxWait` to be absent/,
    ],
    [
      'a debounce that is no duration',
      { expression, refresh: { on: ['a'], debounce: '5' } },
      /`refresh\.debounce` to be a duration such as .*got "5"/,
    ],
    [
      'a longest wait below the debounce',
      { expression, refresh: { on: ['a'], debounce: '1m', maxWait: '30s' } },
      /`refresh\.maxWait` to be at least as long as `debounce` \(60000 ms\), got "30s"/,
    ],
    [
      'a staleness of nothing',
      { expression, refresh: { maxStaleness: 0 } },
      /`refresh\.maxStaleness` to be a duration/,
    ],
    [
      'a skipUnchanged without ticks',
      { expression, refresh: { skipUnchanged: true } },
      /`refresh\.skipUnchanged` to be absent if the view is only refreshed on demand/,
    ],
    [
      'a skipUnchanged that is no boolean',
      { expression, refresh: { skipUnchanged: 'yes' } },
      /`refresh\.skipUnchanged` to be true or false/,
    ],
    [
      'an unknown scheduler',
      { expression, refresh: { cron: '* * * * *', scheduler: 'pgcron' } },
      /`refresh\.scheduler` to be 'application' or 'pg_cron'.*Did you mean 'pg_cron'\?/,
    ],
    [
      'a scheduler of nothing',
      { expression, refresh: { on: ['a'], scheduler: 'pg_cron' } },
      /`refresh\.scheduler` to be absent where there is no `cron`/,
    ],
    ...byPgCron(
      { cron: '*/5 * * * * *' },
      /`refresh\.cron` .*pg_cron .*seconds field can only be 0/,
    ),
    ...byPgCron({ cron: '0 0 1 * 1' }, /`refresh\.cron` .*cron\.match_dom_and_dow/),
    ...byPgCron(
      { cron: '0 0 * * 1', timeZone: 'Europe/Berlin' },
      /`refresh\.timeZone` to be 'UTC'/,
    ),
    ...byPgCron({ cron: '* * * * *', mode: 'swap' }, /`refresh\.mode` to be another one/),
    ...byPgCron({ cron: '* * * * *', on: 'sources' }, /`refresh\.on` .*a process has to watch/),
    ...byPgCron({ cron: '* * * * *', maxStaleness: '1m' }, /`refresh\.maxStaleness` .*a process/),
    ...byPgCron({ cron: '* * * * *', skipUnchanged: true }, /`refresh\.skipUnchanged` .*a process/),
    ['a swap that is concurrent', { expression, refresh: { mode: 'fast' as never } }, /auto/],
    [
      'a duration without unit',
      { expression, refresh: { minInterval: '5' } },
      /`refresh\.minInterval`/,
    ],
    [
      "a setting that is the library's own",
      { expression, refresh: { settings: { Lock_Timeout: '1s' } } },
      /without Lock_Timeout, which is the library's own/,
    ],
    [
      'a setting that is none',
      { expression, refresh: { settings: { 'a;b': 1 } } },
      /`refresh\.settings`.*got "a;b"/,
    ],
    [
      'a date that never comes',
      { expression, refresh: { cron: '0 0 31 2 *' } },
      /it never matches a date/,
    ],
    [
      'a bad time zone',
      { expression, refresh: { cron: '* * * * *', timeZone: 'Mars/Base' } },
      /`refresh\.timeZone` to be an IANA time zone.*got "Mars\/Base"/,
    ],
    [
      'an unknown refresh option',
      { expression, refresh: { cron: '* * * * *', tz: 'UTC' } },
      /`refresh\.tz`/,
    ],
    ['indexes that are no list', { expression, indexes: {} }, /`indexes` to be an array/],
    [
      'an index without a name',
      { expression, indexes: [{ keys: ['id'] }] },
      /`indexes\[0\]\.name`/,
    ],
    [
      'an index without keys',
      { expression, indexes: [{ name: 'i', keys: [] }] },
      /`indexes\[0\]\.keys`/,
    ],
    [
      'a key of both kinds',
      { expression, indexes: [{ name: 'i', keys: [{ property: 'id', expression: 'id' }] }] },
      /`indexes\[0\]\.keys\[0\]` to be either a `property` or an `expression`/,
    ],
    [
      'two indexes of one name',
      {
        expression,
        indexes: [
          { name: 'i', keys: ['a'] },
          { name: 'i', keys: ['b'] },
        ],
      },
      /`indexes\[1\]\.name` to be different from those of the other indexes, got "i"/,
    ],
    [
      'include that is no list',
      { expression, indexes: [{ name: 'i', keys: ['a'], include: 'b' }] },
      /`indexes\[0\]\.include` to be an array, got "b"/,
    ],
    [
      'include of nothing',
      { expression, indexes: [{ name: 'i', keys: ['a'], include: [undefined] }] },
      /`indexes\[0\]\.include\[0\]`/,
    ],
    [
      'unique that is text',
      { expression, indexes: [{ name: 'i', keys: ['a'], unique: 'no' }] },
      /`indexes\[0\]\.unique` to be true or false, got "no"/,
    ],
    [
      'an empty predicate',
      { expression, indexes: [{ name: 'i', keys: ['a'], where: '' }] },
      /`indexes\[0\]\.where` to be text that is not empty/,
    ],
    [
      'an expression that is a number',
      { expression, indexes: [{ name: 'i', keys: [{ expression: 5 }] }] },
      /keys\[0\]\.expression`.*got 5/,
    ],
    [
      'a collation that is a bigint',
      { expression, indexes: [{ name: 'i', keys: [{ property: 'a', collation: 1n }] }] },
      /keys\[0\]\.collation`.*got 1n/,
    ],
    [
      'an operator class of three parts',
      { expression, indexes: [{ name: 'i', keys: [{ property: 'a', operatorClass: 'a.b.c' }] }] },
      /operatorClass` to be `name` or `schema\.name`/,
    ],
    [
      'index storage that is text',
      { expression, indexes: [{ name: 'i', keys: ['a'], storage: 'x' }] },
      /`indexes\[0\]\.storage`/,
    ],
    [
      'an empty key',
      { expression, indexes: [{ name: 'i', keys: [''] }] },
      /`indexes\[0\]\.keys\[0\]`/,
    ],
    [
      'storage of objects',
      { expression, storage: { fillfactor: {} } },
      /`storage` to be an object of storage parameters/,
    ],
    ['storage that is a list', { expression, storage: [70] }, /`storage`/],
    [
      'withData that is text',
      { expression, withData: 'yes' },
      /`withData` to be true or false, got "yes"/,
    ],
    ['a comment that is a number', { expression, comment: 5 }, /`comment` to be text, got 5/],
    [
      'a version of 0',
      { expression, version: 0 },
      /`version` to be a whole number from 1 on, got 0/,
    ],
    ['a long tablespace', { expression, tablespace: 'x'.repeat(64) }, /`tablespace`.*64 bytes/],
    ['an access method that is empty', { expression, accessMethod: '' }, /`accessMethod`/],
    [
      'an old name of three parts',
      { expression, renamedFrom: 'a.b.c' },
      /`renamedFrom` to be `name` or `schema\.name`/,
    ],
    ['dependsOn that is no list', { expression, dependsOn: 'a' }, /`dependsOn` to be an array/],
    ['no list of indexes', { expression, indexes: null }, /`indexes` to be an array, got null/],
    [
      'no list of properties to include',
      { expression, indexes: [{ name: 'i', keys: ['a'], include: null }] },
      /`indexes\[0\]\.include` to be an array, got null/,
    ],
    [
      'a hole among the keys',
      { expression, indexes: [{ name: 'i', keys: ['a', , 'b'] }] },
      /`indexes\[0\]\.keys\[1\]` to be an object, got undefined/,
    ],
    [
      'index storage without parameters',
      { expression, indexes: [{ name: 'i', keys: ['a'], storage: {} }] },
      /`indexes\[0\]\.storage` to be absent or to have storage parameters, got \{\}/,
    ],
    ['storage that is empty text', { expression, storage: { fillfactor: '' } }, /`storage`/],
    ['storage that is no number', { expression, storage: { fillfactor: NaN } }, /`storage`/],
    ['storage under no name', { expression, storage: { '': 1 } }, /`storage`/],
    ['storage with a = in its name', { expression, storage: { 'a=b': 1 } }, /`storage`/],
    ['a NUL in the SQL', { expression: 'SELECT 1\0' }, /`expression` to be text without a NUL/],
    ['a NUL in a comment', { expression, comment: 'a\0b' }, /`comment` to be text without a NUL/],
    [
      'a NUL in a predicate',
      { expression, indexes: [{ name: 'i', keys: ['a'], where: 'a > 0\0' }] },
      /`indexes\[0\]\.where` to be text without a NUL/,
    ],
    ['a version that is text', { expression, version: '2' }, /`version` .*got "2"/],
    [
      'an old name without a name',
      { expression, renamedFrom: 's.' },
      /`renamedFrom` .*it is empty/,
    ],
    [
      'an old name that is too long',
      { expression, renamedFrom: `s.${'x'.repeat(64)}` },
      /`renamedFrom` .*64 bytes/,
    ],
    ['a renamed class', { expression, renamedFrom: class {} }, /`renamedFrom` to be `name` or/],
    ['no dependencies', { expression, dependsOn: null }, /`dependsOn` to be an array, got null/],
    ['a dependency by number', { expression, dependsOn: [5] }, /`dependsOn\[0\]` .*got 5/],
    [
      'a dependency of three parts',
      { expression, dependsOn: ['a.b.c'] },
      /`dependsOn\[0\]` to be `name` or `schema\.name`, got "a\.b\.c"/,
    ],
    [
      'a dependency as a function that gives it',
      { expression, dependsOn: [() => Date] },
      /`dependsOn\[0\]` to be a class decorated with/,
    ],
    [
      'a dependency that is not there yet',
      { expression, dependsOn: [undefined] },
      /`dependsOn\[0\]` .*import each other/,
    ],
    [
      'a dependency that is no view',
      { expression, dependsOn: [Date] },
      /`dependsOn\[0\]` to be a class decorated with/,
    ],
    [
      'text for several schemas',
      { expression, schemas: ['a'] },
      /`expression` to be a function beside `schemas`/,
    ],
    [
      'a schema beside several',
      { expression: () => 'SELECT 1', schemas: ['a'], schema: 'b' },
      /`schema` to be absent beside `schemas`, got "b"/,
    ],
    [
      'one old name for several schemas',
      { expression: () => 'SELECT 1', schemas: ['a'], renamedFrom: 'a.b' },
      /`renamedFrom` to be a name without a schema/,
    ],
    [
      'a schema of PostgreSQL among several',
      { expression: () => 'SELECT 1', schemas: ['a', 'pg_toast'] },
      /`schemas\[1\]` to be a schema of the application/,
    ],
    ['schemas in one text', { expression, schemas: 'a' }, /`schemas` to be an array, got "a"/],
    [
      'a wrong order',
      { expression, indexes: [{ name: 'i', keys: [{ property: 'id', order: 'down' }] }] },
      /`indexes\[0\]\.keys\[0\]\.order` to be 'ASC' or 'DESC', got "down"/,
    ],
  ])('refuses %s when the class is decorated', (_, options, message) => {
    expect(() => decorate(options)).toThrow(InvalidDefinitionError);
    expect(() => decorate(options)).toThrow(message);
    expect(() => decorate(options)).toThrow(/^@MaterializedViewEntity of Sample: expected /);
  });

  it.each([
    'statement_timeout',
    'lock_timeout',
    'transaction_timeout',
    'deadlock_timeout',
    'idle_session_timeout',
    'tcp_user_timeout',
    'client_connection_check_interval',
    'transaction_isolation',
    'transaction_read_only',
    'transaction_deferrable',
    'default_transaction_isolation',
    'default_transaction_read_only',
    'default_transaction_deferrable',
    'search_path',
    'row_security',
    'session_replication_role',
    'is_superuser',
    'role',
    'Session_Authorization',
    'allow_system_table_mods',
    'CLIENT_ENCODING',
    'standard_conforming_strings',
    'quote_all_identifiers',
    'session_preload_libraries',
    'application_name',
    'track_activities',
    'log_statement',
    'log_min_duration_statement',
    'debug_print_parse',
    'default_tablespace',
    'default_table_access_method',
    'nestjs_materialized_views.search_path',
    'pgaudit.log',
    'pg_stat_statements.track',
  ])('refuses the setting %s', (name) => {
    const decorating = (): void => decorate({ expression, refresh: { settings: { [name]: 'x' } } });
    expect(decorating).toThrow(`\`refresh.settings\` to be without ${name}, which `);
  });

  it.each([
    'work_mem',
    'maintenance_work_mem',
    'max_parallel_workers_per_gather',
    'enable_hashjoin',
    'jit',
    'TimeZone',
    'DateStyle',
    'synchronous_commit',
    'temp_tablespaces',
    'debug_parallel_query',
    'auto_explain.log_min_duration',
    'myapp.tenant',
  ])('accepts the setting %s', (name) => {
    expect(() => decorate({ expression, refresh: { settings: { [name]: 'x' } } })).not.toThrow();
  });

  it.each<[string, object]>(
    ['\0', '\ud83d', '\udc00'].flatMap((character): [string, object][] => {
      const text = `a${character}b`;
      const index = { name: 'i', keys: ['id'] };
      return [
        { name: text },
        { schema: text },
        { expression: `SELECT '${text}'` },
        { comment: text },
        { tablespace: text },
        { accessMethod: text },
        { renamedFrom: text },
        { dependsOn: [text] },
        { storage: { fillfactor: text } },
        { storage: { [text]: 1 } },
        { refresh: { on: [text] } },
        { refresh: { cron: text } },
        { refresh: { cron: '* * * * *', timeZone: text } },
        { refresh: { settings: { work_mem: text } } },
        { refresh: { settings: { [text]: 1 } } },
        { indexes: [{ ...index, name: text }] },
        { indexes: [{ ...index, keys: [text] }] },
        { indexes: [{ ...index, keys: [{ property: text }] }] },
        { indexes: [{ ...index, keys: [{ expression: text }] }] },
        { indexes: [{ ...index, keys: [{ property: 'id', collation: text }] }] },
        { indexes: [{ ...index, keys: [{ property: 'id', operatorClass: text }] }] },
        { indexes: [{ ...index, method: text }] },
        { indexes: [{ ...index, include: [text] }] },
        { indexes: [{ ...index, where: text }] },
        { indexes: [{ ...index, storage: { fillfactor: text } }] },
        { indexes: [{ ...index, tablespace: text }] },
      ].map((options) => [JSON.stringify(options), options]);
    }),
  )('refuses text that PostgreSQL would not get as it is: %s', (_, options) => {
    expect(() => decorate({ expression, ...options })).toThrow(InvalidDefinitionError);
  });

  it.each(['pg_catalog', 'pg_temp', 'pg_toast', 'information_schema'])(
    'refuses the schema %s',
    (schema) => {
      expect(() => decorate({ expression, schema })).toThrow(/`schema` to be a schema of the appl/);
    },
  );

  it.each(['* * * * *', '*/10 * * * * *', '0 0 * * 1-5', '@daily', '0 0 29 2 *'])(
    'accepts the schedule %s',
    (cron) => {
      expect(() => decorate({ expression, refresh: { cron } })).not.toThrow();
    },
  );

  it('accepts a long debounce alone', () => {
    expect(() => decorate({ expression, refresh: { on: ['a'], debounce: '1m' } })).not.toThrow();
  });

  it('accepts every option', () => {
    class Base {}
    MaterializedViewEntity({ name: 'every_option_base', expression })(Base);
    expect(() =>
      decorate({
        name: 'every_option',
        schema: 's',
        expression: () => undefined,
        refresh: { cron: '* * * * *', timeZone: 'Europe/Berlin' },
        withData: false,
        storage: { fillfactor: 90, autovacuum_enabled: false, toast_tuple_target: '256' },
        tablespace: 'fast',
        accessMethod: 'heap',
        comment: '',
        dependsOn: [Base, 'other', 's.other'],
        renamedFrom: 'old.name',
        version: 3,
        indexes: [
          {
            name: 'every_option_index',
            keys: [
              'a',
              { property: 'b', collation: 'C', operatorClass: 'public.ops', nulls: 'LAST' },
            ],
            unique: true,
            method: 'btree',
            include: ['c'],
            where: 'a > 0',
            storage: { fillfactor: 100 },
            tablespace: 'fast',
          },
        ],
      }),
    ).not.toThrow();
    // A view, unlike an index, may have an empty `storage`: its parameters are then reset.
    expect(() => decorate({ expression, storage: {} })).not.toThrow();
  });

  it('accepts a name that another class has: they may be in different data sources', () => {
    class First {}
    class Second {}
    MaterializedViewEntity({ name: 'taken', schema: 's', expression })(First);
    expect(() => {
      MaterializedViewEntity({ name: 'taken', schema: 's', expression })(Second);
    }).not.toThrow();
  });

  it('refuses to decorate a class twice', () => {
    class Twice {}
    MaterializedViewEntity({ expression })(Twice);
    expect(() => {
      MaterializedViewEntity({ expression })(Twice);
    }).toThrow(/Twice: expected the class to be decorated once/);
  });

  describe('primary columns', () => {
    const primaryOf = (...targets: unknown[]): string[] =>
      getMetadataArgsStorage()
        .filterColumns(targets as never)
        .filter((column) => column.options.primary)
        .map((column) => column.propertyName);

    it('are those of the first unique index', () => {
      @MaterializedViewEntity({ expression })
      @Index((view: { a: string; b: string }) => [view.a, view.b], { unique: true })
      @Index(['c'])
      class Keyed {
        @ViewColumn() a!: number;
        @ViewColumn() b!: number;
        @ViewColumn() c!: number;
      }
      expect(primaryOf(Keyed)).toEqual(['a', 'b']);
    });

    it('may come from an index on a property, or from the option', () => {
      @MaterializedViewEntity({ expression })
      class OnProperty {
        @Index({ unique: true }) @ViewColumn() a!: number;
      }
      @MaterializedViewEntity({
        expression,
        indexes: [
          { name: 'partial', keys: ['b'], unique: true, where: 'b > 0' },
          { name: 'expression', keys: [{ expression: 'lower(b)' }], unique: true },
          { name: 'whole', keys: ['a', { property: 'b', order: 'DESC' }], unique: true },
        ],
      })
      class InOption {
        @ViewColumn() a!: number;
        @ViewColumn() b!: string;
      }
      expect([primaryOf(OnProperty), primaryOf(InOption)]).toEqual([['a'], ['a', 'b']]);
    });

    it('are left alone if the class has its own', () => {
      @MaterializedViewEntity({ expression })
      @Index(['b'], { unique: true })
      class Own {
        @PrimaryColumn('int') a!: number;
        @ViewColumn() b!: number;
      }
      expect(primaryOf(Own)).toEqual(['a']);
    });

    it('do not spread to other subclasses of a shared base', () => {
      abstract class Base {
        @ViewColumn() id!: number;
      }
      @MaterializedViewEntity({ expression })
      @Index(['id'], { unique: true })
      class Keyed extends Base {}
      @MaterializedViewEntity({ expression })
      class Keyless extends Base {}
      expect([primaryOf(Keyed, Base), primaryOf(Keyless, Base)]).toEqual([['id'], []]);
    });
  });
});
