import { describe, expect, it } from '@jest/globals';
import { type DataSource, DataSource as TypeOrmDataSource, EntitySchema } from 'typeorm';
import type { ViewRefreshOptions } from '../../../lib/definition/materialized-view-entity.options.js';
import type { ViewFreshness } from '../../../lib/definition/view-definition.js';
import { siteOf } from '../../../lib/definition/view-site.js';
import { resolveFreshness } from '../../../lib/definition/view-freshness.js';

class Order {}
class Far {}
class Unknown {}

const columns = { id: { type: Number, primary: true } } as const;

const FAR = new EntitySchema({
  target: Far,
  name: 'Far',
  tableName: 'far',
  schema: 'Odd "one"',
  columns,
});

async function dataSource(): Promise<DataSource> {
  const source = new TypeOrmDataSource({
    type: 'postgres',
    entities: [
      new EntitySchema({ target: Order, name: 'Order', tableName: 'orders', columns }),
      FAR,
    ],
  });
  await (source as unknown as { buildMetadatas(): Promise<void> }).buildMetadatas();
  return source;
}

describe('resolveFreshness', () => {
  const NONE = { readsSources: true, tables: [], skipsUnchanged: true };

  it.each<[string, ViewRefreshOptions | undefined, ViewFreshness | undefined]>([
    ['no options', undefined, undefined],
    ['a schedule alone', { cron: '* * * * *' }, undefined],
    ['a schedule that skips nothing', { cron: '* * * * *', skipUnchanged: false }, undefined],
    ['skipUnchanged', { skipUnchanged: true }, NONE],
    ['maxStaleness', { maxStaleness: '5m' }, { ...NONE, maxStalenessMs: 300_000 }],
    [
      'maxStaleness beside ticks that are never skipped',
      { cron: '* * * * *', maxStaleness: '5m', skipUnchanged: false },
      { ...NONE, skipsUnchanged: false, maxStalenessMs: 300_000 },
    ],
    [
      'a schema in the place of a class',
      { on: [FAR], debounce: 0 },
      {
        readsSources: false,
        tables: [{ schema: 'Odd "one"', name: 'far' }],
        skipsUnchanged: false,
        onWrite: { debounceMs: 0, maxWaitMs: 30_000 },
      },
    ],
    [
      'sources, with defaults',
      { on: 'sources' },
      {
        readsSources: true,
        tables: [],
        skipsUnchanged: false,
        onWrite: { debounceMs: 1_000, maxWaitMs: 30_000 },
      },
    ],
    [
      'a debounce longer than writes wait by default',
      { on: 'sources', debounce: '1m' },
      {
        readsSources: true,
        tables: [],
        skipsUnchanged: false,
        onWrite: { debounceMs: 60_000, maxWaitMs: 60_000 },
      },
    ],
    [
      'tables and entities',
      { on: [Order, Far, 'rates', 'other.rates'], debounce: 0, maxWait: '1m' },
      {
        readsSources: false,
        tables: [
          { schema: 'current', name: 'orders' },
          { schema: 'Odd "one"', name: 'far' },
          { schema: 'current', name: 'rates' },
          { schema: 'other', name: 'rates' },
        ],
        skipsUnchanged: false,
        onWrite: { debounceMs: 0, maxWaitMs: 60_000 },
      },
    ],
  ])('resolves %s', async (_, refresh, expected) => {
    const site = siteOf(await dataSource(), 'current', null);
    expect(resolveFreshness('Sample', refresh, site)).toEqual(expected);
  });

  it.each([
    ['a class that is no entity of the data source', Unknown, /data source, got Unknown, which/],
    [
      'a schema that is none',
      new EntitySchema({ name: 'Missing', columns }),
      /data source, got Missing, which/,
    ],
    [
      'a function that gives one',
      (
        () => () =>
          Order
      )(),
      /data source, got \[Function \(anonymous\)\], which/,
    ],
  ])('refuses %s', async (_, table, got) => {
    const site = siteOf(await dataSource(), 'current', null);
    const resolve = (): unknown => resolveFreshness('Sample', { on: [table as never] }, site);
    expect(resolve).toThrow(/Sample: expected `refresh\.on` to name entities of the view's/);
    expect(resolve).toThrow(got);
  });
});
