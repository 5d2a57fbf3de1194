import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { Test, type TestingModule } from '@nestjs/testing';
import { RefreshService } from 'nestjs-materialized-views';
import {
  MaterializedViewsTestingModule,
  type RecordingRefreshService,
} from 'nestjs-materialized-views/testing';
import { AppModule } from '../app.module.js';
import { DailyRevenue } from '../daily-revenue.view.js';
import { RevenueController } from '../revenue.controller.js';

let app: TestingModule;

beforeEach(async () => {
  const builder = Test.createTestingModule({ imports: [AppModule] });
  MaterializedViewsTestingModule.withoutDatabase(builder, {
    rows: [
      [
        DailyRevenue,
        [
          { day: '2026-01-01', revenue: 12 },
          { day: '2026-01-02', revenue: 3 },
          { day: '2026-01-03', revenue: 20 },
        ],
      ],
    ],
  });
  app = await (await builder.compile()).init();
});

afterEach(async () => {
  await app.close();
});

it('lists the two best days', async () => {
  const best = await app.get(RevenueController).best();
  expect(best.map(({ day }) => day)).toEqual(['2026-01-03', '2026-01-01']);
});

it('refreshes with a limit', async () => {
  expect(await app.get(RevenueController).refresh()).toEqual({ outcome: 'refreshed' });
  const refreshes = app.get<RefreshService, RecordingRefreshService>(RefreshService);
  expect(refreshes.calls).toEqual([
    { method: 'refresh', views: [DailyRevenue], options: { timeout: '30s' } },
  ]);
});
