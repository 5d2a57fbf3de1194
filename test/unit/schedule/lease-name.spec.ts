import { expect, it } from '@jest/globals';
import type { DataSourceContext } from '../../../lib/definition/data-source.context.js';
import type { ViewDefinition } from '../../../lib/definition/view-definition.js';
import { LeaseName } from '../../../lib/schedule/lease-name.js';
import { declared } from '../../support/schema-fixtures.js';

interface Release {
  application?: string;
  options?: object;
  views?: ViewDefinition[];
  scheduled?: ViewDefinition[];
}

const A = declared('a');
const B = declared('b');

function nameOf({
  application = 'shop',
  options = { poolSize: 2 },
  views = [A, B],
  scheduled = [A],
}: Release = {}): string {
  const context = { application, options, views: { materialized: () => views } };
  return new LeaseName(context as unknown as DataSourceContext).of(scheduled);
}

it('gives processes that do the same work the same lease', () => {
  expect(nameOf({ views: [B, A] })).toBe(nameOf());
  expect(nameOf({ scheduled: [B, A] })).toBe(nameOf({ scheduled: [A, B] }));
});

it.each<[string, Release]>([
  ['another application', { application: 'office' }],
  ['other options', { options: { poolSize: 3 } }],
  ['fewer views', { views: [A] }],
  ['another query', { views: [A, declared('b', { query: 'SELECT 1' })] }],
  ['other dependencies', { views: [A, declared('b', { dependsOn: [A.name] })] }],
  ['another freshness', { views: [A, declared('b', { freshness: { tables: [] } as never })] }],
  ['a schedule', { views: [A, declared('b', { schedule: { cron: '* * * * *' } as never })] }],
  ['more scheduled views', { scheduled: [A, B] }],
])('gives %s a lease of its own', (_, release) => {
  expect(nameOf(release)).not.toBe(nameOf());
});

it('follows a schedule that is stopped while the process runs', () => {
  const context = { application: 'shop', options: {}, views: { materialized: () => [A, B] } };
  const name = new LeaseName(context as unknown as DataSourceContext);
  const all = name.of([A, B]);
  expect(name.of([A])).not.toBe(all);
  expect(name.of([A, B])).toBe(all);
});
