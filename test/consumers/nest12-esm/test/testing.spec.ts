import { describe, expect, it } from '@jest/globals';
import { Test } from '@nestjs/testing';
import { RefreshService } from 'nestjs-materialized-views';
import {
  MaterializedViewsTestingModule,
  type RecordingRefreshService,
} from 'nestjs-materialized-views/testing';
import { AppModule } from '../src/app.module.js';
import { DailyRevenue } from '../src/daily-revenue.view.js';
import { RevenueService } from '../src/revenue.service.js';

describe('the same application without a database', () => {
  it('reads the rows given by the test, and records refreshes', async () => {
    const builder = Test.createTestingModule({
      imports: [AppModule.forDatabase('postgres://127.0.0.1:1/nobody')],
    });
    MaterializedViewsTestingModule.withoutDatabase(builder, {
      rows: [[DailyRevenue, [{ day: 'mon', revenue: '3' }]]],
    });
    const app = await (await builder.compile()).init();
    try {
      expect(await app.get(RevenueService).of('mon')).toMatchObject({ revenue: '3' });
      expect(await app.get(RevenueService).refresh()).toMatchObject({ outcome: 'refreshed' });
      const { calls } = app.get<RefreshService, RecordingRefreshService>(RefreshService);
      expect(calls).toMatchObject([{ method: 'refresh', views: [DailyRevenue] }]);
    } finally {
      await app.close();
    }
  });
});
