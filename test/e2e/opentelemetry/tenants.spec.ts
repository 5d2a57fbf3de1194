import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { TestingModule } from '@nestjs/testing';
import { ViewColumn } from 'typeorm';
import { MaterializedViewEntity, RefreshService } from '../../../lib/index.js';
import { instrument } from '../../../lib/opentelemetry/index.js';
import { Telemetry } from '../../support/telemetry.js';
import { bootWith } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';

const [ACME, ODD] = ['acme', 'Odd "tenant"'];
const NAME = 'daily "total"';

@MaterializedViewEntity({
  name: NAME,
  schemas: [ACME, ODD],
  expression: (_, { schema }) => `SELECT length('${schema}') AS id`,
})
class Total {
  @ViewColumn() id!: number;
}

describe('OpenTelemetry with one class in many schemas (features.md, row 6)', () => {
  const telemetry = new Telemetry();
  const { spans, meter, tracer } = telemetry;
  let database: TestDatabase;
  let app: TestingModule;

  beforeAll(async () => {
    database = await TestDatabase.create();
    await database.query(`CREATE SCHEMA acme; CREATE SCHEMA "Odd ""tenant"""`);
    app = await bootWith(database, { views: [Total] });
    const refreshes = app.get(RefreshService);
    instrument(refreshes, { meter, tracer });
    await refreshes.refreshMany([Total]);
    await refreshes.pause(Total, { schema: ODD });
    await refreshes.refresh(Total, { schema: ODD, onPaused: 'skip' });
  });

  afterAll(async () => {
    await telemetry.end();
    await app.close();
    await database.drop();
  });

  const attributesIn = (schema: string): object => ({
    'db.namespace': `${database.name}|${schema}`,
    'db.collection.name': NAME,
  });

  it('names the schema in the spans of each view', () => {
    const found = spans.getFinishedSpans().filter(({ name }) => name.endsWith(NAME));
    expect(found.map(({ name }) => name).sort()).toEqual([
      `materialized_view.refresh ${ODD}.${NAME}`,
      `materialized_view.refresh ${ACME}.${NAME}`,
    ]);
    for (const schema of [ACME, ODD]) {
      expect(found.find(({ name }) => name.includes(schema))?.attributes).toMatchObject(
        attributesIn(schema),
      );
    }
  });

  it('measures each view by itself', async () => {
    const points = await telemetry.measure();
    for (const name of ['refresh.duration', 'refresh.active', 'refresh.wait_time', 'age']) {
      const found = points(`materialized_view.${name}`);
      expect([name, found.length]).toEqual([name, 2]);
      for (const schema of [ACME, ODD]) {
        const attributes = expect.objectContaining(attributesIn(schema)) as unknown;
        expect(found).toContainEqual(expect.objectContaining({ attributes }));
      }
    }
    expect(points('materialized_view.refresh.skips')).toMatchObject([
      { attributes: attributesIn(ODD), value: 1 },
    ]);
    for (const [schema, isPaused] of [
      [ACME, 0],
      [ODD, 1],
    ] as const) {
      expect(points('materialized_view.status')).toContainEqual(
        expect.objectContaining({
          attributes: { ...attributesIn(schema), 'materialized_view.state': 'paused' },
          value: isPaused,
        }),
      );
    }
  });
});
