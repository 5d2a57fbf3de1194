import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { EventEmitter2, EventEmitterModule } from '@nestjs/event-emitter';
import type { TestingModule } from '@nestjs/testing';
import { channel, tracingChannel } from 'node:diagnostics_channel';
import { ViewColumn } from 'typeorm';
import {
  MaterializedViewChannels,
  MaterializedViewEntity,
  MaterializedViewEvents,
  RefreshService,
  SchemaService,
  type SyncReport,
} from '../../../lib/index.js';
import { bootWith } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';

const [ACME, ODD] = ['acme', 'Odd "tenant"'];
const VIEWS = [`${ACME}.ratio`, `${ODD}.ratio`];

@MaterializedViewEntity({
  name: 'ratio',
  schemas: [ACME, ODD],
  expression: (_, { table }) => `SELECT 1 / amount AS id FROM ${table('orders')}`,
})
class Ratio {
  @ViewColumn() id!: number;
}

describe('events of one class in many schemas (features.md, row 6)', () => {
  let database: TestDatabase;
  let app: TestingModule;
  let refreshes: RefreshService;

  beforeAll(async () => {
    database = await TestDatabase.create();
    for (const schema of ['acme', '"Odd ""tenant"""']) {
      await database.query(`CREATE SCHEMA ${schema}; CREATE TABLE ${schema}.orders (amount int)`);
    }
    app = await bootWith(
      database,
      { views: [Ratio] },
      EventEmitterModule.forRoot({ wildcard: true }),
    );
    refreshes = app.get(RefreshService);
  });

  beforeEach(async () => {
    await database.query('TRUNCATE acme.orders; INSERT INTO acme.orders VALUES (1)');
  });

  afterAll(async () => {
    await app.close();
    await database.drop();
  });

  it('name the view with its schema', async () => {
    const heard: string[] = [];
    const emitter = app.get(EventEmitter2);
    const done = new Promise((resolve) =>
      emitter.on(MaterializedViewEvents.refreshSkipped, resolve),
    );
    emitter.onAny((event, { view }: { view?: string }) => heard.push(`${String(event)} ${view}`));
    await refreshes.refresh(Ratio, { schema: ODD });
    await database.query('UPDATE acme.orders SET amount = 0');
    await refreshes.refresh(Ratio, { schema: ACME }).catch(() => undefined);
    await database.query('UPDATE acme.orders SET amount = 1');
    await refreshes.refresh(Ratio, { schema: ACME });
    await refreshes.pause(Ratio, { schema: ODD });
    await refreshes.refresh(Ratio, { schema: ODD, onPaused: 'skip' });
    await refreshes.resume(Ratio, { schema: ODD });
    await done;
    const { refreshStarted, refreshSucceeded, refreshFailed, refreshSkipped, recovered } =
      MaterializedViewEvents;
    expect(heard.filter((each) => !each.startsWith('materialized_view.schema'))).toEqual([
      `${refreshStarted} ${ODD}.ratio`,
      `${refreshSucceeded} ${ODD}.ratio`,
      `${refreshStarted} acme.ratio`,
      `${refreshFailed} acme.ratio`,
      `${refreshStarted} acme.ratio`,
      `${refreshSucceeded} acme.ratio`,
      `${recovered} acme.ratio`,
      `${refreshSkipped} ${ODD}.ratio`,
    ]);
  });

  it('are in the diagnostics channels with the schema, too', async () => {
    const traced: string[] = [];
    const note = (message: unknown): void => {
      const { views, view } = message as { view?: string; views?: { view: string }[] };
      traced.push(view ?? views?.map((each) => each.view).join(', ') ?? '');
    };
    const diffs: unknown[] = [];
    const reports: SyncReport[] = [];
    const onSync = (message: unknown): void => void reports.push(message as SyncReport);
    const onDiff = { asyncEnd: (message: unknown) => void diffs.push(message) } as never;
    const { refresh, refreshGraph, skip, diff, sync } = MaterializedViewChannels;
    const onRefresh = { start: note } as never;
    tracingChannel(refresh).subscribe(onRefresh);
    tracingChannel(refreshGraph).subscribe(onRefresh);
    tracingChannel(diff).subscribe(onDiff);
    channel(skip).subscribe(note);
    channel(sync).subscribe(onSync);
    try {
      await refreshes.refreshMany([Ratio], { schema: ODD });
      await refreshes.pause(Ratio, { schema: ACME });
      await refreshes.refresh(Ratio, { schema: ACME, onPaused: 'skip' });
      await refreshes.resume(Ratio, { schema: ACME });
      expect(traced).toEqual([`${ODD}.ratio`, `${ODD}.ratio`, 'acme.ratio']);
      await refreshes.refreshMany([Ratio]);
      expect(traced[3]).toBe(VIEWS.join(', '));
      expect(traced.slice(4).sort()).toEqual([...VIEWS].sort());

      await database.query('DROP MATERIALIZED VIEW "Odd ""tenant""".ratio');
      const schema = app.get(SchemaService);
      await schema.diff();
      expect(diffs).toMatchObject([{ result: [{ view: `${ODD}.ratio` }] }]);
      await schema.apply(await schema.plan());
      expect(reports.at(-1)?.views).toMatchObject(
        expect.arrayContaining(
          [
            { view: 'acme.ratio', outcome: 'unchanged' },
            { view: `${ODD}.ratio`, outcome: 'created' },
          ].map((each) => expect.objectContaining(each)),
        ),
      );
    } finally {
      tracingChannel(refresh).unsubscribe(onRefresh);
      tracingChannel(refreshGraph).unsubscribe(onRefresh);
      tracingChannel(diff).unsubscribe(onDiff);
      channel(skip).unsubscribe(note);
      channel(sync).unsubscribe(onSync);
    }
  });
});
