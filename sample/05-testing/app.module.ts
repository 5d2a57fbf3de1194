import { Module } from '@nestjs/common';
import { ScheduleModule } from '@nestjs/schedule';
import { TypeOrmModule } from '@nestjs/typeorm';
import { MaterializedViewsModule } from 'nestjs-materialized-views';
import { DailyRevenue } from './daily-revenue.view.js';
import { Order } from './order.entity.js';
import { RevenueController } from './revenue.controller.js';

@Module({
  imports: [
    TypeOrmModule.forRootAsync({
      // Asked when the application starts, so that a test can say which database before.
      useFactory: () => ({
        type: 'postgres',
        url: process.env.DATABASE_URL,
        entities: [Order, DailyRevenue],
        // In an application of yours a migration makes the table.
        synchronize: true,
      }),
    }),
    ScheduleModule.forRoot(),
    MaterializedViewsModule.forRoot({ views: [DailyRevenue] }),
  ],
  controllers: [RevenueController],
})
export class AppModule {}
