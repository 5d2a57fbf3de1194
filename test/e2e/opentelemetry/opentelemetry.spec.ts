import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { TestingModule } from '@nestjs/testing';
import { RefreshService, SchemaService } from '../../../lib/index.js';
import { instrument, type Instrumentation } from '../../../lib/opentelemetry/index.js';
import { Telemetry } from '../../support/telemetry.js';
import { bootWith } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';
import { viewClass } from '../../support/view-class.js';

const Total = viewClass({
  name: 'total',
  expression: `SELECT sum(amount) AS id FROM public.orders`,
});
const Ratio = viewClass({
  name: 'ratio',
  expression: `SELECT 1 / amount AS id FROM public.orders`,
  withData: false,
});

describe('instrumentation for OpenTelemetry', () => {
  const telemetry = new Telemetry();
  const { spans, meter, tracer } = telemetry;
  let database: TestDatabase;
  let app: TestingModule;
  let refreshes: RefreshService;
  let instrumentation: Instrumentation;
  let namespace: string;

  beforeAll(async () => {
    database = await TestDatabase.create();
    await database.query(`CREATE TABLE orders (amount int)`);
    await database.query(`INSERT INTO orders VALUES (0)`);
    app = await bootWith(database, { views: [Total, Ratio] });
    refreshes = app.get(RefreshService);
    const [row] = await database.query<{ name: string }>(`SELECT current_database() AS name`);
    namespace = `${row?.name}|public`;
    instrumentation = instrument(refreshes, { meter, tracer });
    await refreshes.refresh(Total);
    await refreshes.refresh(Ratio).catch(() => undefined);
    await refreshes.pause(Total);
    await refreshes.refresh(Total, { onPaused: 'skip' });
  });

  afterAll(async () => {
    await telemetry.end();
    await app.close();
    await database.drop();
  });

  it('creates a span for each attempt', () => {
    const [success, failure, ...others] = spans.getFinishedSpans();
    expect(others).toEqual([]);
    expect(success).toMatchObject({
      name: 'materialized_view.refresh public.total',
      status: { code: 0 },
      attributes: {
        'db.system.name': 'postgresql',
        'db.namespace': namespace,
        'db.collection.name': 'total',
        'db.operation.name': 'REFRESH MATERIALIZED VIEW',
        'materialized_view.refresh.mode': 'blocking',
        'materialized_view.refresh.trigger': 'demand',
        'materialized_view.refresh.attempt': 1,
        'materialized_view.refresh.outcome': 'success',
        'materialized_view.refresh.run_id': expect.any(String),
      },
    });
    expect(failure).toMatchObject({
      name: 'materialized_view.refresh public.ratio',
      status: { code: 2 },
      attributes: { 'materialized_view.refresh.outcome': 'failure', 'error.type': '22012' },
    });
  });

  it('measures refreshes and the status of each view', async () => {
    const points = await telemetry.measure();
    const total = { 'db.namespace': namespace, 'db.collection.name': 'total' };
    expect(points('materialized_view.refresh.duration')).toMatchObject([
      {
        attributes: { ...total, 'materialized_view.refresh.outcome': 'success' },
        value: { count: 1 },
      },
      { attributes: { 'materialized_view.refresh.outcome': 'failure', 'error.type': '22012' } },
    ]);
    expect(points('materialized_view.refresh.active')).toMatchObject([{ value: 0 }, { value: 0 }]);
    expect(points('materialized_view.refresh.skips')).toMatchObject([
      { attributes: { ...total, 'materialized_view.refresh.skip_reason': 'paused' }, value: 1 },
    ]);
    expect(points('materialized_view.age')).toMatchObject([{ attributes: total }]);
    expect(points('materialized_view.status')).toContainEqual(
      expect.objectContaining({
        attributes: { ...total, 'materialized_view.state': 'paused' },
        value: 1,
      }),
    );
    expect(points('materialized_view.readable')).toMatchObject([{ value: 1 }]);
  });

  it('creates a span for each graph, with those of its views as children, and for schema work', async () => {
    spans.reset();
    await refreshes.refreshAll().catch(() => undefined);
    const schema = app.get(SchemaService);
    await schema.diff();
    await schema.apply(await schema.plan());
    const found = new Map(spans.getFinishedSpans().map((span) => [span.name, span]));
    const graph = found.get('materialized_view.refresh_graph');
    expect(graph).toMatchObject({
      status: { code: 2 },
      attributes: {
        'materialized_view.refresh.trigger': 'demand',
        'materialized_view.refresh_graph.view_count': 2,
        'materialized_view.refresh_graph.failed_count': 1,
        'error.type': 'MV_VIEW_QUERY_FAILED',
      },
    });
    for (const view of ['total', 'ratio']) {
      const refresh = found.get(`materialized_view.refresh public.${view}`);
      expect(refresh?.parentSpanContext?.spanId).toBe(graph?.spanContext().spanId);
    }
    expect(found.get('materialized_view.diff')?.attributes).toEqual({
      'db.system.name': 'postgresql',
      'db.namespace': namespace.split('|')[0],
      'materialized_view.diff.difference_count': 0,
    });
    expect(found.get('materialized_view.sync')?.attributes).toMatchObject({
      'db.namespace': namespace.split('|')[0],
      'materialized_view.sync.unchanged_count': 2,
      'materialized_view.sync.failed_count': 0,
    });
    expect(found.size).toBe(5);
  });

  it('ends with stop', async () => {
    instrumentation.stop();
    spans.reset();
    await refreshes.refreshMany([Total]);
    await app.get(SchemaService).diff();
    expect(spans.getFinishedSpans()).toEqual([]);
  });
});
