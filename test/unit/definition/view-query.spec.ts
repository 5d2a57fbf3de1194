import { describe, expect, it } from '@jest/globals';
import type { DataSource, ObjectLiteral, SelectQueryBuilder } from 'typeorm';
import { resolveViewQuery } from '../../../lib/definition/view-query.js';
import { siteOf } from '../../../lib/definition/view-site.js';
import { InvalidDefinitionError } from '../../../lib/index.js';

const SITE = siteOf({} as DataSource, 'public', 'public');

/** A query builder without a data source. */
function builder(
  query: string,
  parameters: Record<string, unknown> = {},
): SelectQueryBuilder<ObjectLiteral> {
  return {
    getQuery: () => query,
    getParameters: () => parameters,
  } as unknown as SelectQueryBuilder<ObjectLiteral>;
}

const resolve = (query: string, parameters?: Record<string, unknown>): string =>
  resolveViewQuery('Sample', () => builder(query, parameters), SITE);

describe('resolveViewQuery', () => {
  it('keeps SQL as it is, except closing semicolons', () => {
    expect(resolveViewQuery('Sample', "SELECT ':a' ; ;\n", SITE)).toBe("SELECT ':a'");
  });

  it.each<[string, Record<string, unknown>, string]>([
    ['a = :a', { a: 5 }, "a = '5'"],
    ['a = :a', { a: "it's" }, "a = 'it''s'"],
    ['a = :a', { a: null }, 'a = NULL'],
    ['a IN (:...a)', { a: [1n, true] }, "a IN ('1', 'true')"],
    ['a = :a.b', { 'a.b': 1 }, "a = '1'"],
    ['a = :b', { a: 5 }, 'a = :b'],
    ['a = :a', { a: ':b', b: 1 }, "a = ':b'"],
  ])('writes %s with %p as a literal', (condition, parameters, written) => {
    expect(resolve(`SELECT 1 WHERE ${condition}`, parameters)).toBe(`SELECT 1 WHERE ${written}`);
  });

  it('leaves a cast alone if its type has the name of a parameter', () => {
    expect(resolve('SELECT day::text, :text::text', { text: 'a' })).toBe(
      "SELECT day::text, 'a'::text",
    );
  });

  it('does not take properties of every object for parameters', () => {
    expect(resolve('SELECT :constructor, :toString')).toBe('SELECT :constructor, :toString');
  });

  it('refuses to write an empty list', () => {
    expect(() => resolve('SELECT 1 WHERE a IN (:...ids)', { ids: [] })).toThrow(
      InvalidDefinitionError,
    );
    expect(() => resolve('SELECT 1 WHERE a IN (:...ids)', { ids: [] })).toThrow(
      /Sample: expected the parameter `ids` .* got an empty array/,
    );
  });

  it('accepts SQL returned by a function, with its own schema', () => {
    const site = siteOf({} as DataSource, 'Odd "one"', null);
    const query = resolveViewQuery('Sample', (_, { table }) => `TABLE ${table('a"b')};`, site);
    expect(query).toBe('TABLE "Odd ""one"""."a""b"');
  });

  it.each([
    [undefined, 'undefined'],
    [' ', 'empty text'],
    [5, 'number'],
  ])('refuses %p as a query', (given, called) => {
    expect(() => resolveViewQuery('Sample', (() => given) as never, SITE)).toThrow(
      new RegExp(
        `\\\`expression\\\` to return a SELECT statement or a query builder, got ${called}`,
      ),
    );
  });
});
