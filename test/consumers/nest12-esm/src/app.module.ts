import { type DynamicModule, Module } from '@nestjs/common';
import { ScheduleModule } from '@nestjs/schedule';
import { TypeOrmModule } from '@nestjs/typeorm';
import { MaterializedViewsModule } from 'nestjs-materialized-views';
import { DailyRevenue } from './daily-revenue.view.js';
import { RevenueService } from './revenue.service.js';

@Module({})
export class AppModule {
  static forDatabase(url: string): DynamicModule {
    return {
      module: AppModule,
      imports: [
        TypeOrmModule.forRoot({ type: 'postgres', url, autoLoadEntities: true, retryAttempts: 0 }),
        ScheduleModule.forRoot(),
        MaterializedViewsModule.forRoot({ views: [DailyRevenue] }),
      ],
      providers: [RevenueService],
    };
  }
}
