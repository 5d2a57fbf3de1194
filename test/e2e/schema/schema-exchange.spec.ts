import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { TestingModule } from '@nestjs/testing';
import { SchemaService } from '../../../lib/index.js';
import { bootWith } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';
import { viewClass } from '../../support/view-class.js';

const QUOTED = `"Odd schema"."daily ""sum"""`;

describe('reading the schema while a view is swapped', () => {
  let database: TestDatabase;
  let app: TestingModule;

  beforeAll(async () => {
    database = await TestDatabase.create();
    const view = viewClass({
      schema: 'Odd schema',
      name: 'daily "sum"',
      expression: 'SELECT 1 AS id',
    });
    app = await bootWith(database, { views: [view] });
  });

  afterAll(async () => {
    await app.close();
    await database.drop();
  });

  it('happens again if the view to be read was dropped', async () => {
    const swap = await database.session();
    await swap.query(`
      BEGIN;
      DROP MATERIALIZED VIEW ${QUOTED};
      CREATE MATERIALIZED VIEW ${QUOTED} AS SELECT 1 AS id`);
    const planned = app.get(SchemaService).plan();
    await database.until(
      `SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database
       WHERE d.datname = current_database() AND l.locktype = 'relation' AND NOT l.granted`,
    );
    await swap.query('COMMIT');
    await swap.end();
    expect((await planned).steps).toEqual([]);
  });
});
