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
      // Read when the application starts, so that a test can set DATABASE_URL before.
      useFactory: () => ({
        type: 'postgres',
        url: process.env.DATABASE_URL,
        entities: [Order, DailyRevenue],
        // In your application, a migration creates the table.
        synchronize: true,
      }),
    }),
    ScheduleModule.forRoot(),
    MaterializedViewsModule.forRoot({ views: [DailyRevenue] }),
  ],
  controllers: [RevenueController],
})
export class AppModule {}
