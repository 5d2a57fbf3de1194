import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { analyze, createIndex, createSchema } from '../../../lib/postgres/ddl.sql.js';
import { quoteIdentifier } from '../../../lib/postgres/identifier.js';
import { grantPrivilege } from '../../../lib/postgres/privilege.sql.js';
import { createDummy, createShape, createStandIn } from '../../../lib/postgres/rehearsal.sql.js';
import { refreshMaterializedView } from '../../../lib/postgres/refresh.sql.js';
import {
  clusterOn,
  commentOnIndex,
  commentOnView,
  createIndexFromBody,
  createView,
  dropIndex,
  dropView,
  moveView,
  renameIndex,
  renameStatistics,
  renameView,
  resetStorage,
  setDefaultTablespace,
  setOwner,
  setStorage,
  setTablespace,
} from '../../../lib/postgres/view-ddl.sql.js';
import { MATERIALIZED, PLAIN } from '../../../lib/postgres/view-kind.js';
import { grant } from '../../support/schema-fixtures.js';

const HOSTILE = `a"; DROP TABLE x; --'$$\\`;
const QUOTED = `"a""; DROP TABLE x; --'$$\\"`;
/** The same as a literal by pg, which doubles the backslash. */
const LITERAL = ` E'a"; DROP TABLE x; --''$$\\\\'`;
const view = { schema: HOSTILE, name: HOSTILE };

describe('statements with names in them', () => {
  it.each([
    ['createSchema', createSchema(HOSTILE)],
    [
      'createView',
      createView({
        name: view,
        kind: MATERIALIZED,
        query: { text: 'SELECT 1', isDeclared: true },
        withData: true,
        accessMethod: HOSTILE,
        storage: [`${HOSTILE}=${HOSTILE}`],
        toastStorage: [`${HOSTILE}=${HOSTILE}`],
        tablespace: HOSTILE,
      }),
    ],
    ['dropView', dropView(MATERIALIZED, view)],
    ['renameView', renameView(MATERIALIZED, view, HOSTILE)],
    ['moveView', moveView(MATERIALIZED, view, HOSTILE)],
    ['setOwner', setOwner(PLAIN, view, HOSTILE)],
    ['setStorage', setStorage(PLAIN, view, [`${HOSTILE}=${HOSTILE}`])],
    ['resetStorage', resetStorage(PLAIN, view, [HOSTILE])],
    ['setTablespace', setTablespace(view, HOSTILE)],
    ['clusterOn', clusterOn(view, HOSTILE)],
    ['commentOnView', commentOnView(MATERIALIZED, view, HOSTILE)],
    ['commentOnIndex', commentOnIndex(view, HOSTILE)],
    ['grantPrivilege', grantPrivilege(view, grant(HOSTILE, { is_grantable: true }), HOSTILE)],
    [
      'createIndexFromBody',
      createIndexFromBody(view, { name: HOSTILE, isUnique: true, body: 'btree (id)' }),
    ],
    ['dropIndex', dropIndex(view)],
    ['renameIndex', renameIndex(view, HOSTILE)],
    ['setDefaultTablespace', setDefaultTablespace(HOSTILE)],
    ['renameStatistics', renameStatistics(view, HOSTILE)],
    ['createStandIn', createStandIn(view, { text: 'SELECT 1', isDeclared: true })],
    ['createDummy', createDummy(view, [HOSTILE])],
    ['createShape', createShape(view)],
    ['analyze', analyze(view)],
    ['refreshMaterializedView', refreshMaterializedView(view, { concurrently: true })],
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
    expect(rest).not.toContain('DROP TABLE');
    expect(text.includes(QUOTED) || text.includes(LITERAL)).toBe(true);
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
