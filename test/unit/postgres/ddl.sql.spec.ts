import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  analyze,
  createIndex,
  createMaterializedView,
  createSchema,
} from '../../../lib/postgres/ddl.sql.js';
import { quoteIdentifier } from '../../../lib/postgres/identifier.js';
import { refreshMaterializedView } from '../../../lib/postgres/refresh.sql.js';

const HOSTILE = `a"; DROP TABLE x; --'$$\\`;
const QUOTED = `"a""; DROP TABLE x; --'$$\\"`;
const view = { schema: HOSTILE, name: HOSTILE };

describe('statements with names in them', () => {
  it.each([
    ['createSchema', createSchema(HOSTILE)],
    ['createMaterializedView', createMaterializedView(view, 'SELECT 1')],
    ['analyze', analyze(view)],
    ['refreshMaterializedView', refreshMaterializedView(view, true)],
    [
      'createIndex',
      createIndex(view, {
        name: HOSTILE,
        unique: true,
        method: HOSTILE,
        keys: [
          {
            column: HOSTILE,
            collation: HOSTILE,
            operatorClass: HOSTILE,
            order: 'DESC',
            nulls: 'LAST',
          },
        ],
        include: [HOSTILE],
        storage: { [HOSTILE]: HOSTILE },
        tablespace: HOSTILE,
      }),
    ],
  ])('%s quotes every one of them', (_, { text }) => {
    const rest = text.replaceAll(QUOTED, '').replaceAll(/E?'a"; DROP TABLE x; --''\$\$\\\\'/g, '');
    expect(rest).not.toContain('DROP');
    expect(text).toContain(QUOTED);
  });

  it('quoting can be undone for any name', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (name) => {
        const quoted = quoteIdentifier(name);
        expect(quoted.slice(1, -1).replaceAll('""', '"')).toBe(name);
        expect(quoted.slice(1, -1).replaceAll('""', '')).not.toContain('"');
      }),
    );
  });
});
