import { afterEach, describe, expect, it } from '@jest/globals';
import { Controller, Get, Inject, Module, Post } from '@nestjs/common';
import { ScheduleModule } from '@nestjs/schedule';
import { Test, type TestingModule } from '@nestjs/testing';
import { getRepositoryToken, TypeOrmModule } from '@nestjs/typeorm';
import { In, MoreThan, Repository } from 'typeorm';
import { MaterializedViewsModule, RefreshService } from '../../../lib/index.js';
import {
  MaterializedViewsTestingModule,
  RecordingRefreshService,
} from '../../../lib/testing/index.js';
import { viewClass, YEARLY } from '../../support/view-class.js';

const Revenue = viewClass({
  schema: 'Analytics eu',
  name: 'daily "Revenue"',
  expression: 'SELECT day, revenue FROM orders',
  columns: ['day', 'revenue'],
  key: ['day'],
  refresh: { cron: YEARLY },
});
const Other = viewClass({ name: 'other', expression: 'SELECT 1 AS id' });
const NAME = 'Analytics eu.daily "Revenue"';

interface RevenueRow {
  day: string;
  revenue: number;
}

const ROWS: RevenueRow[] = [
  { day: 'mon', revenue: 3 },
  { day: 'tue', revenue: 1 },
  { day: 'wed', revenue: 2 },
];

@Controller('revenue')
class RevenueController {
  constructor(
    @Inject(RefreshService) private readonly refreshes: RefreshService,
    @Inject(getRepositoryToken(Revenue as never)) private readonly revenue: Repository<RevenueRow>,
  ) {}

  @Get()
  list(): Promise<RevenueRow[]> {
    return this.revenue.find({ order: { revenue: 'DESC' }, take: 2 });
  }

  @Post('refresh')
  refresh(): Promise<unknown> {
    return this.refreshes.refresh(Revenue, { timeout: '30s' });
  }
}

@Module({
  imports: [
    // Nothing listens on this port.
    TypeOrmModule.forRoot({
      type: 'postgres',
      host: '127.0.0.1',
      port: 1,
      entities: [Revenue, Other] as never[],
      retryAttempts: 0,
    }),
    ScheduleModule.forRoot(),
    MaterializedViewsModule.forRoot({ views: [Revenue, Other] }),
  ],
  controllers: [RevenueController],
})
class AppModule {}

/** The arguments of the methods that do not take one view. */
const CALLED_WITH: Record<string, unknown[]> = {
  after: [() => Promise.resolve(1), [Revenue]],
  dataSources: [],
  historyAll: [],
  recentRuns: [],
  refreshAll: [],
  refreshMany: [[Revenue]],
  running: [],
  statusAll: [],
};

describe('the testing helpers in an application without a database (features.md, row 11)', () => {
  let app: TestingModule | undefined;

  afterEach(async () => {
    await app?.close();
    app = undefined;
  });

  async function wholeApp(): Promise<TestingModule> {
    const builder = Test.createTestingModule({ imports: [AppModule] });
    MaterializedViewsTestingModule.withoutDatabase(builder, { rows: [[Revenue, ROWS]] });
    app = await (await builder.compile()).init();
    return app;
  }

  it('compiles, starts and stops; calls are recorded, and repositories have the given rows', async () => {
    const module = await wholeApp();
    const controller = module.get(RevenueController);
    expect(await controller.list()).toEqual([ROWS[0], ROWS[2]]);
    expect(await controller.refresh()).toMatchObject({ outcome: 'refreshed', view: NAME });
    const refreshes = module.get<RefreshService, RecordingRefreshService>(RefreshService);
    expect(refreshes.calls).toEqual([
      { method: 'refresh', views: [Revenue], options: { timeout: '30s' } },
    ]);
  });

  it('says which view was read without rows', async () => {
    const module = await wholeApp();
    const other = module.get<Repository<object>>(getRepositoryToken(Other as never));
    await expect((async () => other.find())()).rejects.toThrow(
      /runs without a database, and View of other was read or written/,
    );
  });

  it('stands in for the module in a test of one controller', async () => {
    app = await Test.createTestingModule({
      imports: [MaterializedViewsTestingModule.forRoot({ rows: [[Revenue, ROWS]] })],
      controllers: [RevenueController],
    }).compile();
    await app.get(RevenueController).refresh();
    expect(app.get(RecordingRefreshService).calls).toHaveLength(1);
    expect(app.get(RefreshService)).toBe(app.get(RecordingRefreshService));
  });

  it('answers every call of RefreshService', async () => {
    const refreshes = new RecordingRefreshService();
    const methods = Object.getOwnPropertyNames(RefreshService.prototype).filter(
      (name) => name !== 'constructor',
    );
    for (const method of methods) {
      const given = CALLED_WITH[method] ?? [Revenue];
      await (refreshes as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>)[
        method
      ]?.(...given);
    }
    expect(refreshes.calls.map(({ method }) => method).sort()).toEqual(methods.sort());
  });

  it.each(['refresh', 'cancel', 'pause', 'resume', 'history', 'status', 'drift'] as const)(
    '%s accepts the schema of one of many, like RefreshService',
    async (method) => {
      const refreshes = new RecordingRefreshService();
      await refreshes[method](Revenue, { schema: 'tenant_a' });
      expect(refreshes.calls).toMatchObject([{ method, options: { schema: 'tenant_a' } }]);
    },
  );

  it('finds rows by values, in order, and refuses unknown conditions', async () => {
    const module = await wholeApp();
    const revenue = module.get<Repository<RevenueRow>>(getRepositoryToken(Revenue as never));
    expect(await revenue.findBy({ day: In(['mon', 'wed']) })).toEqual([ROWS[0], ROWS[2]]);
    expect(await revenue.findOneBy({ day: 'tue', revenue: 1 })).toEqual(ROWS[1]);
    expect(await revenue.findOneBy({ day: 'sun' })).toBeNull();
    expect(
      await revenue.findAndCount({
        where: [{ day: 'mon' }, { revenue: 1 }],
        skip: 1,
        order: { day: 'ASC' },
      }),
    ).toEqual([[ROWS[1]], 2]);
    expect(await revenue.existsBy({ day: 'mon' })).toBe(true);
    await expect((async () => revenue.findBy({ revenue: MoreThan(1) }))()).rejects.toThrow(
      /moreThan/,
    );
    await expect((async () => revenue.find({ relations: {} }))()).rejects.toThrow(/relations/);
  });
});
