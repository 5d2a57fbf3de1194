import { Module } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import { ScheduleModule } from '@nestjs/schedule';
import { TypeOrmModule } from '@nestjs/typeorm';
import { MaterializedViewsModule } from 'nestjs-materialized-views';
import { MaterializedViewsDashboardModule } from 'nestjs-materialized-views/dashboard';
import { AdoptionService } from './http/adoption.service.js';
import { CompatController } from './http/compat.controller.js';
import { DASHBOARD_PATH } from './http/endpoints.constants.js';
import { IndexController } from './http/index.controller.js';
import { MaterializedViewErrorFilter } from './http/materialized-view-error.filter.js';
import { RefreshController } from './http/refresh.controller.js';
import { Browser } from './tables/browser.entity.js';
import { Feature } from './tables/feature.entity.js';
import { Release } from './tables/release.entity.js';
import { SupportStatement } from './tables/support-statement.entity.js';
import { AdoptionYear } from './views/adoption-year.view.js';
import { BrowserYear } from './views/browser-year.view.js';
import { FeatureLag } from './views/feature-lag.view.js';
import { LiveQueryService } from './views/live-query.service.js';

@Module({
  imports: [
    TypeOrmModule.forRootAsync({
      useFactory: () => ({
        type: 'postgres',
        url: process.env.DATABASE_URL,
        autoLoadEntities: true,
        synchronize: true,
      }),
    }),
    TypeOrmModule.forFeature([Browser, Release, Feature, SupportStatement]),
    ScheduleModule.forRoot(),
    MaterializedViewsModule.forRoot({ views: [BrowserYear, FeatureLag, AdoptionYear] }),
    // No authentication, because the sample listens on localhost only. In your application, set `guards` or `basicAuth`.
    MaterializedViewsDashboardModule.forRoot({
      path: DASHBOARD_PATH,
      environment: 'demo',
      allowUnauthenticated: true,
    }),
  ],
  controllers: [IndexController, CompatController, RefreshController],
  providers: [
    AdoptionService,
    LiveQueryService,
    { provide: APP_FILTER, useClass: MaterializedViewErrorFilter },
  ],
})
export class AppModule {}
