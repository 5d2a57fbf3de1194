import { describe, expect, it } from '@jest/globals';
import { getMetadataArgsStorage } from 'typeorm';
import {
  defineMaterializedView,
  type DefineMaterializedViewOptions,
  getViewOptions,
  InvalidDefinitionError,
  MaterializedViewsModule,
} from '../../../lib/index.js';

const expression = 'SELECT 1 AS id, 2 AS other';

const columnsOf = (view: object): [string, object][] =>
  getMetadataArgsStorage()
    .filterColumns(view as never)
    .map(({ propertyName, options }) => [propertyName, options]);

describe('defineMaterializedView', () => {
  it('creates a class like the decorator', () => {
    const options = { name: 'defined_one', schema: 'two', expression, version: 3 };
    const view = defineMaterializedView({ ...options, columns: ['id', 'other'] });
    expect(getMetadataArgsStorage().filterTables(view)).toEqual([
      expect.objectContaining({ type: 'view', name: 'defined_one', schema: 'two', expression }),
    ]);
    expect(getViewOptions(view)).toEqual(options);
    expect(columnsOf(view)).toEqual([
      ['id', {}],
      ['other', {}],
    ]);
    expect(() => MaterializedViewsModule.forFeature([view])).not.toThrow();
  });

  it('accepts columns with options', () => {
    const transformer = { from: Number, to: String };
    const view = defineMaterializedView<{ id: string; total: number }>({
      name: 'defined_columns',
      expression,
      columns: {
        id: { primary: true, type: 'text' },
        total: { name: 'total_sum', type: 'bigint', transformer },
      },
    });
    expect(columnsOf(view)).toEqual([
      ['id', { primary: true, type: 'text' }],
      ['total', { name: 'total_sum', type: 'bigint', transformer }],
    ]);
  });

  it('requires a column for each property of the row', () => {
    interface Row {
      id: string;
      total: number;
    }
    const common = { name: 'defined_typed', expression };
    defineMaterializedView<Row>({
      ...common,
      // @ts-expect-error total is not there
      columns: { id: {} },
    });
    defineMaterializedView<Row>({
      ...common,
      // @ts-expect-error other is not in the row
      columns: ['id', 'other'],
    });
    const view: new () => Row = defineMaterializedView<Row>({ ...common, columns: ['id'] });
    expect(view.name).toBe('DefinedTyped');
  });

  it('makes the columns of a unique index primary, unless others are declared primary', () => {
    const indexes = [{ name: 'defined_key', keys: ['id'], unique: true }];
    const primaryOf = (view: object): string[] =>
      getMetadataArgsStorage()
        .filterColumns(view as never)
        .filter((column) => column.options.primary)
        .map((column) => column.propertyName);
    const keyed = defineMaterializedView({
      name: 'defined_keyed',
      expression,
      columns: ['id', 'other'],
      indexes,
    });
    const own = defineMaterializedView({
      name: 'defined_own',
      expression,
      columns: { id: {}, other: { primary: true } },
      indexes,
    });
    expect([primaryOf(keyed), primaryOf(own)]).toEqual([['id'], ['other']]);
  });

  it.each([
    ['daily_revenue', 'DailyRevenue'],
    ['Daily revenue-2', 'DailyRevenue2'],
    ['überSicht', 'ÜberSicht'],
    ['***', '***'],
  ])('names the class of %s %s', (name, className) => {
    expect(defineMaterializedView({ name, expression, columns: ['id'] }).name).toBe(className);
  });

  it('can be a dependency of another', () => {
    const base = defineMaterializedView({ name: 'defined_base', expression, columns: ['id'] });
    expect(() =>
      defineMaterializedView({
        name: 'defined_top',
        expression,
        columns: ['id'],
        dependsOn: [base],
      }),
    ).not.toThrow();
  });

  it.each<[string, unknown, RegExp]>([
    ['nothing', undefined, /^defineMaterializedView: expected `name`/],
    ['no name', { expression, columns: ['id'] }, /`name` to be a name, got undefined/],
    ['a name that is no text', { name: 5, expression, columns: ['id'] }, /`name` .*got 5/],
    ['a dot in the name', { name: 'a.b', expression, columns: ['id'] }, /`name` .*without a dot/],
    ['no columns', { name: 'a', expression }, /`columns` to be an object of columns, or an array/],
    ['an empty list', { name: 'a', expression, columns: [] }, /`columns` to be at least one/],
    ['an empty object', { name: 'a', expression, columns: {} }, /`columns` to be at least one/],
    ['a column twice', { name: 'a', expression, columns: ['b', 'b'] }, /different from each other/],
    ['an empty column', { name: 'a', expression, columns: ['b', ''] }, /`columns\[1\]`/],
    ['a missing column', { name: 'a', expression, columns: [undefined] }, /`columns\[0\]`/],
    ['a column that is a type', { name: 'a', expression, columns: { b: 'text' } }, /`columns\.b`/],
    ['an unknown column option', column({ length: 5 }), /`columns\.b\.length` to be absent/],
    ['a long column name', column({ name: 'x'.repeat(64) }), /`columns\.b\.name` .*64 bytes/],
    ['primary that is text', column({ primary: 'yes' }), /`columns\.b\.primary` to be true or/],
    ['a type that is a number', column({ type: 5 }), /`columns\.b\.type` .*got 5/],
    ['a transformer that is a function', column({ transformer: Number }), /`columns\.b\.transf/],
    ['no expression', { name: 'a', columns: ['b'] }, /of A: expected `expression`/],
    [
      'an unknown option',
      { name: 'a', expression, columns: ['b'], tpye: 1 },
      /`tpye` to be absent/,
    ],
  ])('refuses %s', (_, options, message) => {
    const define = (): unknown => defineMaterializedView(options as DefineMaterializedViewOptions);
    expect(define).toThrow(InvalidDefinitionError);
    expect(define).toThrow(message);
  });
});

function column(options: object): unknown {
  return { name: 'a', expression, columns: { b: options } };
}
