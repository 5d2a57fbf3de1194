import { describe, expect, it } from '@jest/globals';
import { buildStatements, previousBlueprint } from '../../../lib/schema/view-blueprint.js';
import { deployed } from '../../support/schema-fixtures.js';

describe('buildStatements', () => {
  it('gives a view its owner before anything of its query runs', () => {
    const view = deployed('sales', { owner: 'somebody' });
    const buildName = { schema: 'public', name: 'beside' };
    const blueprint = previousBlueprint(view, view.name, buildName, 'SELECT 1 AS id');
    const texts = buildStatements({ ...blueprint, grants: [] }).map(({ text }) => text);
    expect(texts.map((text) => text.split('\n')[0])).toEqual([
      'CREATE MATERIALIZED VIEW "public"."beside"',
      'ALTER MATERIALIZED VIEW "public"."beside" OWNER TO "somebody"',
      'REFRESH MATERIALIZED VIEW "public"."beside"',
      'ANALYZE "public"."beside"',
      expect.stringMatching(/^DO '/),
    ]);
    expect(texts[0]).toMatch(/WITH NO DATA$/);
  });
});
