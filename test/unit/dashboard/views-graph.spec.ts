import { describe, expect, it } from '@jest/globals';
import { viewsGraph } from '../../../lib/dashboard/views-graph.js';
import type { CatalogObject, InspectedView } from '../../../lib/introspection/inspected-view.js';

type Kind = CatalogObject['kind'];

const object = (name: string, kind: Kind): CatalogObject => ({ schema: 'public', name, kind });

/** A view that reads one thing. */
function inspected(name: string, kind: Kind, isManaged: boolean, below: CatalogObject) {
  const beside = { dependencies: [below], dependents: [] };
  const all = { allDependencies: [below], allDependents: [] };
  return { ...object(name, kind), dataSource: 'default', isManaged, ...beside, ...all };
}

describe('the graph of the dashboard', () => {
  it('links only declared materialized views', () => {
    const table = object('orders', 'table');
    const catalog = [
      inspected('total', 'materialized-view', true, table),
      inspected('plain', 'view', true, object('total', 'materialized-view')),
      inspected('hand_made', 'materialized-view', false, table),
      inspected('above', 'materialized-view', true, object('hand_made', 'materialized-view')),
    ] as unknown as InspectedView[];
    const pages = ['total', 'above'].map((name) => ({
      dataSource: 'default',
      view: `public.${name}`,
    }));
    const { nodes, edges } = viewsGraph(catalog, pages);
    expect(nodes.map(({ label, hasPage }) => [label, hasPage])).toEqual([
      ['public.total', true],
      ['public.orders', false],
      ['public.plain', false],
      ['public.above', true],
      ['public.hand_made', false],
    ]);
    expect(edges).toHaveLength(4);
  });
});
